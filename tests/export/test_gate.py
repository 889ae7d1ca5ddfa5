from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.export.accuracy import Accuracy, accuracy
from hwnas.export.gate import check_agreement, file_logits
from hwnas.export.onnx import export_onnx
from hwnas.spaces import random_network
from tests.chains import residual_chain

LOGITS = np.random.default_rng(0).standard_normal((200, 10)).astype(np.float32)


def test_equal_logits_pass() -> None:
    for quantized in (False, True):
        found = check_agreement(LOGITS, LOGITS.copy(), quantized)
        assert found.passed
        assert found.reason is None
        assert (found.images, found.top1_agreement_percent, found.max_relative_difference) == (200, 100, 0)


def test_float_logits_may_differ_by_a_thousandth_of_the_largest() -> None:
    step = np.abs(LOGITS).max() * np.float32(1e-3)
    assert check_agreement(LOGITS, LOGITS + step * np.float32(0.9), quantized=False).passed
    found = check_agreement(LOGITS, LOGITS + step * np.float32(1.2), quantized=False)
    assert not found.passed
    assert "logits must agree" in str(found.reason)


def test_quantized_files_must_name_the_same_class_for_995_in_1000() -> None:
    for wrong, passes in ((1, True), (2, False)):
        found = LOGITS.copy()
        found[:wrong] = -found[:wrong]
        assert check_agreement(LOGITS, found, quantized=True).passed is passes


def test_accuracies_of_quantized_files_must_be_near_where_classes_are_known() -> None:
    reference = np.tile(LOGITS, (5, 1))
    labels = reference.argmax(axis=1)
    for wrong, passes in ((3, True), (4, False)):
        found = reference.copy()
        found[:wrong] = -found[:wrong]
        agreement = check_agreement(reference, found, True, labels)
        assert agreement.accuracy_difference_points == pytest.approx(-wrong / 10)
        assert agreement.passed is passes
    assert "as many images right" in str(agreement.reason)


def test_any_of_tied_classes_is_the_modules_class() -> None:
    tied = np.array([[1.0, 1.0, 0.0]], np.float32)
    assert check_agreement(tied, np.array([[0.9, 1.0, 0.0]], np.float32), quantized=True).passed


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_never_passes(bad: float) -> None:
    broken = LOGITS.copy()
    broken[3, 4] = bad
    assert not check_agreement(LOGITS, broken, quantized=False).passed
    assert not check_agreement(broken, broken, quantized=True).passed


def test_other_shapes_never_pass() -> None:
    assert not check_agreement(LOGITS, LOGITS[:, :9], quantized=False).passed
    assert not check_agreement(LOGITS[:0], LOGITS[:0], quantized=False).passed


def test_all_zero_logits_agree() -> None:
    zeros = np.zeros((3, 2), np.float32)
    assert check_agreement(zeros, zeros, quantized=False).passed


def test_a_file_that_onnx_runtime_does_not_load_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match="ONNX Runtime does not load") as caught:
        file_logits(tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bits", [32, 8])
def test_logits_do_not_depend_on_the_threads(tmp_path: Path, bits: int) -> None:
    path = export_onnx(random_network(residual_chain(37, bits)), tmp_path / "model.onnx")
    images = np.random.default_rng(0).standard_normal((8, 3, 37, 37)).astype(np.float32)
    one, two, every = (file_logits(path, threads)(images) for threads in (1, 2, None))
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(every, one, rtol=1e-5, atol=1e-5)


def test_accuracy_counts_over_batches() -> None:
    batches = [
        (np.eye(3, dtype=np.float32), np.array([0, 1, 0])),
        (np.eye(3, dtype=np.float32)[:1], np.array([0])),
    ]
    found = accuracy(lambda x: x, batches)
    assert (found.correct, found.n, found.percent) == (3, 4, 75)


def test_the_interval_of_an_accuracy_is_wilsons() -> None:
    low, high = Accuracy(90, 100).interval_percent
    assert (low, high) == pytest.approx((82.56, 94.48), abs=0.01)
    assert Accuracy(0, 10).interval_percent[0] == 0
    assert Accuracy(10, 10).interval_percent[1] == pytest.approx(100)
    figure = Accuracy(90, 100).figure("test")
    assert (figure["value"], figure["split"], figure["kind"], figure["n"]) == (90, "test", "measured", 100)
