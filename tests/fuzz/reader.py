"""What an entry of the harness is: a valid file, how to spoil it, and what a command does with it."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hwnas.errors import HwnasError
from hwnas.spaces import Space, get_space

from .mutations import Mutation, Rng


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    Attributes:
        valid: makes the content of valid files by name; a mutated file takes the place of one.
        mutate: spoils a content.
        use: reads what lies in a folder and goes on as the commands do; refusals are `HwnasError`.
        apart: whether the files have nothing to do with each other.
    """

    valid: Callable[[], dict[str, bytes]]
    mutate: Mutation
    use: Callable[[Path], object]
    apart: bool = False


def mutated(reader: Reader, files: dict[str, bytes], rng: Rng) -> dict[str, bytes]:
    """Returns the valid files with one of them spoilt; that one alone where they are read apart."""
    names = sorted(files)
    name = names[int(rng.integers(0, len(names)))]
    return {**({} if reader.apart else files), name: reader.mutate(files[name], rng)}


def printed(value: object) -> None:
    """Fails where a command that prints the value as JSON would."""
    json.dumps(value, allow_nan=False, default=str)


@cache
def demo() -> Space:
    """Returns the demo space, whose tables are made once."""
    return get_space("demo")


def each(*parts: Callable[[], object]) -> None:
    """Calls every part; raises the refusal of the first that refused."""
    refusals = []
    for part in parts:
        try:
            part()
        except HwnasError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def written(name: str, write: Callable[[Path], object]) -> dict[str, bytes]:
    """Returns what is written to a file, under its name."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        content = (Path(folder) / name).read_bytes()
    return {name: _in_order(content) if name.endswith(".safetensors") else content}


def _in_order(content: bytes) -> bytes:
    """A safetensors file whose header has its names in order: its writer takes another each time."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    made = json.dumps(header, sort_keys=True).encode()
    return len(made).to_bytes(8, "little") + made + content[8 + size :]
