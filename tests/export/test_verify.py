import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest

from hwnas.errors import InputError
from hwnas.export.verify import Batches, Check, Verification, open_claimed, verify_model
from hwnas.profilers import Protocol, get_device
from hwnas.spaces import get_space
from hwnas.spaces.recipes import RECIPES

FAST = Protocol(samples_least=10, samples_most=10, warmup_ms=5.0)
Export = Callable[..., Path]
Give = Callable[[str, int], Batches]


def checks(found: Verification) -> dict[str, Check]:
    return {check.what: check for check in found.checks}


@pytest.mark.parametrize("bits", [32, 8])
def test_true_claims_pass(export: Export, batches: Give, bits: int) -> None:
    found = verify_model(open_claimed(export(bits)), get_device("cpu-ort"), batches, FAST)
    assert found.passed
    assert [check.passed for check in found.checks] == [True, True, True]
    assert found.measurement is not None
    assert checks(found)["latency_ms"].found == found.measurement.latency_ms


def test_a_latency_that_is_too_good_to_be_true_fails(export: Export) -> None:
    found = verify_model(open_claimed(export(latency_ms=1e-4)), get_device("cpu-ort"), None, FAST)
    assert not found.passed
    assert checks(found)["latency_ms"].passed is False


def test_an_accuracy_that_is_not_there_fails(export: Export, batches: Give) -> None:
    path = export(accuracy_top1={"value": 99.5, "split": "test", "n": 40})
    found = verify_model(open_claimed(path), None, batches)
    assert not found.passed
    assert checks(found)["accuracy_top1"].claimed == 99.5


@pytest.mark.parametrize(("n", "looked_at"), [(7, 7), (10**6, None), (0, None), (-3, None), ("7", None)])
def test_an_accuracy_is_checked_on_the_images_it_is_about(
    export: Export, batches: Give, n: object, looked_at: int | None
) -> None:
    path = export(accuracy_top1={"value": 50.0, "split": "test", "n": n})
    side = open_claimed(path).size_px
    every = sum(len(labels) for _, labels in batches("test", side))
    note = checks(verify_model(open_claimed(path), None, batches))["accuracy_top1"].note
    assert f"on {looked_at or every} images" in note


def test_claims_of_another_machine_are_measured_but_not_judged(export: Export) -> None:
    path = export(device_fingerprint="0" * 16, latency_ms=1e-4)
    found = verify_model(open_claimed(path), get_device("cpu-ort"), None, FAST)
    assert checks(found)["latency_ms"].passed is None
    assert "another machine" in checks(found)["latency_ms"].note


def test_any_runtime_of_onnx_files_measures_a_file(export: Export) -> None:
    found = verify_model(open_claimed(export(32)), get_device("cpu-torch"), None, FAST)
    assert checks(found)["latency_ms"].note.startswith("median on cpu-torch")
    with pytest.raises(InputError, match="device 'cpu-torch' cannot run layer"):
        verify_model(open_claimed(export(8)), get_device("cpu-torch"), None, FAST)


def test_a_file_without_claims_is_refused(export: Export) -> None:
    path = export()
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"no hwnas\.architecture"):
        open_claimed(path)


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("architecture", "{", "not valid JSON"),
        ("architecture", "[" * 100_000, "not valid JSON"),
        ("architecture", "[1]", "must be a JSON object"),
        ("architecture", "{}", "must name its space"),
        ("architecture", '{"space": "nowhere"}', "unknown space"),
        ("architecture", '{"space": "demo"}', "must have the fields"),
        ("space_definition", '{"name": "mine"}', "the space's definition"),
        ("space_definition", "7", "must be a JSON object"),
        ("bits", '{"weights": [3], "activations": [3]}', "must be a list of"),
        ("latency_ms", '{"value": NaN}', "no number of JSON"),
        ("latency_ms", '{"value": "fast"}', "not negative"),
        ("accuracy_top1", "{}", "not negative"),
        ("artefact", "../../lib/evil.so", "beside it"),
        ("artefact", "..", "beside it"),
    ],
)
def test_malformed_claims_are_refused_in_one_line(export: Export, key: str, text: str, says: str) -> None:
    path = export()
    model = onnx.load(path)
    metadata = {one.key: one.value for one in model.metadata_props} | {f"hwnas.{key}": text}
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, path)
    with pytest.raises(InputError, match=says) as caught:
        open_claimed(path)
    assert "\n" not in str(caught.value)


def test_a_file_of_a_user_s_space_brings_its_definition(export: Export) -> None:
    definition = RECIPES["demo"]().model_copy(update={"name": "mine"}).model_dump(mode="json")
    architecture = {**get_space("demo").smallest().to_json(), "space": "mine"}
    model = open_claimed(export(architecture=architecture, space_definition=definition))
    assert (model.space.name, model.space.num_classes) == ("mine", 10)
    assert verify_model(model, get_device("cpu-ort", model.space), None, FAST).passed


def test_a_claim_of_more_weights_than_the_file_has_is_refused_unbuilt(export: Export) -> None:
    wider = {**get_space("demo").smallest().to_json(), "e": [6] * 9}
    with pytest.raises(InputError, match="too small to hold its weights"):
        open_claimed(export(architecture=wider))


def test_a_graph_that_is_not_the_claimed_network_is_refused_before_it_runs(export: Export) -> None:
    path = export()
    model = onnx.load(path)
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type = "Neg"
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"not the network its metadata claims: node 'stem\.conv' differs"):
        open_claimed(path)


def test_bits_that_the_graph_does_not_hold_are_refused(export: Export) -> None:
    eight = onnx.load(export(8))
    path = export(32)
    model = onnx.load(path)
    texts = {one.key: one.value for one in model.metadata_props}
    texts["hwnas.bits"] = next(one.value for one in eight.metadata_props if one.key == "hwnas.bits")
    onnx.helper.set_model_props(model, texts)
    onnx.save(model, path)
    with pytest.raises(InputError, match="not the network its metadata claims"):
        open_claimed(path)


def test_weights_of_another_shape_are_refused(export: Export) -> None:
    path = export()
    model = onnx.load(path)
    tensor = next(one for one in model.graph.initializer if one.name == "stem.conv.bias")
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros((16, 1, 1), np.float32), tensor.name))
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"not the network|not a valid"):
        open_claimed(path)


def test_files_are_held_to_the_manifest_and_a_changed_one_is_not_run(export: Export) -> None:
    path = export(artefact="model.so")
    library = path.with_name("model.so")
    library.write_bytes(b"as exported")
    listed = [{"name": one.name, "sha256": sha256(one.read_bytes()).hexdigest()} for one in (library, path)]
    path.with_name("manifest.json").write_text(json.dumps({"files": listed}))
    assert checks(verify_model(open_claimed(path), None, None))["files"].passed
    library.write_bytes(b"changed")
    # To load it would fail, and with another error.
    found = verify_model(open_claimed(path), get_device("cpu-ort"), None, FAST)
    assert not found.passed
    assert "model.so is not the file that was exported" in checks(found)["files"].note
    assert found.measurement is None


def test_a_missing_artefact_is_named(export: Export) -> None:
    path = export(artefact="model.so")
    with pytest.raises(InputError, match=r"latency of model\.so, which is not beside it"):
        verify_model(open_claimed(path), get_device("cpu-ort"), None, FAST)


def test_nothing_checked_is_not_passed() -> None:
    assert not Verification(Path("x"), ()).passed
    assert not Verification(Path("x"), (Check("latency_ms", None, 1.0, None, ""),)).passed
