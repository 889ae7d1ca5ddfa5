"""Quantized accuracy predictors: adapted from floating point against fitted from scratch.

Evaluates architectures in floating point and (architecture, policy) pairs on the validate split,
keeps them in CSV files that a second run goes on from, and then fits with more and more triples;
every method is scored on the same pairs, which none has seen. Each method may use all evaluations
in floating point but `scratch`.

- `scratch`: the Gaussian process of `fit_predictor` on the triples alone.
- `together`: the same on triples and evaluations in floating point at once.
- `mlp`: APQ's: a multi-layer perceptron of the architecture, pre-trained in floating point, with a
  layer for the bits added and fine-tuned on the triples.
- `adapted`: `hwnas.predictors.fit_quantized`.
- `float`: the prediction in floating point, whatever the bits.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from hwnas.data import get_dataset
from hwnas.export.results import evaluate_into
from hwnas.predictors import FittedPredictor, fit_predictor, fit_quantized, score
from hwnas.predictors.features import encoding
from hwnas.predictors.prediction import Prediction
from hwnas.progress import Silent
from hwnas.spaces import Candidates, Space
from hwnas.supernet import Evaluator, Threads, demo_supernet_path, load_supernet

Floats = NDArray[np.float64]
METRIC = "accuracy_top1"


def evaluated(evaluator: Evaluator, candidates: Candidates, path: Path) -> tuple[Candidates, Floats, Floats]:
    """Returns candidates, accuracies and their standard errors; what the file holds is not done again."""
    evaluate_into(path, evaluator, candidates, "validate", Threads(), Silent())
    with open(path, encoding="utf-8", newline="") as opened:
        rows = {row["id"]: row for row in csv.DictReader(opened)}
    found = [rows[one] for one in candidates.ids]
    kept = Candidates.of_json(candidates.space, [json.loads(row["architecture"]) for row in found])
    values, errors = ([float(row[name]) for row in found] for name in (METRIC, "standard_error"))
    return kept, np.array(values), np.array(errors)


def with_policies(space: Space, n: int, rng: np.random.Generator, choices: tuple[int, ...]) -> Candidates:
    """Returns random architectures, each with weight and activation bits drawn for every layer.

    The share of each bitwidth is drawn for each network first, so that mean bits vary.
    """
    genomes = space.sample_genomes(n, rng)
    shares = rng.dirichlet(np.ones(len(choices)), size=(2, n, 1))
    drawn = (rng.random((2, n, len(space.slots), 1)) > shares.cumsum(axis=3)).sum(axis=3)
    weights, activations = np.array(choices)[np.minimum(drawn, len(choices) - 1)]
    return Candidates.of_genomes(space, genomes, weights, activations)


class Perceptron(nn.Module):
    """APQ's predictor at the scale of a small space: a layer for the architecture, one for the bits."""

    def __init__(self, num_genes: int, num_bits: int, width: int = 100) -> None:
        super().__init__()
        self.genes, self.bits = nn.Linear(num_genes, width), nn.Linear(num_bits, width)
        self.rest = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def forward(self, genes: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
        """Returns standardised accuracies [n]."""
        out: torch.Tensor = self.rest(functional.relu(self.genes(genes)) + self.bits(bits))[:, 0]
        return out


def inputs(candidates: Candidates) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the encoding of the genes, and that of the bits, which is 0 in floating point."""
    in_float = Candidates.of_genomes(candidates.space, candidates.genomes)
    whole = torch.from_numpy(encoding(candidates)).float()
    genes = torch.from_numpy(encoding(in_float)).float()
    return genes, whole - genes


def trained(
    net: Perceptron, candidates: Candidates, targets: torch.Tensor, passes: int, rate: float
) -> Perceptron:
    optimizer = torch.optim.AdamW(net.parameters(), rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, passes)
    data = inputs(candidates)
    for _ in range(passes):
        optimizer.zero_grad()
        functional.mse_loss(net(*data), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return net


def perceptron(
    floats: Candidates, float_values: Floats, triples: Candidates, values: Floats, seed: int
) -> Callable[[Candidates], Floats]:
    torch.manual_seed(seed)
    center, scale = float(values.mean()), float(float_values.std())
    net = Perceptron(*(part.shape[1] for part in inputs(floats)))
    level = float(float_values.mean())
    trained(net, floats, torch.from_numpy((float_values - level) / scale).float(), 600, 3e-3)
    trained(net, triples, torch.from_numpy((values - center) / scale).float(), 300, 1e-3)

    def mean(candidates: Candidates) -> Floats:
        with torch.no_grad():
            return np.asarray(center + scale * net(*inputs(candidates)).numpy(), np.float64)

    return mean


def methods(
    space: Space,
    base: FittedPredictor,
    floats: tuple[Candidates, Floats, Floats],
    triples: tuple[Candidates, Floats, Floats],
    seed: int,
) -> dict[str, Callable[[Candidates], Floats]]:
    """Returns what each method predicts accuracies by."""
    scratch = fit_predictor(space, triples[0], triples[1], metric=METRIC, noise=triples[2], seed=seed)
    both = [np.concatenate([floats[at], triples[at]]) for at in (1, 2)]
    everything = Candidates.concatenate([floats[0], triples[0]])
    together = fit_predictor(space, everything, both[0], metric=METRIC, noise=both[1], seed=seed)
    adapted = fit_quantized(base, triples[0], triples[1], noise=triples[2], seed=seed).predictor
    return {
        "float": lambda some: base.mean(Candidates.of_genomes(space, some.genomes)),
        "scratch": scratch.mean,
        "together": together.mean,
        "mlp": perceptron(*floats[:2], *triples[:2], seed),
        "adapted": adapted.mean,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--supernet", type=Path, default=demo_supernet_path())
    parser.add_argument("--data", default="digits")
    parser.add_argument("--folder", type=Path, required=True, help="where evaluations are kept")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--floats", type=int, default=300)
    parser.add_argument("--budgets", type=int, nargs="+", default=[20, 50, 100, 200])
    parser.add_argument("--test", type=int, default=150)
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 6, 8])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    supernet, dataset = load_supernet(arguments.supernet), get_dataset(arguments.data)
    space, rng = supernet.space, np.random.default_rng(0)
    evaluator = Evaluator(supernet, dataset, images=arguments.images, calibrate_images=250, workers=1)
    in_float = Candidates.of_genomes(space, space.sample_genomes(arguments.floats, rng))
    num_triples = max(arguments.budgets) + 60
    pairs = with_policies(space, num_triples + arguments.test, rng, tuple(arguments.bits))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    started = time.process_time()
    floats = evaluated(evaluator, in_float, arguments.folder / "floats.csv")
    triples = evaluated(evaluator, pairs, arguments.folder / "triples.csv")
    print(f"evaluated in {time.process_time() - started:.0f} CPU s", flush=True)
    base = fit_predictor(space, floats[0], floats[1], metric=METRIC, noise=floats[2])
    test, truth = triples[0][num_triples:], triples[1][num_triples:]
    print(f"test accuracies {truth.min():.1f} to {truth.max():.1f}, deviation {truth.std():.2f}", flush=True)
    for budget in arguments.budgets:
        found: dict[str, list[tuple[float, float]]] = {}
        for seed in range(arguments.seeds):
            rows = np.random.default_rng(seed).permutation(num_triples)[:budget]
            some = (triples[0][rows], triples[1][rows], triples[2][rows])
            for name, mean in methods(space, base, floats, some, seed).items():
                predicted = mean(test)
                scored = score(Prediction(predicted, predicted, predicted), truth)
                found.setdefault(name, []).append((scored.kendall_tau or 0.0, scored.rmse))
        for name, figures in found.items():
            tau, rmse = np.mean(figures, axis=0)
            spread = np.std(figures, axis=0)
            print(
                f"{budget:4d} {name:9s} tau {tau:.3f} ± {spread[0]:.3f}  rmse {rmse:.2f} ± {spread[1]:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
