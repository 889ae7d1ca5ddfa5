"""Searches on public data against every baseline: shares of the exact hypervolume, in one run.

    python benchmarks/search_public.py --data FOLDER [--seeds 10] [--budgets 100 500 1000 10000 100000]
        [--cost macs titan_rtx_64] [--out FILE.csv]
    python benchmarks/search_public.py --data FOLDER --throughput
    python benchmarks/search_public.py --data FOLDER --exact

The space is Once-for-All's at 224 px, 2 x 10^19 networks less those of other sizes. Accuracy is a
link-additive ridge on ImageNet accuracies (DyNAS-T); cost is MACs, or a sum over blocks fitted on
the latencies of a GPU setting (HELP). Both are sums over blocks, so the exact front is known. An
evaluation is one distinct network whose objectives were asked for. Reference point: 70 % and the
cost of the largest network.

Baselines: random; aging evolution (Real et al., 2019) and Once-for-All's finder, each climbing ten
limits; pymoo's NSGA-II with its own defaults for integers; the same with DyNAS-T's (population 50,
SBX 0.9 and 15, polynomial mutation 0.02 and 20). Once-for-All's finder asks for the cost of
candidates that it throws away without that being counted. With budgets too small for their
populations of 100 the two evolutions get smaller ones.
"""

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from search_truths import Additive, exact, fit_accuracy, fit_latency, macs, macs_tables, space_at_224

from hwnas.search.evolution import OfaEvolution, RegularizedEvolution
from hwnas.search.genome import Genome
from hwnas.search.inner import Found, Problem, RandomSearch
from hwnas.search.nsga2 import Nsga2
from hwnas.search.pareto import hypervolume
from hwnas.spaces import Space

Floats = np.ndarray
Search = Callable[[Problem], Found]


@dataclass(frozen=True)
class PymooNsga2:
    """pymoo's NSGA-II as users write it, rounding repairs and all."""

    population: int
    mutation_probability: float | None

    def __call__(self, problem: Problem) -> Found:
        """Returns the front of what pymoo asked for."""
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.evaluator import Evaluator
        from pymoo.core.problem import Problem as Shape
        from pymoo.core.termination import NoTermination
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.problems.static import StaticProblem

        ledger, counts = problem.ledger(), problem.genome.choice_counts
        mutation = {} if self.mutation_probability is None else {"prob": self.mutation_probability}
        algorithm = NSGA2(
            pop_size=self.population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=15, vtype=float, repair=RoundingRepair()),
            mutation=PM(eta=20, vtype=float, repair=RoundingRepair(), **mutation),
            eliminate_duplicates=True,
        )
        shape = Shape(n_var=len(counts), n_obj=2, n_ieq_constr=0, xl=0, xu=counts - 1, vtype=int)
        algorithm.setup(shape, termination=NoTermination(), seed=problem.seed, verbose=False)
        idle = 0
        while ledger.left and idle < 50 and algorithm.has_next():
            asked = algorithm.ask()
            if asked is None or not len(asked):
                break
            vectors = asked.get("X").astype(np.int64)
            fresh = ledger.fresh(vectors)[: ledger.left]
            idle = 0 if len(fresh) else idle + 1
            if len(fresh):
                ledger.price(fresh)
            objectives, _ = problem.price(vectors)
            Evaluator().eval(StaticProblem(shape, F=objectives), asked)
            algorithm.tell(infills=asked)
        return ledger.found()


SEARCHES: dict[str, Search] = {
    "hwnas nsga2": Nsga2().search,
    "random": RandomSearch(batch=1000).search,
    "regularized evolution": RegularizedEvolution().search,
    "ofa finder": OfaEvolution().search,
    "pymoo nsga2": PymooNsga2(100, None),
    "dynas-t operators": PymooNsga2(50, 0.02),
}


@dataclass(frozen=True)
class Truth:
    """Two objectives of one space, and the hypervolume of their exact front."""

    space: Space
    accuracy: Callable[[np.ndarray], Floats]
    cost: Callable[[np.ndarray], Floats]
    reference: Floats
    exact_vectors: np.ndarray

    def price(self, vectors: np.ndarray) -> tuple[Floats, Floats]:
        """Returns the objectives, and no constraint."""
        objectives = np.stack([-self.accuracy(vectors), self.cost(vectors)], axis=1)
        return objectives, np.zeros((len(vectors), 1))

    def volume(self, objectives: Floats) -> float:
        """Returns the hypervolume from the reference point."""
        return hypervolume(objectives, self.reference)


def truth(data: Path, cost: str) -> Truth:
    space = space_at_224()
    accuracy = fit_accuracy(data, space)
    if cost == "macs":
        price, tables = macs(space), macs_tables(space)
    else:
        fitted, error = fit_latency(data, cost, space)
        price, tables = fitted.sums, fitted.tables()
        print(f"{cost}: the sum over blocks is off by {error:.2f} % on 1,000 networks it had not seen")
    started = time.process_time()
    front = exact(space, tables, accuracy.tables())
    seconds = time.process_time() - started
    largest = float(price(space.genomes([space.largest()]))[0])
    found = Truth(space, accuracy.values, price, np.array([-70.0, largest]), front.choices)
    volume = found.volume(found.price(front.choices)[0])
    print(
        f"{cost}: exact front {len(front.cost)} networks, hypervolume {volume:.3f} from "
        f"({largest:.4f}, 70 %), {seconds:.3f} CPU s; ceiling of accuracies {_ceiling(accuracy):.1f} %",
        flush=True,
    )
    return found


def _ceiling(accuracy: Additive) -> float:
    return accuracy.ceiling or 100.0


def compare(one: Truth, cost: str, budgets: list[int], seeds: int, out: Path | None) -> None:
    genome, whole = Genome(one.space, (32,)), one.volume(one.price(one.exact_vectors)[0])
    nothing = np.zeros((0, len(genome.choice_counts)), dtype=np.int64)
    for budget in budgets:
        searches = {**SEARCHES, "hwnas nsga2, seeded by the exact front": SEARCHES["hwnas nsga2"]}
        for name, search in searches.items():
            started, shares, priced = time.process_time(), [], 0
            for seed in range(seeds):
                first = nothing
                if "seeded" in name:
                    first = one.exact_vectors[: budget // 2] if budget >= 10_000 else nothing
                    if not len(first):
                        break
                problem = Problem(genome, one.price, first, budget, seed, lambda *_: None)
                found = search(problem)
                shares.append(one.volume(found.objectives) / whole)
                priced += found.priced
            if not shares:
                continue
            rate = priced / (time.process_time() - started)
            row = [cost, budget, name, np.mean(shares), np.std(shares, ddof=1) if seeds > 1 else 0.0, rate]
            print(
                f"{cost:13s} {budget:7d} {name:40s} {row[3]:.5f} ± {row[4]:.5f}  {rate:9.0f} a second",
                flush=True,
            )
            if out:
                with open(out, "a", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerow(row)


def growth(one: Truth, evaluations: list[int]) -> None:
    """CPU time of ours to a million evaluations: linear, and so many candidates a second."""
    genome = Genome(one.space, (32,))
    nothing = np.zeros((0, len(genome.choice_counts)), dtype=np.int64)
    for budget in evaluations:
        started = time.process_time()
        found = Nsga2().search(Problem(genome, one.price, nothing, budget, 0, lambda *_: None))
        seconds = time.process_time() - started
        print(
            f"{found.priced:8d} evaluations in {seconds:6.2f} CPU s, {found.priced / seconds:9.0f} a second"
        )


def throughput(name: str, bits: tuple[int, ...], evaluations: int = 50_000) -> None:
    """Candidates a second of the whole loop, operators and predictors, by the default predictors."""
    from hwnas.predictors import fit_predictor
    from hwnas.spaces import get_space

    space, rng = get_space(name), np.random.default_rng(0)
    genome = Genome(space, bits)
    train = genome.decode(genome.sample(100, rng))
    costs = train.costs()
    latency = 0.02 + costs.macs * 2e-8 * rng.lognormal(0, 0.02, 100)
    accuracy = 95 - 30 * np.exp(-costs.macs / costs.macs.mean()) + rng.normal(0, 0.2, 100)
    fitted = [
        fit_predictor(space, train, accuracy, metric="accuracy_top1", noise=0.3),
        fit_predictor(space, train, latency, metric="latency_ms"),
    ]

    def price(vectors: np.ndarray) -> tuple[Floats, Floats]:
        candidates = genome.decode(vectors)
        means = [one.mean(candidates) for one in fitted]
        return np.stack([-means[0], means[1]], axis=1), np.full((len(vectors), 1), -1.0)

    nothing = np.zeros((0, len(genome.choice_counts)), dtype=np.int64)
    started = time.process_time()
    found = Nsga2().search(Problem(genome, price, nothing, evaluations, 0, lambda *_: None))
    rate = found.priced / (time.process_time() - started)
    models = " and ".join(one.model for one in fitted)
    print(f"{name}, bits {bits}, predictors {models}: {found.priced} at {rate:9.0f} a second", flush=True)


def exact_times() -> None:
    """CPU time and memory of exact fronts of the whole space: block tables that look like real ones."""
    import resource

    from hwnas.predictors import AdditiveTerms
    from hwnas.search.additive import exact_candidates
    from hwnas.spaces import get_space
    from hwnas.spaces.bits import alike, crossed

    space = get_space("ofa-mobilenetv3-w1.0")
    rng = np.random.default_rng(0)
    work = np.append(space.cost_table.macs[:-1] / 1e6, 0.0)
    speed = np.append(1 + 0.3 * rng.random(len(work) - 1), 0.0)
    weight = rng.random((len(space.slots), 1))

    def latency(weight_bits: int, activation_bits: int) -> Floats:
        share = weight_bits * activation_bits / 64
        noise = 1 + 0.1 * np.random.default_rng([weight_bits, activation_bits]).random(len(work))
        return np.broadcast_to(
            (work * speed * share + 0.3 * (work > 0)) * noise, (len(space.slots), len(work))
        )

    def quality(weight_bits: int, activation_bits: int) -> Floats:
        loss = 0.6 * (1 / weight_bits**2 + 1 / activation_bits**2) * (work > 0)
        noise = 0.01 * np.random.default_rng([weight_bits, activation_bits, 1]).random(
            (len(space.slots), len(work))
        )
        return np.log1p(work) * weight - loss * (0.5 + weight) + noise * (work > 0)

    sizes = np.linspace(0, 1, len(space.image_sizes))
    cost = AdditiveTerms(space, "latency_ms", 0 * sizes, latency, lambda sums: sums, True)
    score = AdditiveTerms(space, "accuracy_top1", sizes, quality, lambda sums: sums, True)
    for what, pairs in [("8 bits", alike((8,))), ("4 x 4 bitwidths", crossed((8, 6, 4, 2), (8, 6, 4, 2)))]:
        started = time.process_time()
        found = exact_candidates(Genome(space, pairs), cost, score)
        seconds = time.process_time() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(
            f"exact front, {what}: {len(found.cost)} networks, {seconds:.2f} CPU s, peak {peak:.0f} MB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of public measurements")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 500, 1000, 10_000, 100_000])
    parser.add_argument("--cost", nargs="+", default=["macs", "titan_rtx_64"])
    parser.add_argument("--out", type=Path, help="append rows to this CSV as they are known")
    parser.add_argument("--growth", type=int, nargs="*", default=[], help="time our search to so many")
    parser.add_argument("--throughput", action="store_true", help="time the default predictors, no more")
    parser.add_argument("--exact", action="store_true", help="time exact fronts of all sizes, no more")
    arguments = parser.parse_args()
    if arguments.exact:
        exact_times()
        return
    if arguments.throughput:
        for space, bits in [("demo", (32,)), ("demo", (32, 8)), ("ofa-mobilenetv3-w1.0", (32,))]:
            throughput(space, bits)
        return
    for cost in arguments.cost:
        one = truth(arguments.data, cost)
        compare(one, cost, arguments.budgets, arguments.seeds, arguments.out)
        if arguments.growth:
            growth(one, arguments.growth)


if __name__ == "__main__":
    main()
