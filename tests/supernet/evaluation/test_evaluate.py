from dataclasses import replace

import numpy as np
import pytest
import torch

from hwnas.data import ArraySplit
from hwnas.data.batches import to_tensor
from hwnas.errors import InputError
from hwnas.spaces import Candidates, MobileNetSpace
from hwnas.supernet import Evaluation, Evaluator, recalibrate
from hwnas.supernet.evaluation.images import SizedImages
from tests.supernet.conftest import TINY, telling


@pytest.fixture
def candidates(space) -> Candidates:
    architectures = [space.largest(), space.smallest(), *space.sample(2, np.random.default_rng(0))]
    floats, ints = (Candidates.of_architectures(space, architectures, bits) for bits in (32, 8))
    return Candidates.concatenate([floats, ints])


def test_an_accuracy_is_that_of_the_recalibrated_subnet(space, dataset, candidates) -> None:
    supernet = telling(space)
    found = Evaluator(supernet, dataset, calibrate_images=40).evaluate(candidates[:4])
    for architecture, evaluation in zip(space.architectures(candidates.genomes[:4]), found, strict=True):
        tensors = {}
        for name in ("calibrate", "validate"):
            split = dataset.split(name)
            images = split.images(np.arange(len(split)))
            tensors[name] = to_tensor(images, architecture["r"], mean=split.mean, std=split.std)
        subnet = recalibrate(supernet.extract(architecture), [tensors["calibrate"]])
        with torch.no_grad():
            guesses = subnet(tensors["validate"]).argmax(1).numpy()
        correct = int((guesses == dataset.split("validate").labels).sum())
        assert evaluation.accuracy_top1 == pytest.approx(100 * correct / 50)
        assert (evaluation.n, evaluation.split) == (50, "validate")
    assert [evaluation.id for evaluation in found] == candidates.ids[:4]


def test_the_standard_error_is_binomial() -> None:
    evaluation = Evaluation.of("x", correct=90, n=100, split="test")
    assert evaluation.accuracy_top1 == pytest.approx(90)
    assert evaluation.standard_error == pytest.approx(3)


def test_evaluating_twice_gives_the_same(space, dataset, candidates) -> None:
    evaluator = Evaluator(telling(space), dataset)
    assert evaluator.evaluate(candidates, "test") == evaluator.evaluate(candidates, "test")


def test_the_result_does_not_depend_on_what_was_evaluated_before(space, dataset, candidates) -> None:
    supernet = telling(space)
    before = supernet.digest()
    forwards = Evaluator(supernet, dataset).evaluate(candidates)
    backwards = Evaluator(supernet, dataset).evaluate(candidates[::-1])
    assert forwards == backwards[::-1]
    assert supernet.digest() == before


def test_a_prepared_candidate_runs_its_bits_and_its_network_is_its_chain(space, dataset, candidates) -> None:
    evaluator = Evaluator(telling(space), dataset)
    floating, quantized = (evaluator.prepare(candidates, row) for row in (0, 4))
    assert floating.layers == candidates.layers(0)
    assert not floating.network.ranges
    assert quantized.layers == candidates.layers(4)
    assert quantized.network.ranges
    images = torch.randn(4, 3, 24, 24)
    with torch.inference_mode():
        exact, rounded = floating.module(images), quantized.module(images)
    assert exact.shape == (4, 3)
    assert 0 < (exact - rounded).norm() / exact.norm() < 0.2


def test_images_that_do_not_fit_are_made_again(dataset) -> None:
    keeping, passing = SizedImages(dataset), SizedImages(dataset, keep_bytes=0)
    for limit in (None, 30):
        kept = list(keeping.batches("calibrate", 16, 12, limit))
        made = list(passing.batches("calibrate", 16, 12, limit))
        assert sum(len(x) for x, _ in kept) == (limit or 40)
        for one, other in zip(kept, made, strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])


def test_forgotten_images_leave_room_and_are_made_again(dataset) -> None:
    images = SizedImages(dataset, keep_bytes=40 * 3 * 16**2 * 4)
    first = images.batches("calibrate", 16, 12)
    assert images.batches("calibrate", 16, 12) is first
    images.forget("calibrate")
    again = images.batches("calibrate", 16, 12)
    assert isinstance(again, list)  # there was room to keep them
    assert again is not first
    assert all(torch.equal(one[0], other[0]) for one, other in zip(first, again, strict=True))


def test_a_candidate_met_again_is_not_calibrated_again(space, dataset, candidates) -> None:
    evaluator = Evaluator(telling(space), dataset)
    first = evaluator.evaluate(candidates[:1], "validate")
    network = evaluator.prepare(candidates, 0).network
    assert evaluator.prepare(candidates, 0).network is network
    fresh = Evaluator(telling(space), dataset)
    for name, weight in fresh.prepare(candidates, 0).network.weights.items():
        np.testing.assert_array_equal(weight, network.weights[name])
    assert fresh.evaluate(candidates[:1], "validate") == first


def test_data_of_other_classes_are_refused(dataset) -> None:
    with pytest.raises(InputError, match="supernet has 7 classes, but the data set 'colours' has 3"):
        Evaluator(telling(MobileNetSpace(TINY, num_classes=7)), dataset)


@pytest.mark.parametrize("empty", ["calibrate", "validate"])
def test_an_empty_split_is_refused(space, dataset, candidates, empty: str) -> None:
    def make_split(name: str):
        whole = dataset.make_split(name)
        return replace(whole, labels=whole.labels[:0], pixels=whole.pixels[:0]) if name == empty else whole

    assert isinstance(dataset.make_split("train"), ArraySplit)
    with pytest.raises(InputError, match=empty):
        Evaluator(telling(space), replace(dataset, make_split=make_split)).evaluate(candidates[:1])
