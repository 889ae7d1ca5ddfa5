"""What two values of JSON differ in, for those who must be told why one cannot go on from the other."""

from collections.abc import Iterator, Mapping
from typing import Any


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yields the keys whose values differ, inner ones as `outer.inner`, in alphabetical order."""
    for name in sorted({*found, *wanted}):
        one, other = found.get(name), wanted.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from (f"{name}.{inner}" for inner in differing(one, other))
        elif one != other:
            yield name


def told(found: Any, wanted: Any) -> str:
    """Returns the differences as a text: `epochs is 6, not 12; sampling.num_random is 2, not 4`."""
    if not isinstance(found, Mapping) or not isinstance(wanted, Mapping):
        return f"{found}, not {wanted}"
    return "; ".join(
        f"{path} is {_at(found, path)}, not {_at(wanted, path)}" for path in differing(found, wanted)
    )


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name)
    return value
