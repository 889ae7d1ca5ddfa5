"""Fingerprints: the facts that make two measurements comparable, and a digest of them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

Fact = str | int


@dataclass(frozen=True)
class Fingerprint:
    """The identity of a device: measurements are shared where all facts are equal.

    What may change from one hour to the next (governor, load, pinned core) is not among them: it
    stands in each measurement's conditions.
    """

    facts: Mapping[str, Fact]

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the facts, in any order."""
        text = json.dumps(dict(self.facts), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
