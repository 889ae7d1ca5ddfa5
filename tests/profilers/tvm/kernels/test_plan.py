from dataclasses import replace

import numpy as np
import pytest

from hwnas.profilers.tvm.compiled.assemble import calls_of
from hwnas.profilers.tvm.kernels.emit import padded_classes
from hwnas.profilers.tvm.kernels.packs import SHIPPED, SUFFIX, Schedule, read_pack
from hwnas.profilers.tvm.kernels.plan import SpaceKernels, expected_uses, kernels_of, scheduled_kernel
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import Candidates, get_space
from tests.chains import residual_chain

DEMO = get_space("demo")


def test_every_layer_of_the_vocabulary_has_kernels(demo_kernels: SpaceKernels) -> None:
    assert {layer for layer, _ in demo_kernels.plan} == set(DEMO.vocabulary)
    assert all(demo_kernels.plan.values())


def test_a_block_runs_in_few_kernels(demo_kernels: SpaceKernels) -> None:
    """Bias, activation, the residual sum and the factor of squeeze-and-excitation are fused."""
    for (layer, _), steps in demo_kernels.plan.items():
        assert len(steps) == (1 if layer.kind != "mbconv" else 6 if layer.se else 3)


def test_subnets_share_few_kernels(demo_kernels: SpaceKernels) -> None:
    assert len(demo_kernels.functions) < 130


@pytest.mark.parametrize("mcpu", ["x86-64-v4", "x86-64-v3"])
def test_shipped_packs_hold_every_kernel(demo_kernels: SpaceKernels, mcpu: str) -> None:
    assert set(demo_kernels.functions) <= set(read_pack(SHIPPED / f"demo.{mcpu}{SUFFIX}").schedules)


def test_a_schedule_fits_a_kernel_that_was_emitted_with_other_layers(demo_kernels: SpaceKernels) -> None:
    pool = next(key for key in demo_kernels.plan if key[0].kind == "pool")
    ((key, function),) = kernels_of([pool]).functions.items()
    trace = [[["GetSBlock", [], ["lv12345_red", "main"], ["b0"]]], []]
    found = scheduled_kernel(function, Schedule(trace, 1.0, 1), key, Target(mcpu="x86-64-v3"))
    assert "_red" in str(found)


@pytest.mark.parametrize("classes", [2, 16, 17, 100, 1000])
def test_shipped_packs_serve_any_data_set(classes: int) -> None:
    (linear,) = (layer for layer in DEMO.vocabulary if layer.kind == "linear")
    classifier = replace(linear, out_channels=classes)
    for path in SHIPPED.glob(f"*{SUFFIX}"):
        assert set(kernels_of([(classifier, False)]).functions) <= set(read_pack(path).schedules)


def test_classifiers_are_padded_to_powers_of_two() -> None:
    assert [padded_classes(n) for n in (2, 10, 16, 17, 1000)] == [16, 16, 16, 32, 1024]


def test_random_architectures_are_assembled_from_the_table_alone(demo_kernels: SpaceKernels) -> None:
    genomes = DEMO.sample_genomes(3000, np.random.default_rng(0))
    candidates = Candidates.of_genomes(DEMO, genomes)
    for row in range(len(candidates)):
        calls = calls_of(candidates.layers(row), demo_kernels.plan)
        assert calls[-1].out_shape == (1, 16)


def test_expected_uses_add_up_to_the_calls_of_an_average_network(demo_kernels: SpaceKernels) -> None:
    uses = expected_uses(DEMO, demo_kernels.plan, np.random.default_rng(0), samples=500)
    candidates = Candidates.of_genomes(DEMO, DEMO.sample_genomes(500, np.random.default_rng(0)))
    calls = [len(calls_of(candidates.layers(row), demo_kernels.plan)) for row in range(500)]
    assert sum(uses.values()) == pytest.approx(np.mean(calls))


def test_large_spaces_are_fused_too() -> None:
    """h_swish, squeeze-and-excitation and a convolution after the pool, at one image size."""
    space = get_space("ofa-mobilenetv3-w1.0")
    keys = [(layer, index == 0) for index, layer in enumerate(space.layers(space.largest()))]
    kernels = kernels_of(keys)
    for (layer, _), steps in kernels.plan.items():
        assert len(steps) <= (1 if layer.kind != "mbconv" else 6)


def test_bottlenecks_run_a_kernel_a_convolution_and_one_for_the_pool() -> None:
    kernels = kernels_of([(layer, index == 0) for index, layer in enumerate(residual_chain(32))])
    steps = {layer.name: len(steps) for (layer, _), steps in kernels.plan.items()}
    assert [steps[name] for name in ("stages.0.0", "stages.0.1", "stages.1.0")] == [4, 3, 5]
    assert all(count == 1 for name, count in steps.items() if not name.startswith("stages."))
