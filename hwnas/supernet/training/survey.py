"""Accuracies that a training run takes of its own supernet, to choose architectures by."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from hwnas.data import Dataset, Split
from hwnas.data.dataset import part_of
from hwnas.errors import InputError
from hwnas.predictors import fit_predictor
from hwnas.spaces import Candidates, Space
from hwnas.supernet.evaluation.evaluate import Evaluator
from hwnas.supernet.model import Supernet
from hwnas.supernet.training.distributed import Group
from hwnas.supernet.training.sampling import AccuracyOf, Survey


@dataclass(frozen=True)
class Surveyed:
    """What a survey found: genomes, and their accuracies in percent with standard errors."""

    genomes: tuple[tuple[int, ...], ...]
    accuracies: tuple[float, ...]
    errors: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns all fields."""
        genomes = [list(genome) for genome in self.genomes]
        return {"genomes": genomes, "accuracies": list(self.accuracies), "errors": list(self.errors)}

    @staticmethod
    def of_json(fields: dict[str, Any]) -> "Surveyed":
        """Returns what `to_json` was made of."""
        genomes = tuple(tuple(genome) for genome in fields["genomes"])
        return Surveyed(genomes, tuple(fields["accuracies"]), tuple(fields["errors"]))


def make_survey(
    survey: Survey,
    supernet: Supernet,
    dataset: Dataset,
    rng: np.random.Generator,
    group: Group,
    torch_device: str,
) -> Surveyed:
    """Returns the accuracies of random architectures on a part of the calibrate split.

    The processes of a group share out the architectures.

    Raises:
        InputError: the split has fewer than 4 images.
    """
    candidates = Candidates.of_genomes(supernet.space, supernet.space.sample_genomes(survey.networks, rng))
    evaluator = Evaluator(
        supernet,
        _halved(dataset, survey.images),
        torch_device=torch_device,
        workers=None if group.size == 1 else 1,
    )
    rows = list(range(group.rank, len(candidates), group.size))
    found = torch.zeros(2, len(candidates), dtype=torch.float64, device=torch_device)
    for row, result in zip(rows, evaluator.evaluate(candidates[rows]), strict=True):
        found[0, row], found[1, row] = result.accuracy_top1, result.standard_error
    group.sum(found)
    genomes = tuple(tuple(row) for row in candidates.genomes.tolist())
    return Surveyed(genomes, tuple(found[0].tolist()), tuple(found[1].tolist()))


def fit_accuracy(space: Space, surveyed: Surveyed) -> AccuracyOf:
    """Returns a predictor fitted on a survey; the same survey gives the same one."""
    candidates = Candidates.of_genomes(space, np.array(surveyed.genomes, dtype=np.int64))
    values, errors = np.array(surveyed.accuracies), np.array(surveyed.errors)
    return fit_predictor(space, candidates, values, metric="accuracy_top1", noise=errors).mean


def _halved(dataset: Dataset, most_images: int) -> Dataset:
    """Returns the first images of the calibrate split as a data set: one half calibrates, one validates."""
    whole = dataset.split("calibrate")
    half = min(most_images, len(whole)) // 2
    if half < 2:
        raise InputError(
            f"attentive sampling needs at least 4 images in the calibrate split, but '{dataset.name}' has "
            f"{len(whole)}; choose another recipe"
        )

    def make_split(name: str) -> Split:
        first = 0 if name == "calibrate" else half
        return part_of(whole, np.arange(first, first + half))

    return replace(dataset, make_split=make_split)
