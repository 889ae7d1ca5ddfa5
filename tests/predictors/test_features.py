import numpy as np

from hwnas.predictors.features import TOTALS, encoding, encoding_groups, one_hot, totals
from hwnas.spaces import Candidates, Layer, Space
from tests.predictors.truth import drawn


def _column(candidates: Candidates, name: str) -> np.ndarray:
    return totals(candidates)[:, TOTALS.index(name)]


def test_work_adds_up_to_the_macs_of_the_costs(demo: Space, ofa: Space, real: Space) -> None:
    for space in (demo, ofa, real):
        candidates = drawn(space, 50, 0, mixed=True)
        kinds = ("pointwise", "depthwise", "dense", "vector")
        work = sum(_column(candidates, kind + end) for kind in kinds for end in ("", "_quantized"))
        np.testing.assert_allclose(work, candidates.costs().macs)


def test_totals_equal_a_walk_over_the_layers(demo: Space) -> None:
    candidates = drawn(demo, 20, 1, mixed=True)
    for row in range(20):
        layers = candidates.layers(row)
        quantized = [layer for layer in layers if layer.quantized]
        assert _column(candidates, "layers")[row] + len(quantized) == len(layers)
        assert _column(candidates, "launches_quantized")[row] == sum(len(layer.ops) for layer in quantized)
        weights = sum(sum(op.weights for op in layer.ops) * layer.weight_bits / 8 for layer in layers)
        both = _column(candidates, "weight_bytes") + _column(candidates, "weight_bytes_quantized")
        np.testing.assert_allclose(both[row], weights)
        weighted = [layer for layer in layers if layer.quantizable]
        borders = [
            b
            for a, b in zip([None, *weighted], weighted, strict=False)
            if b.quantized != bool(a and a.quantized)
        ]
        assert _column(candidates, "border_tensors")[row] == len(borders)
        elements = sum(layer.in_channels * layer.in_size_px**2 for layer in borders)
        assert _column(candidates, "border_elements")[row] == elements
        assert _column(candidates, "image_size")[row] == layers[0].in_size_px


def test_floating_point_has_no_quantized_work(demo: Space) -> None:
    table = totals(drawn(demo, 10, 2))
    quantized = [
        at for at, name in enumerate(TOTALS) if name.endswith("_quantized") or name.startswith("border")
    ]
    assert not table[:, quantized].any()


def test_a_sum_reads_two_maps_and_a_shortcut_the_layer_s_input() -> None:
    block = Layer("bottleneck", 8, 16, 5, 3, 2, mid_channels=4, activation="relu")
    moved = {op.name: op.map_elements for op in block.ops}
    assert moved == {
        "conv1": 25 * (8 + 4),
        "conv2": 4 * (25 + 9),
        "conv3": 9 * (4 + 16),
        "shortcut_pool": 8 * (25 + 9),
        "shortcut": 9 * (8 + 16),
        "add": 9 * 3 * 16,
    }


def test_genes_are_encoded_by_what_they_stand_for(real: Space) -> None:
    candidates = drawn(real, 40, 5)
    table, groups = encoding(candidates), encoding_groups(real)
    assert set(groups) == {gene.group for gene in real.genes} | {"weight_bits", "activation_bits"}
    assert 0 <= table.min() <= table.max() == 1
    for column, gene in enumerate(real.genes):
        active = real.active_genes(candidates.genomes)[:, column]
        amounts = np.array(gene.amounts or gene.choices)[candidates.genomes[:, column]]
        expected = np.where(active, amounts / max(gene.amounts or gene.choices), 0)
        np.testing.assert_allclose(table[:, column], expected)


def test_encoding_is_zero_where_depth_switches_off_and_names_its_columns(demo: Space) -> None:
    candidates = Candidates.of_architectures(demo, [demo.smallest(), demo.largest()], bits=8)
    table, groups = encoding(candidates), encoding_groups(demo)
    assert table.shape == (2, len(groups))
    assert (table[1] > 0).all()
    off = np.flatnonzero(~demo.active_genes(candidates.genomes)[0])
    assert not table[0, off].any()
    assert set(groups) == {"ks", "e", "d", "r", "weight_bits", "activation_bits"}
    assert 0 <= table.min() <= table.max() <= 1


def test_one_hot_has_one_choice_a_running_gene(demo: Space) -> None:
    candidates = drawn(demo, 30, 3)
    hot = one_hot(candidates)
    assert hot.shape == (30, demo.choice_counts.sum())
    np.testing.assert_array_equal(hot.sum(axis=1), demo.active_genes(candidates.genomes).sum(axis=1))


def test_no_candidates_have_no_rows(demo: Space) -> None:
    none = drawn(demo, 3, 0)[:0]
    assert totals(none).shape == (0, len(TOTALS))
    assert len(encoding(none)) == len(one_hot(none)) == 0
