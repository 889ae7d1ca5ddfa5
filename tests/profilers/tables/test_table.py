"""Block tables: sums over many candidates, and the CSV file with every way it can be wrong."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.profilers.tables import BlockCost, BlockTable, block_key
from hwnas.profilers.tables.file import COLUMNS, read_table, table_digest, table_text, write_table
from hwnas.spaces import Candidates, Layer, Space, get_space
from hwnas.spaces.layer import describe
from tests.chains import residual_chain

HEADER = ",".join(COLUMNS)
CONV = "conv,3,16,,3,2,32,,relu,8,8,0.25,1.5,board"


@pytest.fixture(scope="module")
def space() -> Space:
    return get_space("demo")


@pytest.fixture(scope="module")
def table(space: Space) -> BlockTable:
    layers = [
        replace(layer, weight_bits=w, activation_bits=a)
        for layer in space.vocabulary
        for w, a in [(8, 8), (32, 32)]
    ]
    rows = {block_key(layer): BlockCost(float(n) + 1, float(2 * n) + 2) for n, layer in enumerate(layers)}
    return BlockTable("board", rows, BlockCost(100.0, 7.0))


def candidates_of(space: Space, n: int, seed: int = 0) -> Candidates:
    rng = np.random.default_rng(seed)
    bits = rng.choice([8, 32], size=(n, len(space.slots)))
    return Candidates.of_genomes(space, space.sample_genomes(n, rng), bits, bits)


def lines(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


class TestSums:
    def test_a_sum_is_that_of_the_rows_and_the_constant(self, space: Space, table: BlockTable) -> None:
        candidates = candidates_of(space, 40)
        expected = [
            100.0 + sum(table.rows[block_key(layer)].latency_ms for layer in candidates.layers(row))
            for row in range(len(candidates))
        ]
        assert table.latency_ms(candidates) == pytest.approx(expected)
        assert table.total(candidates.layers(3)).latency_ms == pytest.approx(expected[3])

    def test_energy_adds_up_likewise(self, space: Space, table: BlockTable) -> None:
        candidates = candidates_of(space, 5)
        energy = table.energy_mj(candidates)
        assert energy is not None
        assert energy == pytest.approx([table.total(candidates.layers(i)).energy_mj for i in range(5)])

    def test_one_block_without_energy_leaves_no_energy(self, space: Space, table: BlockTable) -> None:
        candidates = candidates_of(space, 5)
        key = block_key(candidates.layers(0)[0])
        partial = BlockTable("board", {**table.rows, key: BlockCost(1.0)})
        assert partial.energy_mj(candidates) is None
        assert partial.total(candidates.layers(0)).energy_mj is None
        assert partial.latency_ms(candidates).shape == (5,)

    def test_no_candidates_have_no_sums(self, space: Space, table: BlockTable) -> None:
        assert table.latency_ms(candidates_of(space, 1)[[]]).shape == (0,)

    def test_a_missing_block_is_an_error_that_names_it_and_who_needs_it(
        self, space: Space, table: BlockTable
    ) -> None:
        candidates = candidates_of(space, 30)
        gone = next(layer for layer in candidates.layers(0) if layer.kind == "mbconv")
        key = block_key(gone)
        needing = sum(key in [block_key(layer) for layer in candidates.layers(i)] for i in range(30))
        poorer = BlockTable("board", {k: v for k, v in table.rows.items() if k != key})
        assert [block_key(layer) for layer in poorer.missing(candidates)] == [key]
        with pytest.raises(
            InputError, match=f"{needing} of 30 candidates .* need.*{re.escape(describe(key))}"
        ):
            poorer.latency_ms(candidates)
        with pytest.raises(InputError, match="the network needs"):
            poorer.total(candidates.layers(0))

    def test_only_the_first_missing_blocks_are_listed(self, space: Space) -> None:
        candidates = candidates_of(space, 30)
        empty = BlockTable("board", {})
        with pytest.raises(InputError, match=r"and \d+ more") as caught:
            empty.latency_ms(candidates)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 800

    def test_bits_of_a_pool_do_not_count(self) -> None:
        pool = Layer("pool", 8, 8, 4, kernel=4, norm=False)
        table = BlockTable(
            "board", {block_key(replace(pool, weight_bits=8, activation_bits=8)): BlockCost(2.0)}
        )
        assert table.total([pool]).latency_ms == 2.0


class TestFile:
    def test_a_table_comes_back_as_written(self, tmp_path: Path, table: BlockTable) -> None:
        whole = BlockTable("my board, rev 2", table.rows, table.constant, batch=4, clock_mhz=281.0)
        write_table(tmp_path / "t.csv", whole)
        back = read_table(tmp_path / "t.csv")
        assert (back.device, back.batch, back.clock_mhz) == ("my board, rev 2", 4, 281.0)
        assert (back.rows, back.constant) == (whole.rows, whole.constant)
        assert table_digest(back) == table_digest(whole)

    @given(
        latency_ms=st.floats(1e-9, 1e9),
        energy_mj=st.none() | st.floats(1e-9, 1e9),
        source=st.text(st.characters(codec="utf-8"), max_size=20),
    )
    def test_figures_survive_exactly(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        latency_ms: float,
        energy_mj: float | None,
        source: str,
    ) -> None:
        layer = Layer("conv", 3, 16, 32, kernel=3, stride=2, weight_bits=8, activation_bits=4)
        path = tmp_path_factory.mktemp("t") / "t.csv"
        path.write_text(
            table_text(BlockTable("b", {layer: BlockCost(latency_ms, energy_mj, source)})), "utf-8"
        )
        cost = read_table(path).rows[layer]
        assert (cost.latency_ms, cost.energy_mj) == (latency_ms, energy_mj)

    def test_a_hand_made_table_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.csv"
        path.write_bytes(
            b"\xef\xbb\xbf# batch: 2\r\n# a note\r\n\r\n"
            + HEADER.encode()
            + b"\r\n"
            + CONV.encode()
            + b"\r\n"
            b"pool,8,8,,4,1,4,,,,,0.1,,\r\ndevice,,,,,,,,,,,0.5,,runtime\r\n"
        )
        table = read_table(path)
        conv = Layer("conv", 3, 16, 32, 3, 2, activation="relu", weight_bits=8, activation_bits=8)
        assert table.device == "mine"
        assert table.batch == 2
        assert table.cost(conv) == BlockCost(0.25, 1.5, "board")
        assert table.constant == BlockCost(0.5, None, "runtime")

    def test_every_kind_of_layer_comes_back(self, tmp_path: Path) -> None:
        rows = {block_key(layer): BlockCost(1.0 + n) for n, layer in enumerate(residual_chain(33, 8))}
        write_table(tmp_path / "t.csv", BlockTable("board", rows))
        assert read_table(tmp_path / "t.csv").rows == rows
        text = (tmp_path / "t.csv").read_text(encoding="utf-8")
        assert "bottleneck,32,48,16,3,2,9,0,relu,8,8,7.0,," in text
        assert "max_pool,16,16,0,3,2,17,0,none,32,32,4.0,," in text

    def test_columns_may_stand_in_any_order(self, tmp_path: Path) -> None:
        path = tmp_path / "t.csv"
        path.write_text(
            ",".join(reversed(COLUMNS)) + "\n" + ",".join(reversed(CONV.split(","))) + "\n", encoding="utf-8"
        )
        assert len(read_table(path).rows) == 1

    def test_rows_that_agree_may_repeat(self, tmp_path: Path) -> None:
        assert len(read_table(lines(tmp_path / "t.csv", CONV, CONV)).rows) == 1

    def test_the_source_of_the_figures_is_free_text(self, tmp_path: Path) -> None:
        path = lines(tmp_path / "t.csv", 'conv,3,16,,3,2,32,,relu,8,8,0.25,,"a, ""b"" <script>"')
        assert next(iter(read_table(path).rows.values())).source == 'a, "b" <script>'

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (CONV.replace("0.25", "nan"), "line 2: latency_ms must be a number above zero, but got 'nan'"),
            (CONV.replace("0.25", "inf"), "latency_ms must be a number above zero"),
            (CONV.replace("0.25", "1e999"), "latency_ms must be a number above zero"),
            (CONV.replace("0.25", "-1"), "latency_ms must be a number above zero"),
            (CONV.replace("0.25", "0"), "latency_ms must be a number above zero"),
            (CONV.replace("0.25", ""), "latency_ms must be a number above zero"),
            (CONV.replace("0.25", "1_0"), "latency_ms must be a number above zero"),
            (CONV.replace("0.25", "1.2.3"), "latency_ms must be a number above zero"),
            (CONV.replace("1.5", "-1.5"), "energy_mj must be a number above zero"),
            (CONV.replace("conv", "magic"), "kind must be one of conv"),
            (CONV.replace("relu", "gelu"), "activation must be one of"),
            (CONV.replace(",16,", ",0,"), "out_channels must be a whole number of at least 1, but got '0'"),
            (CONV.replace(",16,", ",16.0,"), "out_channels must be a whole number"),
            (CONV.replace(",16,", "," + "9" * 5000 + ","), "out_channels must be a whole number"),
            (CONV.replace(",8,8,", ",17,8,"), "weight_bits must be from 1 to 16, or 32"),
            (CONV.replace("3,16,,", "3,16,8,"), "only an mbconv or a bottleneck has mid_channels"),
            (CONV.replace("conv", "mbconv"), "mid_channels must be a whole number of at least 1"),
            (CONV.replace(",32,,", ",32,maybe,"), "se must be one of"),
            (CONV.replace("conv", "bottleneck"), "mid_channels must be a whole number of at least 1"),
            (CONV.replace("conv", "max_pool"), "a max_pool must have as many out_channels"),
            (CONV.replace("conv,3", "residual_conv,16"), "a residual_conv must have stride 1, but got 2"),
            ("bottleneck,64,256,64,3,1,56,1,relu,8,8,0.25,,", "only an mbconv has se"),
            ("pool,8,16,,4,1,4,,,,,0.1,,", "a pool must have as many out_channels"),
            ("device,3,,,,,,,,,,0.5,,", "must leave the columns of the block empty"),
            (CONV + ",more", "must have 14 columns, but has 15"),
            (CONV.replace("board", '"board'), "line 2: "),
        ],
    )
    def test_a_bad_row_is_refused_with_its_line(self, tmp_path: Path, row: str, message: str) -> None:
        with pytest.raises(InputError) as caught:
            read_table(lines(tmp_path / "t.csv", row))
        assert message in str(caught.value)
        assert "line 2" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_errors_are_listed_together_the_first_few(self, tmp_path: Path) -> None:
        bad = CONV.replace("0.25", "0")
        with pytest.raises(InputError, match=r"line 2: .*line 4: .*and 3 more") as caught:
            read_table(lines(tmp_path / "t.csv", bad, CONV, *[bad] * 7))
        assert "\n" not in str(caught.value)

    def test_rows_that_disagree_are_refused(self, tmp_path: Path) -> None:
        path = lines(tmp_path / "t.csv", CONV, CONV.replace("0.25", "0.5"))
        with pytest.raises(
            InputError, match=r"line 3: disagrees with line 2 about conv 3->16 .*0\.5 ms.*0\.25 ms"
        ):
            read_table(path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "there must be a header line"),
            (HEADER.encode(), "there must be at least one block"),
            (CONV.encode(), "line 1: the header must be"),
            (b"kind,latency_ms\nconv,1\n", "missing: in_channels"),
            (b"\x80\x04\x95pickle", "line 1 is not UTF-8 text"),
            (
                b"# batch: 0\n" + HEADER.encode() + b"\n" + CONV.encode(),
                "line 1: batch must be a whole number",
            ),
            (b"# clock_mhz: fast\n" + HEADER.encode() + b"\n" + CONV.encode(), "line 1: clock_mhz must be"),
        ],
    )
    def test_a_file_that_is_no_table_is_refused(self, tmp_path: Path, content: bytes, message: str) -> None:
        (tmp_path / "t.csv").write_bytes(content)
        with pytest.raises(InputError, match=re.escape(message)):
            read_table(tmp_path / "t.csv")

    def test_a_missing_file_a_folder_and_a_huge_file_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(InputError, match="cannot read block table"):
            read_table(tmp_path / "none.csv")
        with pytest.raises(InputError, match="cannot read block table"):
            read_table(tmp_path)
        monkeypatch.setattr("hwnas.profilers.tables.file.MAX_FILE_BYTES", 100)
        with pytest.raises(InputError, match="must be at most"):
            read_table(lines(tmp_path / "t.csv", CONV))
