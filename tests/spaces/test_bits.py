"""Genes of bitwidth policies: what may be chosen, by whom, and that it translates back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.spaces import BitGenes, BitRule, Candidates, alike, crossed, get_space, open_space

DEMO, RESNET = get_space("demo"), get_space("ofa-resnet50")
NINE = crossed((4, 6, 8), (4, 6, 8))
FREE = BitRule(first_at_least=1, last_at_least=1)
RULES = [BitRule(), FREE, BitRule("stage"), BitRule("network"), BitRule("network", 1, 1)]
PAIRS = [alike((32, 8)), NINE, ((8, 8), (4, 8), (4, 4)), crossed((8, 4), (8,)), ((8, 8),)]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("pairs", PAIRS)
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_policies_translate_back_and_hold_only_pairs_of_the_device(
    rule: BitRule, pairs: tuple[tuple[int, int], ...], seed: int
) -> None:
    genes = BitGenes.of(DEMO, pairs, rule)
    rng = np.random.default_rng(seed)
    genomes = DEMO.sample_genomes(6, rng)
    vectors = rng.integers(0, genes.choice_counts, size=(6, len(genes.choice_counts)))
    for policies in (genes.decode(vectors), genes.sample(6, rng)):
        candidates = Candidates.of_genomes(DEMO, genomes, *policies)
        again = Candidates.of_genomes(DEMO, genomes, *genes.decode(genes.encode(candidates)))
        assert again.ids == candidates.ids
        used = (candidates.layer_ids >= 0) & DEMO.quantizable_slots
        found = zip(candidates.weight_bits[used], candidates.activation_bits[used], strict=True)
        assert {(int(w), int(a)) for w, a in found} <= set(pairs)


def test_first_and_last_layers_keep_their_least_bits() -> None:
    genes = BitGenes.of(DEMO, NINE)
    weights, activations = genes.sample(200, np.random.default_rng(0))
    assert set(weights[:, [0, -1]].ravel()) == set(activations[:, [0, -1]].ravel()) == {8}
    assert set(weights[:, 1]) == {4, 6, 8}
    # Where no pair has as many bits, the widest is all that is left.
    low = BitGenes.of(DEMO, alike((4, 2)))
    assert set(low.sample(50, np.random.default_rng(0))[0][:, 0]) == {4}
    # A device of 32 and 8 bits keeps both choices.
    assert len(BitGenes.of(DEMO, alike((32, 8))).choice_counts) == DEMO.quantizable_slots.sum()


def test_positions_follow_the_tie_and_split_into_weights_and_activations() -> None:
    blocks, ends = 9, 3  # stem, head and classifier
    lengths = {
        (rule.tie, rule.first_at_least): len(BitGenes.of(DEMO, NINE, rule).choice_counts) for rule in RULES
    }
    assert lengths == {
        ("layer", 8): 2 * (blocks + 1),
        ("layer", 1): 2 * (blocks + ends),
        ("stage", 8): 2 * (3 + 1),
        ("network", 8): 2,
        ("network", 1): 2,
    }
    # Not every combination: one position a layer.
    assert len(BitGenes.of(DEMO, ((8, 8), (4, 8), (4, 4)), FREE).choice_counts) == blocks + ends
    assert len(BitGenes.of(DEMO, ((8, 8),)).choice_counts) == 0


def test_stages_choose_together() -> None:
    genes = BitGenes.of(RESNET, NINE, BitRule("stage"))
    weights, _ = genes.sample(40, np.random.default_rng(1))
    for stage in range(4):
        columns = [i for i, slot in enumerate(RESNET.slots) if slot.startswith(f"stages.{stage}.")]
        assert (weights[:, columns] == weights[:, columns[:1]]).all()
    assert (weights[:, RESNET.slots.index("stem.0")] == 8).all()
    assert (weights[:, RESNET.slots.index("stem.1")] != 8).any()


def test_a_tied_policy_of_others_takes_what_its_first_layer_says() -> None:
    genes = BitGenes.of(DEMO, alike((8, 4)), BitRule("network", 1, 1))
    bits = np.full((1, len(DEMO.slots)), 8)
    bits[0, 0] = 4
    mixed = Candidates.of_genomes(DEMO, DEMO.genomes([DEMO.largest()]), bits, bits)
    weights, _ = genes.fitted(mixed)
    assert set(weights[0, DEMO.quantizable_slots]) == {4}


def test_samples_hold_nearly_uniform_policies_and_mixtures() -> None:
    weights, activations = BitGenes.of(DEMO, NINE).sample(500, np.random.default_rng(0))
    for bits in (weights, activations):
        share = (bits[:, 1:-2] == 4).mean(axis=1)
        assert np.histogram(share, bins=[0, 0.2, 0.4, 0.6, 0.8, 1.01])[0].min() > 15


def test_candidates_know_whether_they_hold_only_some_pairs() -> None:
    genomes = DEMO.sample_genomes(4, np.random.default_rng(0))
    weights = np.full((4, len(DEMO.slots)), 8)
    weights[1, 0] = 4
    weights[2, DEMO.slots.index("pool")] = 4  # no weights: no bits
    candidates = Candidates.of_genomes(DEMO, genomes, weights, 8)
    assert candidates.within([(8, 8)]).tolist() == [True, False, True, True]
    assert candidates.within([(8, 8), (4, 8)]).all()
    assert not candidates.within([(4, 4)]).any()


def test_no_pair_is_refused() -> None:
    with pytest.raises(InputError, match="at least one pair"):
        BitGenes.of(DEMO, ())


def test_a_space_file_says_who_chooses(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "mine.yaml"
    text = (
        "name: mine\nimage_sizes: 32\nstem: {width: 8}\nhead: {width: 24}\n"
        "stages:\n  - {width: 16, depth: [1, 2], kernel: 3, expand: 2}\n"
    )
    path.write_text(text + "bits: {tie: stage, last_at_least: 4}\n")
    assert open_space(str(path)).bit_rule == BitRule("stage", 8, 4)
    path.write_text(text + "bits: {tie: block}\n")
    with pytest.raises(InputError, match=r"line 7: bits.tie must be layer, stage or network, but"):
        open_space(str(path))
