"""Regressors of other packages: a short contract, and what makes a model of one that keeps it."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.errors import InputError
from hwnas.plugins import find, known_names
from hwnas.predictors.bases import Inputs
from hwnas.predictors.features import Floats
from hwnas.predictors.model import SMALLEST_DEVIATION, Model
from hwnas.spaces import Candidates, Space

GROUP = "hwnas.predictors"


class Regressor(ABC):
    """A regressor of one's own: candidates in, targets out. Fitted, and then never changed.

    A target is what a measurement says beyond what is known without it: for times and energies the
    logarithm of the value over what physics expects (launches, work and traffic, fitted to the same
    measurements), so that 0.1 is 10 % more; for metrics that begin with `accuracy` the percentage
    itself. Around the regressor stay the physics, the held-out score and the calibrated intervals.

    A package registers its class by an entry point of the group `hwnas.predictors`. Then
    `--model NAME` fits it and files of predictors name it: whoever reads one needs the package, and
    nothing but the class of that name is ever run.
    """

    @staticmethod
    @abstractmethod
    def fit(candidates: Candidates, targets: Floats, seed: int) -> "Regressor":
        """Returns a regressor fitted to the targets [n] of n candidates."""

    @abstractmethod
    def mean(self, candidates: Candidates) -> Floats:
        """Returns the expected target of each candidate [n], finite."""

    def deviation(self, candidates: Candidates) -> Floats:
        """Returns how uncertain each target is [n], above zero, up to a factor.

        Held-out errors set the factor, so the default, all alike, gives intervals that hold too.
        """
        return np.full(len(candidates), 0.05)

    def to_json(self) -> dict[str, Any]:
        """Returns what `of_json` needs, as JSON values; a class without it fits, but is not saved.

        Raises:
            InputError: the class has none.
        """
        raise InputError(f"{type(self).__name__} has no to_json, so it cannot be saved; write one")

    @staticmethod
    def of_json(fields: Mapping[str, Any], space: Space) -> "Regressor":
        """Returns the regressor that `to_json` described; any exception where it describes none."""
        raise InputError("its class has no of_json; write one")


@dataclass(frozen=True, eq=False)
class Own(Model):
    """A regressor of another package as a model.

    Attributes:
        name: the entry point that its class is found by, or the name of a class that was passed.
    """

    name: str
    regressor: Regressor

    @staticmethod
    def fit(chosen: type[Regressor] | str, inputs: Inputs, targets: Floats, seed: int) -> "Own":
        """Returns a class's regressor, fitted to targets.

        Raises:
            InputError: no package registers the name.
        """
        name, made = (chosen, found(chosen)) if isinstance(chosen, str) else (chosen.__name__, chosen)
        return Own(name, made.fit(inputs.candidates, targets, seed))

    def mean(self, inputs: Inputs) -> Floats:
        """Returns the expected target [n].

        Raises:
            InputError: the regressor gives no finite number for each candidate.
        """
        return self._checked("mean", self.regressor.mean(inputs.candidates), len(inputs.candidates))

    def mean_and_deviation(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Returns the expected target [n] and its deviation [n]; errors as `mean`."""
        deviation = self._checked(
            "deviation", self.regressor.deviation(inputs.candidates), len(inputs.candidates)
        )
        return self.mean(inputs), np.maximum(deviation, SMALLEST_DEVIATION)

    def to_json(self) -> dict[str, Any]:
        """Returns the class's name and what it said of itself.

        Raises:
            InputError: that is no JSON, or the class says nothing.
        """
        fields = self.regressor.to_json()
        try:
            json.dumps(fields, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"to_json of predictor '{self.name}' must return finite JSON values, but got {error}; "
                "turn arrays into lists"
            ) from error
        return {"kind": "own", "name": self.name, "fields": fields}

    @staticmethod
    def of_json(fields: Mapping[str, Any], space: Space) -> "Own":
        """Returns the model that `to_json` described.

        Raises:
            InputError: no package registers its class.
            ValueError: the class does not take what the file says.
        """
        name = str(fields["name"])
        made = found(name)
        try:
            return Own(name, made.of_json(fields["fields"], space))
        except InputError:
            raise
        except Exception as error:  # another package's code: anything can go wrong in it
            raise ValueError(f"{name}: {type(error).__name__}: {error}") from error

    def _checked(self, what: str, values: object, n: int) -> Floats:
        array = np.asarray(values, dtype=np.float64)
        if array.shape != (n,) or not np.isfinite(array).all():
            raise InputError(
                f"{what} of predictor '{self.name}' must be {n} finite numbers, but got shape "
                f"{array.shape} with {int((~np.isfinite(array)).sum())} that are not finite"
            )
        return array


def own_names() -> list[str]:
    """Returns the names that other packages register."""
    return known_names((), GROUP)


def found(name: str) -> type[Regressor]:
    """Returns the class that a package registers.

    Raises:
        InputError: none does, it cannot be imported, or it is no `Regressor`.
    """
    made: object = find({}, GROUP, "predictor", name)
    if not (isinstance(made, type) and issubclass(made, Regressor)):
        raise InputError(f"predictor '{name}' must be a class derived from hwnas.Regressor, but got {made!r}")
    return made
