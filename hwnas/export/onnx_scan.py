"""ONNX files counted before they are parsed: an empty node is two bytes in a file, fifty times that later.

Source: the wire format of protocol buffers, and onnx.proto for the numbers of fields.
"""

from collections.abc import Iterator, Mapping

# A network of ours has some dozen fields a node; each takes a hundred bytes at most.
MAX_PARTS = 500_000
# Names, texts and whatever is not looked into.
MAX_OTHER_BYTES = 8 * 2**20

Fields = Mapping[int, "Fields"]

# Messages by the numbers of the fields that hold them; what is not named here is not looked into.
_LEAF: Fields = {}
_TYPE: Fields = {1: {2: {1: _LEAF}}}  # a tensor's shape and its dimensions
_VALUE: Fields = {2: _TYPE}
_TENSOR: Fields = dict(_LEAF)
# Raw data, and numbers in a row: they take about as much in memory as in the file.
_DATA = (4, 5, 7, 9, 10, 11)
_ATTRIBUTE: Fields = {5: _TENSOR, 10: _TENSOR}
_NODE: Fields = {5: _ATTRIBUTE}
_GRAPH: Fields = {1: _NODE, 5: _TENSOR, 11: _VALUE, 12: _VALUE, 13: _VALUE}
_MODEL: Fields = {7: _GRAPH, 8: _LEAF, 14: _LEAF}


def check_parts(content: bytes) -> None:
    """Checks that a file has no more parts than a network of ours could.

    Raises:
        ValueError: it has, or its lengths do not fit it.
    """
    parts = others = 0
    waiting: list[tuple[Fields, int, int]] = [(_MODEL, 0, len(content))]
    while waiting:
        fields, begin, end = waiting.pop()
        for number, start, stop in _fields(content, begin, end):
            parts += 1
            if number in fields:
                waiting.append((fields[number], start, stop))
            elif not (fields is _TENSOR and number in _DATA):
                others += stop - start
            if parts > MAX_PARTS or others > MAX_OTHER_BYTES:
                raise ValueError("it has more parts than any network of ours")


def _fields(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yields the number of each field with where its content begins and ends; plain numbers have none."""
    while at < end:
        key, at = _varint(content, at, end)
        kind, start = key & 7, at
        if kind == 0:
            _, at = _varint(content, at, end)
            start = at
        elif kind == 2:
            size, start = _varint(content, at, end)
            at = start + size
        elif kind in (1, 5):
            at = start = at + (8 if kind == 1 else 4)
        else:
            raise ValueError("it has a field of no known kind")
        if at > end:
            raise ValueError("it is cut short")
        yield key >> 3, start, at


def _varint(content: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("it is cut short")
