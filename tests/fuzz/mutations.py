"""Ways to spoil a valid file: its bytes, its text, and the structure inside its container."""

import csv
import io
import json
import lzma
import sqlite3
import struct
import warnings
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

Rng = np.random.Generator
Mutation = Callable[[bytes, Rng], bytes]

TEXTS = (
    *("", " ", "x" * 70_000, "\n", "a\nb", "'\"", "<script>alert(1)</script>", "[/red]", "{}", "%s"),
    *("../../../climbed", "/etc/passwd", "a\x00b", "\x1b]0;title\x07\x1b[2J", "\u202egnp.exe", "\ud800"),
    *("NaN", "Infinity", "-1", "1e999", "9" * 400, "9" * 5000, "0x10", "1_0", "null", "true", "=1+1"),
    *("__import__('os').system('false')", "!!python/object/apply:os.system [x]", "&a [*a, *a]"),
)
NUMBERS = (0, -1, 1, 2, 7, 0.5, -0.0, 1e-320, 1e308, 2**31, 2**63, 2**64, 10**18, 10**30, 10**400)
_DEEP, _LONG = '"@deep@"', '"@long@"'
VALUES: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], {"": None}, float("nan"), float("inf"), -float("inf")),
    *(_DEEP[1:-1], _LONG[1:-1], *NUMBERS, *TEXTS),
)


def in_bytes(content: bytes, rng: Rng) -> bytes:
    """Returns the content with one to four spans cut, doubled, flipped, filled or overwritten."""
    spoilt = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, len(spoilt) + 1))
        span = slice(at, at + int(rng.choice([1, 1, 2, 4, 8, 64, 1024])))
        match int(rng.integers(0, 8)):
            case 0:
                del spoilt[span]
            case 1:
                spoilt[at:at] = spoilt[span]
            case 2:
                spoilt[span] = bytes(byte ^ (1 << int(rng.integers(0, 8))) for byte in spoilt[span])
            case 3:
                spoilt[span] = rng.bytes(len(spoilt[span]))
            case 4:
                spoilt[at : at + 8] = struct.pack("<q", int(rng.choice([0, -1, 1, 2**31, 2**40, 2**62])))
            case 5:
                spoilt[span] = b"\xff" * len(spoilt[span])
            case 6:
                spoilt[at:at] = str(rng.choice(TEXTS)).encode("utf-8", "surrogatepass")
            case _:
                del spoilt[at:]
    return bytes(spoilt)


def in_text(content: bytes, rng: Rng) -> bytes:
    """Returns the text with a few words or lines replaced by hostile ones, doubled, swapped or cut."""
    import re

    lines = content.decode().split("\n")
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(lines)))
        match int(rng.integers(0, 6)):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[int(rng.integers(0, len(lines)))])
            case 2:
                lines[at] = lines[at][: int(rng.integers(0, len(lines[at]) + 1))]
            case _:
                words = list(re.finditer(r"[\w.+-]+|[^\w\s]", lines[at]))
                if words:
                    word = words[int(rng.integers(0, len(words)))]
                    other = VALUES[int(rng.integers(0, len(VALUES)))]
                    text = other if isinstance(other, str) else _dumped(other)
                    lines[at] = lines[at][: word.start()] + text + lines[at][word.end() :]
        lines = lines or [""]
    return "\n".join(lines).replace("@deep@", "[" * 9000).encode("utf-8", "surrogatepass")


def in_value(value: Any, rng: Rng) -> Any:
    """Returns a parsed JSON value with one part, anywhere in it, replaced, renamed, doubled or left out."""
    places = list(_places(value))
    if not places:
        return VALUES[int(rng.integers(0, len(VALUES)))]
    holder, key = places[int(rng.integers(0, len(places)))]
    match int(rng.integers(0, 6)):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[str(rng.choice(TEXTS))] = holder.pop(key)
        case 2 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 3:
            other, its = places[int(rng.integers(0, len(places)))]
            if its in other if isinstance(other, dict) else its < len(other):
                holder[key] = json.loads(json.dumps(other[its]))
        case _:
            holder[key] = VALUES[int(rng.integers(0, len(VALUES)))]
    return value


def in_json(content: bytes, rng: Rng) -> bytes:
    """Returns JSON with some of its parts spoilt; still JSON, or Python's extension with NaN."""
    value = json.loads(content)
    for _ in range(int(rng.integers(1, 3))):
        value = in_value(value, rng)
    text = _dumped(value)
    if isinstance(value, dict) and value and rng.random() < 0.05:  # one name twice: Python takes the later
        name = sorted(value)[int(rng.integers(0, len(value)))]
        text = f"{text[:-1]}, {json.dumps(name)}: {_dumped(VALUES[int(rng.integers(0, len(VALUES)))])}}}"
    return text.encode("utf-8", "surrogatepass")


def in_json_lines(content: bytes, rng: Rng) -> bytes:
    """Returns lines of JSON, one of them spoilt."""
    lines = content.splitlines()
    at = int(rng.integers(0, len(lines)))
    lines[at] = in_json(lines[at], rng)
    return b"\n".join(lines) + b"\n"


def in_cells(content: bytes, rng: Rng) -> bytes:
    """Returns a CSV with a cell replaced, a row or column doubled or left out, or columns without end."""
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    row = rows[int(rng.integers(0, len(rows)))]
    column = int(rng.integers(0, max(1, len(row))))
    match int(rng.integers(0, 10)):
        case 0:
            rows.remove(row)
        case 1:
            rows.insert(0, row)
        case 2:
            rows = [[*one, one[column]] if column < len(one) else one for one in rows]
        case 3:
            rows = [[*one[:column], *one[column + 1 :]] for one in rows]
        case 4 if rng.random() < 0.1:
            row += ["x"] * 1_000_000
        case _:
            value = VALUES[int(rng.integers(0, len(VALUES)))]
            row[column : column + 1] = [value if isinstance(value, str) else _dumped(value)]
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


def in_safetensors_header(content: bytes, rng: Rng) -> bytes:
    """Returns a safetensors file whose header, or a JSON text in its metadata, is spoilt."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    if rng.random() < 0.5:
        names = sorted(header["__metadata__"])
        name = names[int(rng.integers(0, len(names)))]
        text = header["__metadata__"][name].encode()
        header["__metadata__"][name] = (in_json if text[:1] in b'{["' else in_text)(text, rng).decode(
            "utf-8", "replace"
        )
    else:
        header = in_value(header, rng)
    made = _dumped(header).encode("utf-8", "replace")
    claimed = len(made) if rng.random() < 0.9 else int(rng.choice([2**40, 2**62, len(made) + 8]))
    return claimed.to_bytes(8, "little") + made + content[8 + size :]


def in_zip_member(content: bytes, rng: Rng) -> bytes:
    """Returns an archive with one member spoilt, renamed out of the archive, left out or doubled."""
    out = io.BytesIO()
    packing = zipfile.ZIP_DEFLATED if rng.random() < 0.1 else zipfile.ZIP_STORED
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(out, "w", packing) as new,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of two members with one name
        names = old.namelist()
        pickled = [name for name in names if name.endswith(".pkl")]
        target = pickled[0] if rng.random() < 0.8 else names[int(rng.integers(0, len(names)))]
        for name in names:
            data = old.read(name)
            if name == target:
                match int(rng.integers(0, 9)):
                    case 0:
                        name = f"../../../{name}"
                    case 1:
                        continue
                    case 3:
                        new.writestr(name, data)
                    case 2:
                        data = data[: len(data) // 2]
                    case _:
                        data = in_bytes(data, rng)
            new.writestr(name, data)
    return out.getvalue()


def in_xz_json(content: bytes, rng: Rng) -> bytes:
    """Returns compressed JSON with its JSON spoilt."""
    return lzma.compress(in_json(lzma.decompress(content), rng), preset=0)


def in_onnx_fields(content: bytes, rng: Rng) -> bytes:
    """Returns an ONNX file with a metadata entry, a node, a tensor or a shape spoilt."""
    import onnx

    model = onnx.load_model_from_string(content)
    graph, number = model.graph, int(rng.choice([-1, 0, 1, 2**31 - 1, 2**40, 2**62]))

    def one(items: Sequence[Any]) -> Any:
        return items[int(rng.integers(0, len(items)))]

    match int(rng.integers(0, 8)):
        case 0 | 1 | 2:
            entry = one(model.metadata_props)
            spoil = in_json if entry.value[:1] in ("{", "[") else in_text
            entry.value = spoil(entry.value.encode(), rng).decode("utf-8", "replace")
        case 3:
            node = one(graph.node)
            setattr(
                node, str(rng.choice(["op_type", "name", "domain"])), "Loop" if rng.random() < 0.5 else "x"
            )
        case 4:
            tensor = one(graph.initializer)
            if tensor.dims:
                tensor.dims[0] = number
            else:
                tensor.data_type = int(rng.integers(0, 30))
        case 5:
            tensor = one(graph.initializer)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="../../../etc/passwd")
        case 6:
            shape = one([*graph.input, *graph.output]).type.tensor_type.shape.dim
            one(shape).dim_value = number
        case _:
            attributes = [attribute for node in graph.node for attribute in node.attribute]
            attribute = one(attributes)
            attribute.i = number
            attribute.ints.append(number)
    return bytes(model.SerializeToString())


def in_sqlite_rows(content: bytes, rng: Rng) -> bytes:
    """Returns an SQLite file with a record, a cell or the schema spoilt, by SQL."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _spoil_rows(connection, content, rng)
        return connection.serialize()


def _spoil_rows(connection: sqlite3.Connection, content: bytes, rng: Rng) -> None:
    connection.deserialize(content[:18] + b"\1\1" + content[20:])  # memory knows no write-ahead log
    table, column = (
        ("measurements", "record"),
        ("fingerprints", "facts"),
        ("canaries", "reference_ms"),
        ("measurements", "id"),
    )[int(rng.choice([0, 0, 0, 0, 1, 2, 3]))]
    match int(rng.integers(0, 8)):
        case 0:
            connection.execute(f"ALTER TABLE {table} RENAME TO other")
            connection.execute(
                f"CREATE VIEW {table} AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
                "SELECT x AS id, 'a' AS subject, 'f' AS fingerprint, '{}' AS record, '{}' AS facts, "
                "'f' AS digest, 1 AS reference_ms FROM n"
            )
        case 1:
            connection.execute(f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END")
        case 2:
            connection.execute(f"PRAGMA user_version = {int(rng.choice([-1, 0, 1, 99]))}")
        case 3:
            value = VALUES[int(rng.integers(0, len(VALUES)))]
            plain = value if isinstance(value, str | None) else _dumped(value)
            if isinstance(plain, str):
                plain = plain.encode("utf-8", "surrogatepass")
                plain = plain if rng.random() < 0.3 else plain.decode("utf-8", "replace")
            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (plain,))
        case _ if column in ("record", "facts"):
            rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
            row, text = rows[int(rng.integers(0, len(rows)))]
            spoilt = in_json(text.encode(), rng).decode("utf-8", "replace")
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (spoilt, row))
        case _:
            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", ("x",))


def any_of(*mutations: Mutation) -> Mutation:
    """Returns the mutation that takes one of several by chance; the first where the chosen one cannot."""

    def mutate(content: bytes, rng: Rng) -> bytes:
        chosen = mutations[int(rng.integers(0, len(mutations)))]
        try:
            return chosen(content, rng)
        except Exception:  # the content need not be of the form that the chosen one expects
            return mutations[0](content, rng)

    return mutate


def write(path: Path, content: bytes) -> None:
    """Writes a file where its folder may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _places(value: Any) -> Any:
    """Yields every holder in a JSON value with each of its keys."""
    for key, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from _places(inner)


def _dumped(value: Any) -> str:
    text = json.dumps(value)
    return text.replace(_DEEP, "[" * 9000 + "]" * 9000).replace(_LONG, "[" + "0," * 99_999 + "0]")
