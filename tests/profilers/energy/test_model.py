"""The model of energy: prices by hand, and files of constants."""

import json
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors import fit_and_score
from hwnas.profilers import Store, get_device
from hwnas.profilers.energy.model import modelled_energy_mj, read_energy_model, with_modelled_energy
from hwnas.profilers.profile import profile
from hwnas.spaces import Candidates, Layer, get_space
from tests.chains import at_bits

BUILT_IN = read_energy_model()
PLAIN = BUILT_IN.model_copy(
    update={
        "float_mac_pj": 4.0,
        "int8_mac_pj": 0.5,
        "sram_pj_per_bit": 1.0,
        "dram_pj_per_bit": 10.0,
        "map_buffer_bytes": 1 << 20,
        "weight_buffer_bytes": 1 << 20,
        "static_w": 0.0,
    }
)
CHAIN = (
    Layer("conv", 3, 4, 8, kernel=3, stride=2, activation="relu", name="stem"),
    Layer("pool", 4, 4, 4, kernel=4, norm=False, name="pool"),
    Layer("linear", 4, 5, 1, norm=False, name="classifier"),
)
MACS = 3 * 4 * 9 * 16, 4 * 5
WEIGHTS = 3 * 4 * 9, 4 * 5
IMAGE, STEM, POOLED, LOGITS = 3 * 64, 4 * 16, 4, 5


def test_floating_point_by_hand() -> None:
    moved = (IMAGE + STEM) + (STEM + POOLED) + (POOLED + LOGITS)
    expected_pj = 4.0 * sum(MACS) + 32 * (moved + sum(WEIGHTS))
    assert modelled_energy_mj(CHAIN, 1.0, PLAIN) == pytest.approx(expected_pj / 1e9)


def test_at_eight_bits_all_but_the_logits_is_a_quarter() -> None:
    moved = 8 * ((IMAGE + STEM) + (STEM + POOLED) + POOLED) + 32 * LOGITS
    expected_pj = 0.5 * sum(MACS) + moved + 8 * sum(WEIGHTS)
    assert modelled_energy_mj(at_bits(CHAIN, 8), 1.0, PLAIN) == pytest.approx(expected_pj / 1e9)


def test_what_does_not_fit_goes_off_the_chip() -> None:
    inside = modelled_energy_mj(CHAIN, 1.0, PLAIN)
    small = PLAIN.model_copy(update={"map_buffer_bytes": 4 * (IMAGE + STEM) - 1})
    assert modelled_energy_mj(CHAIN, 1.0, small) - inside == pytest.approx(10 * 32 * (IMAGE + STEM) / 1e9)
    tight = PLAIN.model_copy(update={"weight_buffer_bytes": 4 * sum(WEIGHTS) - 10})
    assert modelled_energy_mj(CHAIN, 1.0, tight) - inside == pytest.approx(10 * 8 * 10 / 1e9)


def test_static_power_counts_for_as_long_as_it_runs() -> None:
    leaking = PLAIN.model_copy(update={"static_w": 2.0})
    more = modelled_energy_mj(CHAIN, 3.0, leaking) - modelled_energy_mj(CHAIN, 3.0, PLAIN)
    assert more == pytest.approx(6.0)


def test_the_price_of_a_product_follows_its_bits_as_published() -> None:
    published = {(8, 8): 0.46, (4, 4): 0.115, (2, 2): 0.029, (32, 8): 4.6, (32, 32): 4.6}
    for bits, price in published.items():
        assert BUILT_IN.mac_pj(*bits) == pytest.approx(price, rel=0.02)
    assert BUILT_IN.mac_pj(6, 8) == BUILT_IN.mac_pj(8, 8)
    assert BUILT_IN.mac_pj(3, 4) == BUILT_IN.mac_pj(4, 4)
    int8_only = BUILT_IN.model_copy(update={"narrowest_bits": 8})
    assert int8_only.mac_pj(4, 2) == int8_only.mac_pj(8, 8)


def test_every_built_in_figure_has_its_source() -> None:
    sourced = {name.strip() for names in BUILT_IN.sources for name in names.split(",")}
    prices = {name for name in type(BUILT_IN).model_fields if name.endswith(("_pj", "_bit", "_bytes", "_w"))}
    assert prices <= sourced


def test_a_file_of_ones_own_is_read_as_yaml_or_json(tmp_path: Path) -> None:
    fields = BUILT_IN.model_dump() | {"name": "mine", "static_w": 0.25}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(fields))
    assert read_energy_model(path).static_w == 0.25


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"static_w": -1}, r"mine\.yaml line \d+: static_w must be greater than or equal to 0, but got -1"),
        ({"dram_pj": 3}, r"dram_pj is no field: did you mean 'dram_pj_per_bit'"),
        ({"name": None}, "name must be a valid string, but got None"),
    ],
)
def test_a_wrong_file_is_named_with_its_field(tmp_path: Path, change: dict[str, object], says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps(BUILT_IN.model_dump() | change, indent=1))
    with pytest.raises(InputError, match=says):
        read_energy_model(path)


def test_an_empty_file_is_told_where_to_start_from(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.touch()
    with pytest.raises(InputError, match=r"mine\.yaml is empty; `cat .*constants\.yaml` prints one"):
        read_energy_model(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the constants of energy .*none\.yaml"):
        read_energy_model(tmp_path / "none.yaml")


def test_measurements_get_modelled_energies_that_a_predictor_learns(tmp_path: Path) -> None:
    space = get_space("demo")
    candidates = Candidates.of_genomes(space, space.sample_genomes(60, np.random.default_rng(0)), 8, 8)
    with Store(tmp_path / "store.sqlite") as store:
        taken = profile(get_device("fpga-zcu102-dpu"), candidates, store)
    kept = with_modelled_energy(taken, candidates, BUILT_IN)
    assert kept == taken, "the DPU models its own"
    bare = [type(one)(**{**vars(one), "energy_mj": None, "energy_source": None}) for one in taken]
    modelled = with_modelled_energy(bare, candidates, BUILT_IN)
    assert {one.energy_source for one in modelled} == {"modelled"}
    assert modelled[0].energy["source"] == "modelled"
    fitted = fit_and_score(space, candidates, [one.energy_mj for one in modelled], metric="energy_mj")
    assert fitted.predictor.metric == "energy_mj"
    assert fitted.score.mape_percent < 5


def test_imported_energies_are_not_overwritten(tmp_path: Path) -> None:
    space = get_space("demo")
    candidates = Candidates.of_genomes(space, space.sample_genomes(1, np.random.default_rng(0)), 8, 8)
    with Store(tmp_path / "store.sqlite") as store:
        (one,) = profile(get_device("fpga-zcu102-dpu"), candidates, store)
    imported = type(one)(**{**vars(one), "energy_source": "imported"})
    with pytest.raises(InputError, match="come from its block table"):
        with_modelled_energy([imported], candidates, BUILT_IN)
