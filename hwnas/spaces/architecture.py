"""Architectures, bitwidth policies and candidates: immutable values with a JSON form."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

Values = tuple[tuple[str, int | tuple[int, ...]], ...]


@dataclass(frozen=True)
class Architecture:
    """One point of a space in canonical form; equal architectures build equal networks.

    Made by a space (`space.architecture`, `space.sample`), which writes the smallest choice into
    every gene that depth switches off.

    Attributes:
        space: the name of the space.
        values: pairs of gene group and value, in the space's order, such as `("ks", (3, 5))`.
    """

    space: str
    values: Values

    def __getitem__(self, group: str) -> Any:
        return dict(self.values)[group]

    def to_json(self) -> dict[str, Any]:
        """Returns the field's own form: `{"space": "demo", "ks": [...], ..., "r": 48}`."""
        groups = {k: list(v) if isinstance(v, tuple) else v for k, v in self.values}
        return {"space": self.space, **groups}


@dataclass(frozen=True)
class BitwidthPolicy:
    """Weight and activation bits for each quantizable layer of the executed chain, in order."""

    weights: tuple[int, ...]
    activations: tuple[int, ...]

    def to_json(self) -> dict[str, list[int]]:
        """Returns `{"weights": [...], "activations": [...]}`."""
        return {"weights": list(self.weights), "activations": list(self.activations)}


@dataclass(frozen=True)
class Candidate:
    """An architecture (its image size included) with a bitwidth policy: what the search moves."""

    architecture: Architecture
    bits: BitwidthPolicy

    def to_json(self) -> dict[str, Any]:
        """Returns the architecture's JSON with `bits` added."""
        return {**self.architecture.to_json(), "bits": self.bits.to_json()}

    @property
    def id(self) -> str:
        """A short name: ten hexadecimal digits that depend on the canonical JSON alone."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:10]
