"""The contract of every space, built in or not, and what is particular to some."""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.spaces import (
    Candidates,
    Layer,
    Space,
    get_space,
    make_divisible,
    space_names,
    space_of_definition,
    subject_key,
)
from hwnas.spaces.costs import live_elements
from tests.chains import simulated_peak

# What no built-in space has: ratios that round to the same channels, one depth, floats, all tied.
ODD = {
    "name": "odd",
    "image_sizes": [16, 17],
    "stem": {"width": [8, 12]},
    "stages": [
        {"width": [8, 16], "depth": [1, 3], "kernel": 3, "expand": [1, 1.05, 2, 2.1]},
        {"width": 12, "depth": 2, "kernel": [3, 7], "expand": [2, 3], "stride": 2, "se": True},
    ],
    "head": {"width": 20, "activation": "relu6"},
    "feature": {"width": [24, 32], "activation": "h_swish"},
    "num_classes": 3,
}

SPACES = {
    **{name: get_space(name) for name in space_names()},
    "odd": space_of_definition(ODD),
    "odd-tied": space_of_definition({**ODD, "name": "odd-tied", "tied": True, "first": {"width": 8}}),
}
OFA = [name for name in SPACES if name.startswith("ofa")]
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(params=sorted(SPACES))
def space(request: pytest.FixtureRequest) -> Space:
    return SPACES[request.param]


def named(layers: tuple[Layer, ...]) -> list[tuple[str, Layer]]:
    return [(layer.name, layer) for layer in layers]


def digest(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


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
            assert (a == b) == (named(space.layers(a)) == named(space.layers(b)))


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
        assert costs.peak_memory_bytes[row] == simulated_peak(layers)
        packed = sum(-(-sum(op.weights for op in la.ops) * la.weight_bits // 8) for la in layers)
        biases = sum(4 * op.out_channels for _, op in ops if op.weights and op.bias)
        assert costs.weight_bytes[row] == packed + biases


def test_covering_architectures_hold_every_layer_of_every_slot(space: Space) -> None:
    covering = space.covering()
    assert len(covering) == len(set(covering)) < 1000
    ids = space.layer_ids(space.genomes(covering))
    for slot, column in zip(space.slots, ids.T, strict=True):
        held = {space.vocabulary[row] for row in column if row >= 0}
        assert held == set(space.slot_choices[slot])
    assert {layer for layers in space.slot_choices.values() for layer in layers} == set(space.vocabulary)


def test_genes_that_matter_are_those_that_a_filled_slot_depends_on(space: Space) -> None:
    genomes = raw_genomes(space, 4)
    active = space.active_genes(genomes)
    present = space.layer_ids(genomes) >= 0
    for column, gene in enumerate(space.genes):
        depends = [slot for slot, columns in enumerate(space.tables.columns) if column in columns]
        if gene.group == "d":
            assert active[:, column].all()
        else:
            np.testing.assert_array_equal(active[:, column], present[:, depends].any(axis=1))


@pytest.mark.parametrize("name", ["odd", "odd-tied"])
def test_number_of_architectures_equals_enumeration(name: str) -> None:
    space = SPACES[name]
    every = np.array(list(itertools.product(*(range(count) for count in space.choice_counts))))
    canonical = np.unique(space.canonical(every), axis=0)
    assert space.num_architectures == len(canonical)
    assert len(np.unique(space.layer_ids(canonical), axis=0)) == len(canonical)


def test_smallest_and_largest_bound_the_costs(space: Space) -> None:
    macs = Candidates.of_genomes(space, space.sample_genomes(200, np.random.default_rng(2))).costs().macs
    ends = Candidates.of_architectures(space, [space.smallest(), space.largest()]).costs().macs
    assert ends[0] <= macs.min()
    assert macs.max() <= ends[1]


def test_number_of_architectures_counts_what_enumeration_finds() -> None:
    space = SPACES["demo"]
    a_stage = 4 + 4**2 + 4**3
    assert space.num_architectures == 2 * a_stage**3
    rows = np.unique(space.sample_genomes(20_000, np.random.default_rng(0)), axis=0)
    assert len(rows) <= space.num_architectures


def test_demo_has_squeeze_and_excitation_in_one_stage_only() -> None:
    layers = SPACES["demo"].layers(SPACES["demo"].largest())
    assert {layer.name.split(".")[1] for layer in layers if layer.se} == {"1"}


@pytest.mark.parametrize(
    ("channels", "hidden"), [(72, 24), (120, 32), (240, 64), (336, 88), (672, 168), (960, 240)]
)
def test_squeeze_and_excitation_rounds_like_once_for_all(channels: int, hidden: int) -> None:
    assert make_divisible(channels // 4) == hidden


@pytest.mark.parametrize(
    ("name", "macs", "params"),
    [
        ("ofa-mobilenetv3-w1.0", [121_278_672, 566_170_656], [3_410_792, 7_664_760]),
        ("ofa-mobilenetv3-w1.2", [193_078_200, 843_101_040], [4_602_456, 10_701_632]),
        ("ofa-proxyless-w1.3", [265_526_256, 1_004_908_032], [3_718_832, 7_942_056]),
        ("ofa-resnet50", [962_192_128, 7_491_643_904], [6_539_280, 48_105_992]),
    ],
)
def test_costs_equal_those_of_the_official_networks(name: str, macs: list[int], params: list[int]) -> None:
    space = SPACES[name]
    ends = [{**a.to_json(), "r": 224} for a in (space.smallest(), space.largest())]
    costs = Candidates.of_json(space, ends).costs()
    assert costs.macs.tolist() == macs
    assert costs.params.tolist() == params


@pytest.mark.parametrize(
    ("name", "genes"),
    [
        ("ofa-mobilenetv3-w1.0", {"ks": 20, "e": 20, "d": 5, "r": 1}),
        ("ofa-mobilenetv3-w1.2", {"ks": 20, "e": 20, "d": 5, "r": 1}),
        ("ofa-proxyless-w1.3", {"ks": 21, "e": 21, "d": 6, "r": 1}),
        ("ofa-resnet50", {"e": 18, "d": 5, "w": 6, "r": 1}),
        ("bignas-mobilenetv3", {"ks": 7, "e": 7, "d": 7, "w": 9, "r": 1}),
    ],
)
def test_genes_are_those_of_the_published_form(name: str, genes: dict[str, int]) -> None:
    counts: dict[str, int] = {}
    for gene in SPACES[name].genes:
        counts[gene.group] = counts.get(gene.group, 0) + 1
    assert list(counts.items()) == list(genes.items())


@pytest.mark.parametrize("name", OFA)
def test_once_for_all_runs_at_128_to_224_px_in_steps_of_4(name: str) -> None:
    assert SPACES[name].image_sizes == tuple(range(128, 225, 4))


def test_variances_get_what_the_official_networks_add() -> None:
    assert {name: SPACES[name].norm_eps for name in OFA} == {
        "ofa-mobilenetv3-w1.0": 1e-5,
        "ofa-mobilenetv3-w1.2": 1e-5,
        "ofa-proxyless-w1.3": 1e-3,
        "ofa-resnet50": 1e-5,
    }


# Taken before spaces had tables: stored measurements and fronts go by these.
@pytest.mark.parametrize(
    ("name", "ids", "keys", "vocabulary", "slots"),
    [
        ("demo", "856e23aa2dfa8813", "130af94bd0ebb67c", "7ce7429598ea7ff5", "76b11197e7cec902"),
        (
            "ofa-mobilenetv3-w1.0",
            "5b98832971c3576d",
            "9dbf644766414fbb",
            "84b33c1896c28472",
            "bc2a65108941c1e4",
        ),
    ],
)
def test_ids_and_keys_stay_what_they_were(
    name: str, ids: str, keys: str, vocabulary: str, slots: str
) -> None:
    space = SPACES[name]
    rng = np.random.default_rng(5)
    genomes = rng.integers(0, space.choice_counts, size=(200, len(space.genes)))
    bits = rng.choice([4, 8, 32], size=(200, len(space.slots)))
    candidates = Candidates.of_genomes(space, genomes, bits, bits)
    assert digest(candidates.ids) == ids
    assert digest([subject_key(candidates.layers(row)) for row in range(50)]) == keys
    assert digest(space.vocabulary) == vocabulary
    assert digest(space.slots) == slots


def test_the_residual_stem_of_resnet_runs_at_the_largest_depth_alone() -> None:
    space = SPACES["ofa-resnet50"]
    json_form = space.largest().to_json()
    variants = [space.architecture({**json_form, "d": [d, 2, 2, 2, 2]}) for d in (0, 1, 2)]
    assert variants[0] == variants[1] != variants[2]
    assert variants[0]["d"] == (0, 2, 2, 2, 2)
    names = [[layer.name for layer in space.layers(one)][:5] for one in variants]
    assert names[0] == ["stem.0", "stem.2", "stem.pool", "stages.0.0", "stages.0.1"]
    assert names[2] == ["stem.0", "stem.1", "stem.2", "stem.pool", "stages.0.0"]


def test_widths_that_round_to_the_same_channels_are_one_architecture() -> None:
    space = SPACES["ofa-resnet50"]  # 32 channels: 0.65 and 0.8 of them both round to 24
    json_form = space.largest().to_json()
    narrow, wide = (space.architecture({**json_form, "w": [w, 2, 2, 2, 2, 2]}) for w in (0, 1))
    assert narrow == wide
    assert space.layers(narrow)[0].out_channels == 24


def test_ratios_that_round_to_the_same_channels_are_one_architecture() -> None:
    space = SPACES["odd"]  # 16 channels: 2 and 2.1 times both round to 32, and 1.05 to 16
    some = {**space.largest().to_json(), "w": [8, 16, 12, 24]}
    one = space.architecture({**some, "e": [2, 2.1, 1.05, 2, 2]})
    assert one == space.architecture({**some, "e": [2, 2, 1, 2, 2]})
    assert one["e"] == (2.0, 2.0, 1.0, 2, 2)


def test_a_depth_without_a_choice_must_be_what_it_is() -> None:
    space = SPACES["ofa-proxyless-w1.3"]
    with pytest.raises(InputError, match=r"d\[5\] must be one of \(1,\), but got 2"):
        space.architecture({**space.smallest().to_json(), "d": [2, 2, 2, 2, 2, 2]})


def test_numbers_are_read_strictly() -> None:
    space = SPACES["odd"]
    good = space.smallest().to_json()
    assert space.architecture({**good, "e": [1, 1, 1, 2, 2]}) == space.smallest()
    for change, says in [
        ({"e": [True, 1, 1, 2, 2]}, r"e\[0\] must be one of \(1.0, 1.05, 2.0, 2.1\), but got True"),
        ({"e": [1, 1, 1, 2.0, 2]}, r"e\[3\] must be one of \(2, 3\), but got 2.0"),
        ({"e": [float("nan"), 1, 1, 2, 2]}, "but got nan"),
        ({"d": [1.0, 2]}, r"d\[0\] must be one of \(1, 3\), but got 1.0"),
        ({"w": [8, 8, 12, True]}, r"w\[3\] must be one of \(24, 32\), but got True"),
    ]:
        with pytest.raises(InputError, match=says):
            space.architecture({**good, **change})


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
    assert max(sum(phase.values()) for phase in live_elements(block)) == 48 * 72**2 + 48 * 36**2 == 311_040


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


def test_an_unknown_space_is_named_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="did you mean 'demo'"):
        get_space("dmo")
