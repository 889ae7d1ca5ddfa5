"""Own predictor scored beside ours: python own_predictor.py MEASUREMENTS.csv SPACE METRIC."""

import sys
from pathlib import Path

import numpy as np

import hwnas


class Neighbours(hwnas.Regressor):
    """Predicts the mean of the five measured networks whose genes are most alike."""

    def __init__(self, genomes, targets):
        self.genomes, self.targets = np.array(genomes), np.array(targets)

    @staticmethod
    def fit(candidates, targets, seed):
        """Keeps what was measured."""
        return Neighbours(candidates.genomes, targets)

    def mean(self, candidates):
        """Returns the expected target of each candidate."""
        differ = (candidates.genomes[:, None] != self.genomes).sum(axis=2)
        return self.targets[np.argsort(differ, axis=1, kind="stable")[:, :5]].mean(axis=1)


def main(file: str, space_name: str, metric: str) -> None:
    """Prints the held-out error of both, and how often their 90 % intervals hold."""
    space = hwnas.open_space(space_name)
    known = hwnas.read_measurements(Path(file), space, metric)
    for model in (Neighbours, "auto"):
        fit = hwnas.fit_and_score(space, known.candidates, known.values, metric=metric, model=model)
        print(f"{fit.predictor.model}: MAPE {fit.score.mape_percent:.2f} %, Kendall tau ", end="")
        print(f"{fit.score.kendall_tau:.3f}, 90 % intervals hold for {100 * fit.score.coverage_90:.0f} %")


if __name__ == "__main__":
    main(*sys.argv[1:])
