"""Boosted trees on totals and encoding."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hwnas.predictors.bases import Inputs
from hwnas.predictors.features import Floats
from hwnas.predictors.model import SMALLEST_DEVIATION, Model
from hwnas.predictors.tree_text import checked_trees
from hwnas.spaces import Candidates, Space


@dataclass(frozen=True, eq=False)
class Trees(Model):
    """Boosted trees on totals and encoding.

    Attributes:
        booster: xgboost's own JSON text.
        deviation: of one measurement, the same for every candidate.
    """

    booster: str
    deviation: float

    @staticmethod
    def fit(inputs: Inputs, targets: Floats, deviation: float, seed: int) -> "Trees":
        """Returns trees fitted to targets [N]."""
        import xgboost

        matrix = xgboost.DMatrix(_tree_columns(inputs), label=targets)
        settings = {
            "max_depth": 4,
            "eta": 0.05,
            "subsample": 0.8,
            "colsample_bytree": 0.5,
            "min_child_weight": 2,
            "lambda": 1.0,
            "seed": seed,
            "nthread": 1,
            "base_score": float(targets.mean()),
        }
        booster = xgboost.train(settings, matrix, num_boost_round=400)
        return Trees(booster.save_raw("json").decode(), max(deviation, SMALLEST_DEVIATION))

    def mean(self, inputs: Inputs) -> Floats:
        """Returns the expected target [n]."""
        import xgboost

        if not len(inputs.candidates):
            return np.zeros(0)
        predicted = self._loaded.predict(xgboost.DMatrix(_tree_columns(inputs)))
        return np.asarray(predicted, dtype=np.float64)

    def mean_and_deviation(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Returns the expected target [n] and one deviation for all."""
        mean = self.mean(inputs)
        return mean, np.full(len(mean), self.deviation)

    def to_json(self) -> dict[str, Any]:
        """Returns xgboost's own text and the deviation."""
        return {"kind": "trees", "booster": self.booster, "deviation": self.deviation}

    @staticmethod
    def of_json(fields: dict[str, Any], space: Space) -> "Trees":
        """Returns the trees that `to_json` described; KeyError, TypeError or ValueError if malformed."""
        smallest = Candidates.of_genomes(space, np.zeros((1, len(space.genes)), dtype=np.int64))
        columns = _tree_columns(Inputs(smallest)).shape[1]
        trees = Trees(checked_trees(str(fields["booster"]), columns), float(fields["deviation"]))
        if not 0 < trees.deviation < np.inf:
            raise ValueError("the deviation must be above zero")
        assert trees._loaded is not None
        return trees

    @cached_property
    def _loaded(self) -> Any:
        import xgboost

        booster = xgboost.Booster({"nthread": 1})
        try:
            booster.load_model(bytearray(self.booster.encode()))
        except xgboost.core.XGBoostError as error:
            raise ValueError("xgboost cannot read the trees") from error
        return booster


def _tree_columns(inputs: Inputs) -> Floats:
    return np.concatenate([inputs.totals, inputs.encoding], axis=1)
