"""The default loop on real evaluations, with a surrogate of public data as the truth.

    python benchmarks/search_real.py --data FOLDER [--seeds 10] [--truth additive forest gp]

Networks of Once-for-All's space at 224 px; cost is MACs, known exactly, accuracy is what the truth
says plus noise of 0.02 points, as ImageNet evaluations have. Every evaluation of an accuracy
counts. Shares are of the hypervolume of the exact front (additive truth), or of the best front that
200,000 evaluations and the additive one's exact front, scored anew, come to (other truths, which
have no exact front). Published: LINAS .807 .859 .917 .941 .961 at 50, 100, 200, 300, 500.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from search_truths import exact, fit_accuracy, macs, macs_tables, read_accuracies, space_at_224

from hwnas.predictors import fit_predictor
from hwnas.predictors.features import encoding
from hwnas.profilers import Device, Measurement
from hwnas.profilers.cost_models import TableModel
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.profilers.tables import BlockCost, BlockTable, block_key
from hwnas.progress import Silent
from hwnas.search.genome import Genome
from hwnas.search.inner import Problem
from hwnas.search.loop import Search
from hwnas.search.nsga2 import Nsga2
from hwnas.search.pareto import hypervolume
from hwnas.search.run_folder import run_folder
from hwnas.search.settings import SearchSettings
from hwnas.spaces import Candidates, Space
from hwnas.supernet import Evaluation

MARKS = (50, 100, 200, 300, 500)
NOISE_POINTS = 0.02
Values = Callable[[np.ndarray], np.ndarray]


def forest(data: Path, space: Space) -> Values:
    """Boosted trees: steps and interactions, nothing that a link makes additive."""
    from xgboost import XGBRegressor

    candidates, values = read_accuracies(data, space)
    model = XGBRegressor(n_estimators=600, max_depth=4, learning_rate=0.05, subsample=0.8, n_jobs=1)
    model.fit(encoding(candidates), values)
    return lambda genomes: model.predict(encoding(Candidates.of_genomes(space, genomes))).astype(np.float64)


def process(data: Path, space: Space) -> Values:
    """A Gaussian process on all the measured accuracies."""
    candidates, values = read_accuracies(data, space)
    model = fit_predictor(space, candidates, values, metric="accuracy_top1", model="gp", noise=NOISE_POINTS)
    return lambda genomes: model.mean(Candidates.of_genomes(space, genomes))


def device(space: Space) -> SimulatedDevice:
    """A device that takes a millisecond for a million multiply-accumulates."""
    each = space.cost_table.macs / 1e6
    rows = {
        block_key(layer): BlockCost(float(cost)) for layer, cost in zip(space.vocabulary, each, strict=False)
    }
    return SimulatedDevice("macs", TableModel(BlockTable("macs", rows)))


def looked_up(one: Device, candidates: Candidates) -> list[Measurement]:
    """Returns what the table says: no network has to be built for that."""
    assert isinstance(one, SimulatedDevice)
    costs = one.table(candidates.space).latency_ms(candidates)
    return [
        Measurement(
            subject=name,
            device=one.name,
            fingerprint="",
            kind="simulated",
            latency_ms=cost,
            p95_ms=cost,
            ci_low_ms=cost,
            ci_high_ms=cost,
            samples_ms=(cost,),
            time="",
        )
        for name, cost in zip(candidates.ids, costs.tolist(), strict=True)
    ]


def one_run(space: Space, truth: Values, seed: int, rounds: int) -> list[tuple[np.ndarray, float]]:
    """Returns the genomes and true accuracies in the order of their evaluation."""
    rng, order = np.random.default_rng([seed, 7]), []

    def evaluate(candidates: Candidates, split: str) -> Iterator[Evaluation]:
        values = truth(candidates.genomes)
        for name, genome, value in zip(candidates.ids, candidates.genomes, values.tolist(), strict=True):
            order.append((genome, value))
            yield Evaluation(name, value + NOISE_POINTS * rng.normal(), NOISE_POINTS, 50_000, split)

    settings = SearchSettings(
        seed=seed,
        initial_evaluations=20,
        profile_samples=20,
        evaluations_per_round=10,
        growth=0.25,
        evaluations=MARKS[-1],
        rounds=rounds,
        epsilon=0.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with run_folder(place / "run", settings.to_json()) as journal:
            Search(
                space=space,
                devices=[device(space)],
                evaluate=evaluate,
                measure=looked_up,
                settings=settings,
                journal=journal,
                progress=Silent(),
            ).run()
    return order


def best_known(
    space: Space, truth: Values, cost: Values, additive_front: np.ndarray, seeds: int
) -> np.ndarray:
    """Returns objectives of the best front that is known of a truth without an exact one."""
    genome = Genome(space, (32,))

    def price(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.stack([-truth(vectors), cost(vectors)], axis=1), np.zeros((len(vectors), 1))

    found = [
        Nsga2().search(Problem(genome, price, additive_front, 200_000 // seeds, seed, lambda *_: None))
        for seed in range(seeds)
    ]
    return np.concatenate([one.objectives for one in found])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of public measurements")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--truth", nargs="+", default=["additive", "forest", "gp"])
    arguments = parser.parse_args()
    space = space_at_224()
    accuracy, cost = fit_accuracy(arguments.data, space), macs(space)
    front = exact(space, macs_tables(space), accuracy.tables()).choices
    reference = np.array([-70.0, float(cost(space.genomes([space.largest()]))[0])])
    truths: dict[str, Callable[[], Values]] = {
        "additive": lambda: accuracy.values,
        "forest": lambda: forest(arguments.data, space),
        "gp": lambda: process(arguments.data, space),
    }
    for name in arguments.truth:
        truth = truths[name]()
        best = np.stack([-truth(front), cost(front)], axis=1)
        if name != "additive":
            best = np.concatenate([best, best_known(space, truth, cost, front, 2)])
        whole = hypervolume(best, reference)
        print(f"{name}: hypervolume {whole:.3f}", flush=True)
        rows, started = [], time.process_time()
        for seed in range(arguments.seeds):
            order = one_run(space, truth, seed, arguments.rounds)
            genomes = np.array([genome for genome, _ in order])
            points = np.stack([-np.array([value for _, value in order]), cost(genomes)], axis=1)
            rows.append([hypervolume(points[:mark], reference) / whole for mark in MARKS])
            print(f"  seed {seed}: " + " ".join(f"{share:.4f}" for share in rows[-1]), flush=True)
        shares = np.array(rows)
        spread = shares.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(len(MARKS))
        seconds = (time.process_time() - started) / len(rows)
        print(
            f"{name} at {MARKS}: "
            + " ".join(f"{m:.4f} ± {s:.4f}" for m, s in zip(shares.mean(axis=0), spread, strict=True))
            + f"  ({seconds:.1f} CPU s a run)",
            flush=True,
        )


if __name__ == "__main__":
    main()
