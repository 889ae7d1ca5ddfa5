"""The model that `fit_quantized` fits: a full-precision one and a change by bits."""

from dataclasses import dataclass
from typing import Any

from hwnas.predictors.bases import Inputs
from hwnas.predictors.features import Floats
from hwnas.predictors.gaussian import GaussianProcess
from hwnas.predictors.model import Model
from hwnas.spaces import Candidates, Space


@dataclass(frozen=True, eq=False)
class Adapted(Model):
    """What an architecture is worth in floating point, and how its bits change that.

    Attributes:
        base: fitted on networks in floating point.
        change: of the target by the bits, fitted on quantized networks.
    """

    base: GaussianProcess
    change: GaussianProcess

    def mean(self, inputs: Inputs) -> Floats:
        """Returns the expected target [n]."""
        expected: Floats = self.base.mean(in_float(inputs)) + self.change.mean(inputs)
        return expected

    def mean_and_deviation(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Returns the expected target [n] and the standard deviation [n] of one measurement."""
        worth, _ = self.base.mean_and_deviation(in_float(inputs))
        # The base's own errors were left over to the change, whose noise holds them.
        change, deviation = self.change.mean_and_deviation(inputs)
        return worth + change, deviation

    def to_json(self) -> dict[str, Any]:
        """Returns both parts."""
        return {"kind": "adapted", "base": self.base.to_json(), "change": self.change.to_json()}

    @staticmethod
    def of_json(fields: dict[str, Any], space: Space) -> "Adapted":
        """Returns what `to_json` described; KeyError, TypeError or ValueError if malformed."""
        base, change = (GaussianProcess.of_json(fields[name], space, None) for name in ("base", "change"))
        return Adapted(base, change)


def in_float(inputs: Inputs) -> Inputs:
    """Returns the same architectures in floating point."""
    candidates = inputs.candidates
    return Inputs(Candidates.of_genomes(candidates.space, candidates.genomes))
