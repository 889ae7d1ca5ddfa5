"""Predictors against baselines on public measurements: one run prints every figure.

    python benchmarks/predictors.py --data FOLDER [--seeds 5] [--sizes 10 30 100]

FOLDER holds `ofa/latency_gpus.csv` (latencies of 5,000 OFA subnets, from the HELP benchmark) and
`ofa/accuracy_imagenet.csv` (ImageNet accuracies of OFA subnets, from DyNAS-T), with the columns
that `read_measurements` reads. Protocol: 1,000 fixed test architectures, nothing trimmed; training
sets are nested random draws from the others; figures are means over settings and seeds. Baselines:
ridge on the totals and boosted trees on the totals, in the logarithm for latency.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hwnas.predictors import Prediction, fit_predictor, metric_columns, read_measurements, score
from hwnas.predictors.features import Floats, totals
from hwnas.spaces import Candidates, get_space

Fit = Callable[[Candidates, Floats, Candidates], Prediction]


def ridge_on_totals(train: Candidates, values: Floats, test: Candidates) -> Prediction:
    from sklearn.linear_model import RidgeCV

    return _baseline(train, values, test, RidgeCV(alphas=np.logspace(-4, 3, 15)))


def boosting_on_totals(train: Candidates, values: Floats, test: Candidates) -> Prediction:
    from xgboost import XGBRegressor

    settings = {"n_estimators": 300, "max_depth": 4, "learning_rate": 0.05, "subsample": 0.8, "n_jobs": 1}
    return _baseline(train, values, test, XGBRegressor(**settings))


def _baseline(train: Candidates, values: Floats, test: Candidates, model: object) -> Prediction:
    columns = [np.log1p(totals(part)) for part in (train, test)]
    deviation = columns[0].std(axis=0)
    left, right = (
        (part - columns[0].mean(axis=0))[:, deviation > 1e-9] / deviation[deviation > 1e-9]
        for part in columns
    )
    mean = np.exp(model.fit(left, np.log(values)).predict(right).astype(np.float64))  # type: ignore[attr-defined]
    return Prediction(mean, mean, mean)


def ours(model: str, metric: str) -> Fit:
    def fit(train: Candidates, values: Floats, test: Candidates) -> Prediction:
        predictor = fit_predictor(train.space, train, values, metric=metric, model=model)
        return predictor.predict(test)

    return fit


def latency(data: Path, sizes: list[int], seeds: int) -> None:
    space, path = get_space("ofa-mobilenetv3-w1.0"), data / "ofa" / "latency_gpus.csv"
    measured = {name: read_measurements(path, space, name) for name in metric_columns(path)}
    fits: dict[str, Fit] = {"ridge on totals": ridge_on_totals, "xgboost on totals": boosting_on_totals}
    fits |= {
        f"hwnas {name}": ours(name, "latency_ms") for name in ("physics", "linear", "xgboost", "gp", "auto")
    }
    print(
        f"\nLatency, {len(measured)} settings: MAPE %, Kendall tau, within 10 %, coverage of 90 % intervals"
    )
    for size in sizes:
        for name, fit in fits.items():
            rows, started = [], time.process_time()
            for one in measured.values():
                order = np.random.default_rng(0).permutation(len(one.values))
                test = order[:1000]
                for seed in range(seeds):
                    train = np.random.default_rng(100 + seed).permutation(order[1000:])[:size]
                    prediction = fit(one.candidates[train], one.values[train], one.candidates[test])
                    got = score(prediction, one.values[test])
                    rows.append((got.mape_percent, got.kendall_tau, got.within_10_percent, got.coverage_90))
            each = np.reshape([row[0] for row in rows], (len(measured), seeds)).mean(axis=1)
            _print(size, name, np.array(rows, dtype=float), started, " ".join(f"{v:.2f}" for v in each))


def accuracy(data: Path, sizes: list[int], seeds: int) -> None:
    space = get_space("ofa-mobilenetv3-w1.0")
    every = read_measurements(data / "ofa" / "accuracy_imagenet.csv", space, "accuracy_top1")
    first = every.candidates.first_of_each()
    candidates, values = every.candidates[first], every.values[first]
    order = np.random.default_rng(0).permutation(len(values))
    test, pool = order[: len(order) // 5], order[len(order) // 5 :]
    fits: dict[str, Fit] = {"ridge on totals": ridge_on_totals, "xgboost on totals": boosting_on_totals}
    fits |= {f"hwnas {name}": ours(name, "accuracy_top1") for name in ("linear", "xgboost", "gp")}
    print(f"\nAccuracy, {len(values)} subnets: RMSE in points, Kendall tau, within 10 %, coverage")
    for size in sizes:
        for name, fit in fits.items():
            rows, started = [], time.process_time()
            for seed in range(seeds):
                train = np.random.default_rng(100 + seed).permutation(pool)[:size]
                got = score(fit(candidates[train], values[train], candidates[test]), values[test])
                rows.append((got.rmse, got.kendall_tau, got.within_10_percent, got.coverage_90))
            _print(size, name, np.array(rows, dtype=float), started, "")


def speed() -> None:
    print("\nSpeed, demo space, 100 measurements: candidates a CPU second (200 and 100,000 at a time)")
    space, rng = get_space("demo"), np.random.default_rng(0)
    train = Candidates.of_genomes(space, space.sample_genomes(100, rng))
    for model in ("linear", "gp", "xgboost"):
        predictor = fit_predictor(space, train, rng.lognormal(sigma=0.1, size=100), model=model)
        figures = []
        for n in (200, 100_000):
            candidates = Candidates.of_genomes(space, space.sample_genomes(n, rng))
            predictor.mean(candidates[:10])
            for call in (predictor.mean, predictor.predict):
                started, rounds = time.process_time(), 0
                while rounds < 2 or time.process_time() - started < 0.2:
                    call(candidates)
                    rounds += 1
                figures.append(f"{n * rounds / (time.process_time() - started):12,.0f}")
        print(f"{model:10s} means {figures[0]} {figures[2]}   with intervals {figures[1]} {figures[3]}")


def _print(size: int, name: str, rows: Floats, started: float, rest: str) -> None:
    error, tau, within, coverage = rows.mean(axis=0)
    seconds = (time.process_time() - started) / len(rows)
    covered = f"{coverage:.3f}" if name.startswith("hwnas") else "    -"
    print(
        f"{size:5d} {name:18s} {error:7.3f} {tau:6.3f} {within:6.1f} {covered}  {seconds:6.2f} s  {rest}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of public measurements")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 30, 100])
    arguments = parser.parse_args()
    latency(arguments.data, arguments.sizes, arguments.seeds)
    accuracy(arguments.data, arguments.sizes, arguments.seeds)
    speed()


if __name__ == "__main__":
    main()
