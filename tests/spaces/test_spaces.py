"""The contract of every registered space, and what is particular to the two built-in ones."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.spaces import Candidates, Layer, Space, compound_scaled, get_space, make_divisible, space_names
from hwnas.spaces.costs import live_elements

SPACES = {name: get_space(name) for name in space_names()}
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(params=sorted(SPACES))
def space(request: pytest.FixtureRequest) -> Space:
    return SPACES[request.param]


def raw_genomes(space: Space, seed: int, n: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, space.choice_counts, size=(n, len(space.genes)))


@pytest.mark.parametrize("name", sorted(SPACES))
@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_canonical_form_is_idempotent_and_builds_the_same_layers(name: str, seed: int) -> None:
    space = SPACES[name]
    genomes = raw_genomes(space, seed)
    canonical = space.canonical(genomes)
    np.testing.assert_array_equal(space.canonical(canonical), canonical)
    np.testing.assert_array_equal(space.layer_ids(genomes), space.layer_ids(canonical))


@pytest.mark.parametrize("name", sorted(SPACES))
@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_architectures_survive_json_and_genomes(name: str, seed: int) -> None:
    space = SPACES[name]
    for architecture in space.architectures(raw_genomes(space, seed, 4)):
        text = json.dumps(architecture.to_json())
        assert space.architecture(text) == architecture
        assert hash(space.architecture(text)) == hash(architecture)
        assert space.architectures(space.genomes([architecture])) == [architecture]


@pytest.mark.parametrize("name", sorted(SPACES))
@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_architectures_are_equal_exactly_when_their_layers_are(name: str, seed: int) -> None:
    space = SPACES[name]
    some = space.architectures(raw_genomes(space, seed, 4))
    for a in some:
        for b in some:
            assert (a == b) == (space.layers(a) == space.layers(b))


def test_layers_form_a_chain(space: Space) -> None:
    for architecture in space.sample(20, np.random.default_rng(0)):
        layers = space.layers(architecture)
        assert layers[0].in_size_px == architecture["r"]
        for before, after in itertools.pairwise(layers):
            assert after.in_channels == before.out_channels
            assert after.in_size_px == before.out_size_px
            ops = after.ops
            assert len({op.name for op in ops}) == len(ops)
        assert layers[-1].out_channels == space.num_classes
        assert len({layer.name for layer in layers}) == len(layers)


def test_costs_of_a_population_equal_the_sums_over_each_chain(space: Space) -> None:
    rng = np.random.default_rng(1)
    genomes = space.sample_genomes(12, rng)
    bits = rng.choice([4, 8, 32], size=(12, len(space.slots)))
    candidates = Candidates.of_genomes(space, genomes, bits, bits)
    costs = candidates.costs()
    for row in range(12):
        layers = candidates.layers(row)
        ops = [(layer, op) for layer in layers for op in layer.ops]
        assert costs.macs[row] == sum(op.macs for _, op in ops)
        assert costs.bitops[row] == sum(op.macs * la.weight_bits * la.activation_bits for la, op in ops)
        peak = max(
            sum(-(-tensor * la.activation_bits // 8) for tensor in phase)
            for la in layers
            for phase in live_elements(la)
        )
        assert costs.peak_memory_bytes[row] == peak
        packed = sum(-(-sum(op.weights for op in la.ops) * la.weight_bits // 8) for la in layers)
        biases = sum(4 * op.out_channels for _, op in ops if op.weights and op.bias)
        assert costs.weight_bytes[row] == packed + biases


def test_covering_architectures_hold_the_whole_vocabulary(space: Space) -> None:
    held = {layer for architecture in space.covering() for layer in space.layers(architecture)}
    assert held == set(space.vocabulary)


def test_smallest_and_largest_bound_the_costs(space: Space) -> None:
    macs = Candidates.of_genomes(space, space.sample_genomes(200, np.random.default_rng(2))).costs().macs
    ends = Candidates.of_architectures(space, [space.smallest(), space.largest()]).costs().macs
    assert ends[0] <= macs.min()
    assert macs.max() <= ends[1]


def test_number_of_architectures_counts_what_enumeration_finds() -> None:
    space = SPACES["demo"]
    a_stage = 4 + 4**2 + 4**3
    assert space.num_architectures == 2 * a_stage**3
    rows = np.unique(space.sample_genomes(200_000, np.random.default_rng(0)), axis=0)
    assert len(rows) <= space.num_architectures


def test_demo_has_squeeze_and_excitation_in_one_stage_only() -> None:
    layers = SPACES["demo"].layers(SPACES["demo"].largest())
    assert {layer.name.split(".")[1] for layer in layers if layer.se} == {"1"}


@pytest.mark.parametrize(
    ("channels", "hidden"), [(72, 24), (120, 32), (240, 64), (336, 88), (672, 168), (960, 240)]
)
def test_squeeze_and_excitation_rounds_like_once_for_all(channels: int, hidden: int) -> None:
    assert make_divisible(channels // 4) == hidden


def test_ofa_costs_equal_the_published_ends() -> None:
    space = SPACES["ofa-mobilenetv3-w1.0"]
    costs = Candidates.of_architectures(space, [space.smallest(), space.largest()]).costs()
    at_224 = [{**a.to_json(), "r": 224} for a in (space.smallest(), space.largest())]
    assert Candidates.of_json(space, at_224).costs().macs.tolist() == [121_278_672, 566_170_656]
    assert costs.params.tolist() == [3_410_792, 7_664_760]


def test_ofa_costs_equal_the_official_counts_on_the_reference_set(reference_data: Path) -> None:
    space = SPACES["ofa-mobilenetv3-w1.0"]
    rows = json.loads((reference_data / "ofa" / "ofa_mbv3_w1.0.reference.json").read_text())
    for size_px in (128, 224):
        costs = Candidates.of_json(space, [{**row["config"], "r": size_px} for row in rows]).costs()
        assert costs.macs.tolist() == [row[f"macs_{size_px}"] for row in rows]
        assert costs.params.tolist() == [row["params"] for row in rows]


def test_peak_memory_of_mobilenetv2_equals_the_published_figure() -> None:
    # MCUNet (Lin et al., 2020) publishes 308 kB for MobileNetV2-0.35 at 144 px in int8; the block
    # behind it: 48 channels expanded at 72 px, depthwise to 36 px.
    block = Layer("mbconv", 8, 8, 72, kernel=3, stride=2, mid_channels=48)
    assert max(sum(phase) for phase in live_elements(block)) == 48 * 72**2 + 48 * 36**2 == 311_040


def test_genes_that_depth_switches_off_may_hold_anything() -> None:
    space = SPACES["demo"]
    shallow = {"ks": [3] * 9, "e": [6] * 9, "d": [1, 1, 1], "r": 48}
    odd = {**shallow, "ks": [3, 99, 0] * 3, "e": [6, -1, 7] * 3}
    assert space.architecture(shallow) == space.architecture(odd)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ks": [3] * 8}, "ks must be a list of 9 numbers, but got 8 entries"),
        ({"ks": [4] * 9}, r"ks\[0\] must be one of \(3, 5\), but got 4"),
        ({"d": [1, 2, 9]}, r"d\[2\] must be one of \(1, 2, 3\), but got 9"),
        ({"d": 2}, "d must be a list of 3 numbers, but got 2"),
        ({"r": "48"}, "r must be one number"),
        ({"r": 50}, r"r must be one of \(32, 48\), but got 50"),
        ({"r": True}, "r must be one number"),
        ({"e": [3.0] * 9}, "e\\[0\\] must be one of"),
        ({"x": 1}, "unknown: x"),
        ({"space": "other"}, "architecture is of space 'other'"),
    ],
)
def test_an_architecture_that_does_not_fit_is_refused(change: dict[str, object], says: str) -> None:
    good = {"ks": [3] * 9, "e": [3] * 9, "d": [1] * 3, "r": 48}
    SPACES["demo"].architecture(good)
    with pytest.raises(InputError, match=says):
        SPACES["demo"].architecture({**good, **change})


@pytest.mark.parametrize("text", ["", "[]", "{", "3", '{"ks": 1}', "[" * 100_000])
def test_text_that_is_no_architecture_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        SPACES["demo"].architecture(text)


def test_candidates_survive_json_with_their_bits() -> None:
    space = SPACES["demo"]
    rng = np.random.default_rng(3)
    bits = rng.choice([8, 32], size=(10, len(space.slots)))
    candidates = Candidates.of_genomes(space, space.sample_genomes(10, rng), bits, bits)
    again = Candidates.of_json(space, [json.loads(json.dumps(c.to_json())) for c in candidates.unpack()])
    np.testing.assert_array_equal(again.genomes, candidates.genomes)
    np.testing.assert_array_equal(again.weight_bits, candidates.weight_bits)
    np.testing.assert_array_equal(again.activation_bits, candidates.activation_bits)
    assert again.ids == candidates.ids


def test_bits_of_slots_that_do_not_run_do_not_count() -> None:
    space = SPACES["demo"]
    genomes = space.genomes([space.smallest()] * 2)
    bits = np.full((2, len(space.slots)), 8)
    bits[1, space.slots.index("stages.0.2")] = 32
    bits[1, space.slots.index("pool")] = 32
    candidates = Candidates.of_genomes(space, genomes, bits, bits)
    assert candidates.ids[0] == candidates.ids[1]
    assert candidates.first_of_each().tolist() == [0]


@pytest.mark.parametrize("bits", [[8], [8] * 5 + [3.5], [0] * 6, None, "8"])
def test_bits_that_do_not_fit_the_layers_are_refused(bits: object) -> None:
    space = SPACES["demo"]
    row = {**space.smallest().to_json(), "bits": {"weights": bits, "activations": [8] * 6}}
    with pytest.raises(InputError, match=r"bits\.weights"):
        Candidates.of_json(space, [row])


def test_compound_scaling_grows_from_the_smallest_in_every_dimension_together(space: Space) -> None:
    scaled = compound_scaled(space, np.linspace(0, 12, 40))
    assert scaled[0] == space.smallest()
    macs = Candidates.of_architectures(space, scaled).costs().macs
    assert (np.diff(macs) >= 0).all()
    assert len(set(scaled)) >= 4


def test_an_unknown_space_is_named_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="did you mean 'demo'"):
        get_space("dmo")
