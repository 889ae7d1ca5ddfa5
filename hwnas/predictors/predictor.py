"""A fitted predictor: a frozen value that predicts, and that a JSON file can hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import InputError
from hwnas.files import write_json
from hwnas.predictors.adapted import Adapted
from hwnas.predictors.bases import Inputs
from hwnas.predictors.boosting import Trees
from hwnas.predictors.conformal import Calibration
from hwnas.predictors.features import Floats
from hwnas.predictors.gaussian import GaussianProcess
from hwnas.predictors.links import Link, Saturating, link_of_json
from hwnas.predictors.model import Constant, Model
from hwnas.predictors.neural import Neural, neural_of_json
from hwnas.predictors.overlap import Overlapped
from hwnas.predictors.own import Own
from hwnas.predictors.physics import Expectation, Physics
from hwnas.predictors.prediction import Prediction
from hwnas.predictors.predictor_file import read_predictor_file, write_tensors
from hwnas.predictors.sources import Transferred
from hwnas.spaces import Candidates, Space, get_space, space_of_definition

FORMAT = 1
# Candidates handled at once: working sets stay small, results do not depend on it.
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class FittedPredictor:
    """Maps candidates of one space to a metric; made by `fit_predictor` or `load_predictor`.

    Attributes:
        space: the space of the candidates.
        metric: what is predicted, such as `latency_ms`.
        model: which kind of model it is, such as `gp`.
        num_measurements: how many it was fitted on.
        physics: prices of work; None for metrics that are no physical quantity.
        link: the scale that `regressor` works on.
        calibration: held-out errors, which intervals are made of.
    """

    space: Space
    metric: str
    model: str
    num_measurements: int
    physics: Expectation | None
    link: Link
    regressor: Model
    calibration: Calibration

    def predict(self, candidates: Candidates, coverage: float = 0.9) -> Prediction:
        """Returns the predicted values with intervals that hold the stated share of true ones.

        Raises:
            InputError: candidates of another space, a coverage not between 0 and 1, or figures that
                are no numbers, which only a spoilt predictor gives.
        """
        if not 0 < coverage < 1:
            raise InputError(f"coverage must be between 0 and 1, but got {coverage}")
        self._check(candidates)
        away = self.calibration.interval(coverage)
        parts = np.empty((3, len(candidates)))
        with _finite(parts):
            for rows in _chunks(len(candidates)):
                inputs = Inputs(candidates[rows], self.physics)
                mean, deviation = self.regressor.mean_and_deviation(inputs)
                part = self.link.prediction(mean, deviation, away, inputs.expected)
                parts[:, rows] = part.mean, part.low, part.high
        return Prediction(*parts)

    def mean(self, candidates: Candidates) -> Floats:
        """Returns the predicted values [n] alone, in a fraction of the time.

        Raises:
            InputError: candidates of another space, or figures that are no numbers.
        """
        self._check(candidates)
        out = np.empty(len(candidates))
        with _finite(out):
            for rows in _chunks(len(candidates)):
                inputs = Inputs(candidates[rows], self.physics)
                out[rows] = self.link.inverse(self.regressor.mean(inputs), inputs.expected)
        return out

    def upper(self, candidates: Candidates, probability: float = 0.95) -> Floats:
        """Returns the values [n] that true ones stay below with this probability: a chance constraint.

        A search that keeps `upper(candidates, 0.95)` at or under a target breaks it with one
        candidate in twenty at the most, where candidates lie on it; with fewer elsewhere.

        Raises:
            InputError: candidates of another space, a probability not between 0 and 1, or figures
                that are no numbers.
        """
        return self._bound(candidates, probability, upper=True)

    def lower(self, candidates: Candidates, probability: float = 0.95) -> Floats:
        """Returns the values [n] that true ones stay above with this probability; errors as `upper`."""
        return self._bound(candidates, probability, upper=False)

    def _bound(self, candidates: Candidates, probability: float, upper: bool) -> Floats:
        if not 0 < probability < 1:
            raise InputError(f"a probability must be between 0 and 1, but got {probability}")
        self._check(candidates)
        away = self.calibration.bound(probability if upper else 1 - probability)
        out = np.empty(len(candidates))
        with _finite(out):
            for rows in _chunks(len(candidates)):
                inputs = Inputs(candidates[rows], self.physics)
                out[rows] = self.link.bound(*self.regressor.mean_and_deviation(inputs), away, inputs.expected)
        return out

    def to_json(self) -> dict[str, Any]:
        """Returns everything as JSON values."""
        return {
            "format": FORMAT,
            "space": self.space.name,
            **({} if self.space.definition is None else {"space_definition": self.space.definition}),
            "num_classes": self.space.num_classes,
            "genes": [gene.name for gene in self.space.genes],
            "metric": self.metric,
            "model": self.model,
            "num_measurements": self.num_measurements,
            "physics": None if self.physics is None else self.physics.to_json(),
            "link": self.link.to_json(),
            "regressor": self.regressor.to_json(),
            "calibration": self.calibration.to_json(),
        }

    @staticmethod
    def from_json(fields: Any, space: Space | None = None, where: str = "predictor") -> "FittedPredictor":
        """Returns the predictor that `to_json` described.

        Args:
            fields: parsed JSON.
            space: the space it is for; None finds it by name.
            where: what the message of an error calls it.

        Raises:
            InputError: malformed, of another format, or for another space.
        """
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            found = fields.get("format") if isinstance(fields, dict) else type(fields).__name__
            raise InputError(
                f"{where} must be a predictor of format {FORMAT}, but got {found!r}; fit it again"
            )
        try:
            return _of_json(fields, space)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise InputError(
                f"{where} is malformed ({type(error).__name__}: {error}); fit it again"
            ) from error

    def save(self, path: Path) -> None:
        """Writes a file, whole or not at all: JSON, or safetensors where there are weights of a network."""
        if isinstance(self.regressor, Neural):
            write_tensors(Path(path), self.to_json(), self.regressor.tensors)
        else:
            write_json(Path(path), self.to_json())

    def _check(self, candidates: Candidates) -> None:
        if candidates.space.key != self.space.key:
            raise InputError(
                f"the predictor is for space '{self.space.key}', but got candidates of "
                f"'{candidates.space.key}'"
            )


def load_predictor(path: Path, space: Space | None = None) -> FittedPredictor:
    """Returns the predictor that `save` wrote.

    Args:
        path: a file that `save` wrote, JSON or safetensors.
        space: the space it is for; None finds it by name.

    Raises:
        InputError: the file is missing, not JSON, malformed, or for another space.
    """
    fields = read_predictor_file(Path(path))
    return FittedPredictor.from_json(fields, space, f"predictor {path}")


def _of_json(fields: dict[str, Any], space: Space | None) -> FittedPredictor:
    name, definition, classes = fields["space"], fields.get("space_definition"), fields["num_classes"]
    if space is None:
        space = get_space(name, classes) if definition is None else space_of_definition(definition, classes)
    genes = [gene.name for gene in space.genes]
    if (space.name, space.definition, genes) != (name, definition, fields["genes"]):
        raise InputError(
            f"the predictor is for space '{name}' as it was then, but got '{space.name}'; fit it again"
        )
    physics = None if fields["physics"] is None else _expectation_of_json(fields["physics"], space)
    link = link_of_json(fields["link"])
    if (physics is None) != isinstance(link, Saturating):
        raise ValueError("ratios need physics, accuracies have none")
    return FittedPredictor(
        space=space,
        metric=str(fields["metric"]),
        model=str(fields["model"]),
        num_measurements=int(fields["num_measurements"]),
        physics=physics,
        link=link,
        regressor=_regressor_of_json(fields["regressor"], space, physics),
        calibration=Calibration.of_json(fields["calibration"]),
    )


def _expectation_of_json(fields: dict[str, Any], space: Space) -> Expectation:
    if "power" in fields:
        return Overlapped.of_json(fields)
    if "sources" not in fields:
        return Physics.of_json(fields)
    return Transferred.of_json(fields, [_of_json(source, space) for source in fields["sources"]])


def _regressor_of_json(fields: dict[str, Any], space: Space, physics: Expectation | None) -> Model:
    if fields["kind"] == "constant":
        return Constant(float(fields["target"]), float(fields["deviation"]))
    if fields["kind"] == "trees":
        return Trees.of_json(fields, space)
    if fields["kind"] == "gaussian_process":
        return GaussianProcess.of_json(fields, space, physics)
    if fields["kind"] == "adapted":
        return Adapted.of_json(fields, space)
    if fields["kind"] == "own":
        return Own.of_json(fields, space)
    if fields["kind"] in ("perceptron", "encoder"):
        tensors = {name: np.array(value, dtype=np.float64) for name, value in fields["tensors"].items()}
        return neural_of_json(fields, tensors, space)
    raise ValueError(f"unknown kind of regressor {fields['kind']!r}")


def _chunks(n: int) -> list[slice]:
    return [slice(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK)]


@contextmanager
def _finite(filled: Floats) -> Iterator[None]:
    """Raises InputError where numbers came out too large, or as none: of a file that nobody fitted."""
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            yield
    except np.linalg.LinAlgError:
        filled[...] = np.nan
    if not np.isfinite(filled).all():
        raise InputError("the predictor's figures overflow: what it was fitted on is spoilt; fit it again")
