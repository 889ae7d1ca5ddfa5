"""Predictors against baselines on public measurements: one run makes every figure.

    python benchmarks/predictors.py --data FOLDER --out figures.jsonl [--parts latency accuracy ...]
    python benchmarks/predictors.py --out figures.jsonl --table

FOLDER holds `ofa/latency_gpus.csv` (latencies of 5,000 OFA subnets, from the HELP benchmark) and
`ofa/accuracy_imagenet.csv` (ImageNet accuracies of OFA subnets in the order searches visited them,
from DyNAS-T), with the columns that `read_measurements` reads. Figures are written one a line as
they are made, and what the file holds is not made again.

Protocol. Latency: 1,000 fixed test architectures, nothing trimmed; training sets are nested random
draws from the others. Accuracy: distinct subnets, a fifth of them for the test; `harder` is fitted
on the random subnets that the searches began with and tested on all that followed.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from predictor_baselines import BASELINES
from predictor_coverage import coverage
from predictor_speed import speed
from predictor_tables import print_tables
from predictor_transfer import active, transfer

from hwnas.predictors import Prediction, fit_predictor, metric_columns, read_measurements, score
from hwnas.predictors.data import kinds
from hwnas.predictors.features import Floats
from hwnas.spaces import Candidates, get_space

SPACE = "ofa-mobilenetv3-w1.0"
# Models that take long: so many seeds at the most, and our neural ones, with their folds, at few sizes.
_SEEDS = {"MLP 3x400": 1, "hwnas mlp": 1, "hwnas encoder": 1}
_NEURAL_SIZES = (100,)
# So many random subnets began each of DyNAS-T's searches.
_RANDOM = 50

Figure = dict[str, Any]


def figures_of(prediction: Prediction, values: Floats, metric: str) -> Figure:
    found = score(prediction, values, metric=metric).to_json()
    return {**found, "above": float(np.mean(values > prediction.high))}


def fits(
    names: Iterable[str], metric: str
) -> dict[str, Callable[[Candidates, Floats, Candidates], Prediction]]:
    def ours(model: str) -> Callable[[Candidates, Floats, Candidates], Prediction]:
        def fit(train: Candidates, values: Floats, test: Candidates) -> Prediction:
            return fit_predictor(train.space, train, values, metric=metric, model=model).predict(test)

        return fit

    def baseline(name: str) -> Callable[[Candidates, Floats, Candidates], Prediction]:
        def fit(train: Candidates, values: Floats, test: Candidates) -> Prediction:
            mean = BASELINES[name](train, values, test)
            return Prediction(mean, mean, mean)

        return fit

    return {
        name: baseline(name) if name in BASELINES else ours(name.removeprefix("hwnas ")) for name in names
    }


def names_for(size: int, seed: int, metric: str) -> list[str]:
    """Returns the models to run: those that take long on fewer seeds, the neural ones at few sizes."""
    some = [*BASELINES, "hwnas linear", "hwnas auto", "hwnas xgboost"]
    if metric == "latency_ms":
        some.insert(-2, "hwnas physics")
    if size in _NEURAL_SIZES:
        some += ["hwnas mlp", "hwnas encoder"]
    return [name for name in some if seed < _SEEDS.get(name, 99)]


def latency(
    data: Path, sizes: list[int], seeds: int, models: list[str]
) -> Iterator[tuple[Figure, Callable[[], Figure]]]:
    path, space = data / "ofa" / "latency_gpus.csv", get_space(SPACE)
    measured = {name: read_measurements(path, space, name) for name in metric_columns(path)}
    order = np.random.default_rng(0).permutation(5000)
    test = order[:1000]
    for size in sizes:
        for seed in range(seeds):
            train = np.random.default_rng(100 + seed).permutation(order[1000:])[:size]
            for name, fit in fits(models or names_for(size, seed, "latency_ms"), "latency_ms").items():
                for setting, one in measured.items():
                    what = {"part": "latency", "setting": setting.partition(":")[2]}

                    def made(fit: Any = fit, one: Any = one, train: Any = train) -> Figure:
                        prediction = fit(one.candidates[train], one.values[train], one.candidates[test])
                        return figures_of(prediction, one.values[test], "latency_ms")

                    yield {**what, "size": size, "seed": seed, "model": name}, made


def accuracy(
    data: Path, sizes: list[int], seeds: int, models: list[str]
) -> Iterator[tuple[Figure, Callable[[], Figure]]]:
    path, space = data / "ofa" / "accuracy_imagenet.csv", get_space(SPACE)
    every = read_measurements(path, space, "accuracy_top1")
    first = every.candidates.first_of_each()
    candidates, values = every.candidates[first], every.values[first]
    order = np.random.default_rng(0).permutation(len(values))
    test, pool = order[: len(order) // 5], order[len(order) // 5 :]
    starts = _first_visited(path, every.candidates)[first]
    splits: list[tuple[Figure, Any, Any]] = []
    for size in sizes:
        for seed in range(seeds):
            train = np.random.default_rng(100 + seed).permutation(pool)[:size]
            splits.append(({"part": "accuracy", "size": size, "seed": seed}, train, test))
    splits.append(
        (
            {"part": "harder", "size": int(starts.sum()), "seed": 0},
            np.flatnonzero(starts),
            np.flatnonzero(~starts),
        )
    )
    for what, train, others in splits:
        for name, fit in fits(
            models or names_for(what["size"], what["seed"], "accuracy_top1"), "accuracy_top1"
        ).items():
            if name == "MACs, linear":
                continue

            def made(fit: Any = fit, train: Any = train, others: Any = others) -> Figure:
                prediction = fit(candidates[train], values[train], candidates[others])
                return figures_of(prediction, values[others], "accuracy_top1")

            yield {**what, "setting": "imagenet", "model": name}, made


def _first_visited(path: Path, candidates: Candidates) -> Any:
    """Which rows are of subnets that a search began with: 50 random ones, in part shared."""
    with open(path, newline="", encoding="utf-8") as file:
        begun = [int(row["order"]) < _RANDOM for row in csv.DictReader(file)]
    return np.isin(kinds(candidates), kinds(candidates)[begun])


PARTS = {"latency": latency, "accuracy": accuracy}
OTHERS = {"coverage": coverage, "transfer": transfer, "active": active, "speed": speed}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of public measurements")
    parser.add_argument("--out", type=Path, required=True, help="the figures, one a line (JSON)")
    parser.add_argument("--table", action="store_true", help="only print the tables of what is there")
    parser.add_argument("--seeds", type=int, default=5, help="of each training set")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 30, 100, 300, 1000, 4000])
    parser.add_argument("--models", nargs="+", default=[], help="only these, named as in the tables")
    parser.add_argument("--parts", nargs="+", default=[*PARTS, *OTHERS], choices=[*PARTS, *OTHERS])
    arguments = parser.parse_args()
    if not arguments.table:
        if not arguments.data:
            parser.error("--data is needed to make figures")
        for part in arguments.parts:
            sizes = arguments.sizes if part == "latency" else [50, 100, 200, 500, 1000]
            if part in PARTS:
                jobs = PARTS[part](arguments.data, sizes, arguments.seeds, arguments.models)
            else:
                jobs = OTHERS[part](arguments.data, arguments.seeds)
            make(jobs, arguments.out)
    print_tables([json.loads(line) for line in arguments.out.read_text().splitlines()])


def make(jobs: Iterable[tuple[Figure, Callable[[], Figure]]], out: Path) -> None:
    """Makes the figures that the file lacks, and adds each as soon as it is there."""
    known = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    keys = ("part", "setting", "size", "seed", "model")
    done = {tuple(one.get(key) for key in keys) for one in known}
    with open(out, "a", encoding="utf-8") as lines:
        for what, made in jobs:
            if tuple(what.get(key) for key in keys) in done:
                continue
            started = time.process_time()
            found = made()
            lines.write(
                json.dumps({**what, **found, "cpu_s": round(time.process_time() - started, 3)}) + "\n"
            )
            lines.flush()


if __name__ == "__main__":
    main()
