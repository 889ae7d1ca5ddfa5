"""Block tables as CSV files: one row a block.

A row of kind `device` with the block's columns empty holds what every network costs on top of its
blocks: runtime, first load, last copy. Comment lines `# device: NAME`, `# batch: N` and
`# clock_mhz: F` may stand above the header; the figures are those of a whole batch. `# valid: TEXT`
says what comparing its sums with whole networks gave.
"""

import csv
import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from hwnas.errors import InputError
from hwnas.files import read_text, write_text
from hwnas.profilers.tables import BlockCost, BlockTable, block_key
from hwnas.spaces import FLOAT_BITS, Layer
from hwnas.spaces.layer import Activation, LayerKind, describe

COLUMNS = (
    "kind",
    "in_channels",
    "out_channels",
    "mid_channels",
    "kernel",
    "stride",
    "in_size_px",
    "se",
    "activation",
    "weight_bits",
    "activation_bits",
    "latency_ms",
    "energy_mj",
    "source",
)
# A million rows of a real table fill about 80 MB; anything larger is not one.
MAX_FILE_BYTES = 64 * 2**20
MAX_FIGURE = 1e9
_SHOWN = 5
_DEVICE_ROW = "device"
_LAYER_COLUMNS = COLUMNS[1:11]
_COMMENT = re.compile(r"#\s*(device|batch|clock_mhz|valid)\s*:\s*(.*?)\s*")
_WHOLE = re.compile(r"[0-9]{1,7}")
_NUMBER = re.compile(r"[+-]?[0-9.]+([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


def read_table(path: Path) -> BlockTable:
    """Returns the table in a CSV file, checked as a whole.

    Rows may repeat where they agree. Columns may stand in any order.

    Raises:
        InputError: the file cannot be read, is too large, or has bad lines; the first few are listed
            in one line, each with its number.
    """
    reading = _Reading()
    for number, line in enumerate(_lines(path), 1):
        try:
            reading.take(number, line)
        except (csv.Error, ValueError) as error:
            reading.errors.append(f"line {number}: {error}")
    if reading.header is None and not reading.errors:
        reading.errors.append(f"there must be a header line: {','.join(COLUMNS)}")
    if not reading.costs and not reading.errors:
        reading.errors.append("there must be at least one block below the header")
    if reading.errors:
        more = f"; and {len(reading.errors) - _SHOWN} more" if len(reading.errors) > _SHOWN else ""
        raise InputError(f"block table {path}: {'; '.join(reading.errors[:_SHOWN])}{more}")
    costs = {key: cost for key, (_, cost) in reading.costs.items()}
    constant = costs.pop(None, None)
    rows = {key: cost for key, cost in costs.items() if key is not None}
    return BlockTable(
        reading.device or path.stem, rows, constant, reading.batch, reading.clock_mhz, reading.validity
    )


def write_table(path: Path, table: BlockTable) -> None:
    """Writes the CSV file that `read_table` reads, whole or not at all."""
    write_text(path, table_text(table))


def table_text(table: BlockTable) -> str:
    """Returns the CSV text of a table."""
    stream = io.StringIO()
    stream.write(f"# device: {_one_line(table.device)}\n# batch: {table.batch}\n")
    if table.clock_mhz is not None:
        stream.write(f"# clock_mhz: {table.clock_mhz!r}\n")
    if table.validity:
        stream.write(f"# valid: {_one_line(table.validity)}\n")
    stream.write(",".join(COLUMNS) + "\n")
    if table.constant:
        stream.write(_csv_line([_DEVICE_ROW, *[""] * len(_LAYER_COLUMNS), *_figures(table.constant)]))
    for layer, cost in table.rows.items():
        stream.write(row_text(layer, cost))
    return stream.getvalue()


def row_text(layer: Layer, cost: BlockCost | None = None) -> str:
    """Returns the CSV line of a block; its figures are left empty where the cost is None."""
    fields = [getattr(layer, name) for name in _LAYER_COLUMNS]
    numbers = [int(value) if isinstance(value, bool) else value for value in fields]
    return _csv_line([layer.kind, *numbers, *(_figures(cost) if cost else ("", "", ""))])


def table_digest(table: BlockTable) -> str:
    """Returns sixteen hexadecimal digits of all that a table says; the order of rows does not count."""
    text = "\n".join(sorted(table_text(table).splitlines()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Reading:
    """The state of reading a file: what the header said, the rows so far, the errors so far."""

    def __init__(self) -> None:
        self.header: list[str] | None = None
        self.device = ""
        self.batch = 1
        self.clock_mhz: float | None = None
        self.validity = ""
        # With the line of each; None is the key of the constant.
        self.costs: dict[Layer | None, tuple[int, BlockCost]] = {}
        self.errors: list[str] = []

    def take(self, number: int, line: str) -> None:
        if not line.strip():
            return
        if line.lstrip().startswith("#"):
            self._take_comment(line.strip())
            return
        cells = [cell.strip() for cell in next(csv.reader([line], strict=True))]
        if self.header is None:
            self.header = cells
            _check_header(cells)
        elif len(self.header) != len(COLUMNS) or sorted(self.header) != sorted(COLUMNS):
            return  # One error about the header says it all.
        elif len(cells) != len(self.header):
            raise ValueError(f"must have {len(self.header)} columns, but has {len(cells)}")
        else:
            self._take_row(number, dict(zip(self.header, cells, strict=True)))

    def _take_comment(self, line: str) -> None:
        match = _COMMENT.fullmatch(line)
        if not match or not match[2]:
            return
        if match[1] == "device":
            self.device = match[2]
        elif match[1] == "batch":
            self.batch = _whole("batch", match[2], least=1)
        elif match[1] == "valid":
            self.validity = match[2]
        else:
            self.clock_mhz = _positive("clock_mhz", match[2])

    def _take_row(self, number: int, row: Mapping[str, str]) -> None:
        energy = _positive("energy_mj", row["energy_mj"]) if row["energy_mj"] else None
        cost = BlockCost(_positive("latency_ms", row["latency_ms"]), energy, row["source"])
        key = None if row["kind"] == _DEVICE_ROW else block_key(_layer(row))
        if key is None and any(row[name] for name in _LAYER_COLUMNS):
            raise ValueError("a row of kind 'device' must leave the columns of the block empty")
        first, known = self.costs.setdefault(key, (number, cost))
        if (known.latency_ms, known.energy_mj) != (cost.latency_ms, cost.energy_mj):
            what = describe(key) if key else "the device's constant"
            raise ValueError(
                f"disagrees with line {first} about {what}: {_shown(cost)} against {_shown(known)}"
            )


def _layer(row: Mapping[str, str]) -> Layer:
    """The block of a row; ValueError says which column is wrong."""
    kind = _one_of("kind", row["kind"], (*get_args(LayerKind), _DEVICE_ROW))
    block = kind in ("mbconv", "bottleneck")
    layer = Layer(
        kind=kind,  # type: ignore[arg-type]
        in_channels=_whole("in_channels", row["in_channels"], least=1),
        out_channels=_whole("out_channels", row["out_channels"], least=1),
        mid_channels=_whole("mid_channels", row["mid_channels"] or "0", least=int(block)),
        kernel=_whole("kernel", row["kernel"], least=1),
        stride=_whole("stride", row["stride"], least=1),
        in_size_px=_whole("in_size_px", row["in_size_px"], least=1),
        se=_one_of("se", row["se"].lower() or "0", ("0", "1", "false", "true")) in ("1", "true"),
        activation=_one_of("activation", row["activation"] or "none", get_args(Activation)),  # type: ignore[arg-type]
        weight_bits=_bits("weight_bits", row["weight_bits"], kind),
        activation_bits=_bits("activation_bits", row["activation_bits"], kind),
    )
    if not block and layer.mid_channels:
        raise ValueError(f"only an mbconv or a bottleneck has mid_channels, but this is a {kind}")
    if kind != "mbconv" and layer.se:
        raise ValueError(f"only an mbconv has se, but this is a {kind}")
    if kind in ("pool", "max_pool", "residual_conv") and layer.in_channels != layer.out_channels:
        raise ValueError(f"a {kind} must have as many out_channels as in_channels")
    if kind == "residual_conv" and layer.stride != 1:
        raise ValueError(f"a residual_conv must have stride 1, but got {layer.stride}")
    return layer


def _lines(path: Path) -> list[str]:
    return read_text(path, "block table", MAX_FILE_BYTES).split("\n")


def _check_header(cells: Sequence[str]) -> None:
    if len(cells) > 2 * len(COLUMNS):
        raise ValueError(f"the header must be {','.join(COLUMNS)}, but has {len(cells):,} columns")
    if sorted(cells) != sorted(COLUMNS):
        missing = [name for name in COLUMNS if name not in cells]
        extra = [name for name in cells if name not in COLUMNS or cells.count(name) > 1]
        raise ValueError(
            f"the header must be {','.join(COLUMNS)}; missing: {', '.join(missing) or 'none'}; "
            f"unknown or repeated: {', '.join(dict.fromkeys(extra)) or 'none'}"
        )


def _whole(column: str, text: str, least: int) -> int:
    if not _WHOLE.fullmatch(text) or int(text) < least:
        raise ValueError(f"{column} must be a whole number of at least {least}, but got {_got(text)}")
    return int(text)


def _bits(column: str, text: str, kind: str) -> int:
    if kind in ("pool", "max_pool") and not text:
        return FLOAT_BITS
    bits = _whole(column, text, least=1)
    if bits > 16 and bits != FLOAT_BITS:
        raise ValueError(f"{column} must be from 1 to 16, or {FLOAT_BITS}, but got {_got(text)}")
    return bits


def _positive(column: str, text: str) -> float:
    try:
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
    except ValueError:
        value = math.nan
    if not 0 < value <= MAX_FIGURE:
        raise ValueError(f"{column} must be a number above zero, but got {_got(text)}")
    return value


def _one_of(column: str, text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise ValueError(f"{column} must be one of {', '.join(known)}, but got {_got(text)}")
    return text


def _csv_line(cells: Sequence[object]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(cells)
    return stream.getvalue()


def _figures(cost: BlockCost) -> tuple[str, str, str]:
    energy = "" if cost.energy_mj is None else repr(float(cost.energy_mj))
    return repr(float(cost.latency_ms)), energy, _one_line(cost.source)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _shown(cost: BlockCost) -> str:
    return f"{cost.latency_ms:g} ms" + ("" if cost.energy_mj is None else f" and {cost.energy_mj:g} mJ")


def _got(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
