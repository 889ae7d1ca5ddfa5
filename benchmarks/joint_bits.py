"""Architecture and bits in one search, against one after the other, at equal numbers of evaluations.

    python benchmarks/joint_bits.py [--supernet FILE] [--cache joint_bits.jsonl] [--seeds 5] [--budget 100]

Three arms on an accelerator with bits of its own choice (bitfusion), each with the same budget of real
evaluations (validation split, the first images), the same first sample by the same rule, the same
predictor, inner search and choice of proposals:

- `uniform`: architectures alone, every layer at 8 bits;
- `sequential`: architectures alone for half the budget, then the bits of four of the front's networks,
  in the manner of HAQ;
- `joint`: architectures and bits at once, but for the first round after the first sample, which as in
  `hwnas search` proposes at 8 bits alone.

Latencies are the simulated device's own. Figures: hypervolume of what was evaluated, above chance accuracy
and below the latency of the largest network at 8 bits; again with the fronts' accuracies on the test
split, whose images no arm has seen. Evaluations are kept in the cache, which all arms and seeds share, as
do processes that run side by side (--first-seed); the same command goes on. Where an arm asks for what
another has evaluated, it counts in its budget all the same.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.data import get_dataset
from hwnas.predictors import fit_predictor
from hwnas.profilers import get_device
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.search.genome import Genome, joined
from hwnas.search.pareto import gainful_subset, hypervolume, non_dominated, spread_subset
from hwnas.search.sample import first_sample
from hwnas.spaces import Candidates
from hwnas.supernet import Evaluator, demo_supernet_path, load_supernet

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ARMS = ("uniform", "sequential", "joint")
FIRST, ROUND, PARENTS, CHILDREN, GENERATIONS, NETWORKS = 20, 8, 60, 240, 25, 4


class Truth:
    """Accuracies, each evaluated once for all arms and seeds."""

    def __init__(self, evaluator: Evaluator, split: str, cache: Path) -> None:
        self._evaluator, self._split, self._cache = evaluator, split, cache
        self.known: dict[str, float] = {}
        self._read()

    def _read(self) -> None:
        """Takes what is in the cache, other processes' evaluations among it."""
        lines = self._cache.read_text().splitlines() if self._cache.exists() else []
        for one in map(json.loads, lines):
            if one["split"] == self._split:
                self.known[one["id"]] = one["accuracy_top1"]

    def of(self, candidates: Candidates) -> Floats:
        """Returns the accuracy of each, percent."""
        if any(key not in self.known for key in candidates.ids):
            self._read()
        fresh = [row for row, key in enumerate(candidates.ids) if key not in self.known]
        for result in self._evaluator.stream(candidates[fresh], self._split) if fresh else ():
            self.known[result.id] = result.accuracy_top1
            with self._cache.open("a") as file:
                row = {"id": result.id, "split": self._split, "accuracy_top1": result.accuracy_top1}
                file.write(json.dumps(row) + "\n")
        return np.array([self.known[key] for key in candidates.ids])


@dataclass(eq=False)
class Run:
    """One arm with one seed: what it has evaluated so far."""

    truth: Truth
    latency_of: Callable[[Candidates], Floats]
    reference: Floats
    seed: int
    known: Candidates | None = None

    def learn(self, candidates: Candidates) -> None:
        """Evaluates candidates and keeps them."""
        self.truth.of(candidates)
        self.known = candidates if self.known is None else joined([self.known, candidates])

    @property
    def points(self) -> Floats:
        """Objectives [n, 2]: minus accuracy, and latency."""
        assert self.known is not None
        return np.stack([-self.truth.of(self.known), self.latency_of(self.known)], axis=1)

    def search(self, genome: Genome, budget: int, fixed: Ints | None = None) -> None:
        """Evaluates `budget` candidates more, proposed in rounds from a refitted predictor.

        Args:
            genome: what may be chosen.
            fixed: the genes of one architecture, where only its bits are searched.
        """
        rng = np.random.default_rng([self.seed, len(self.known or ())])

        def settled(vectors: Ints) -> Ints:
            if fixed is not None:
                vectors = vectors.copy()
                vectors[:, : len(fixed)] = fixed
            return np.unique(genome.canonical(vectors), axis=0)

        left = budget
        while left > 0:
            have = 0 if self.known is None else len(self.known)
            if have == 0:
                fresh = first_sample(genome.space, genome.bits, FIRST, rng)[0][: min(FIRST, budget)]
            else:
                fresh = self._proposed(genome, settled, min(left, ROUND), rng)
            if not len(fresh):
                break
            self.learn(fresh)
            left -= len(fresh)

    def _proposed(
        self, genome: Genome, settled: Callable[[Ints], Ints], wanted: int, rng: np.random.Generator
    ) -> Candidates:
        assert self.known is not None
        space, points = genome.space, self.points
        predictor = fit_predictor(space, self.known, -points[:, 0], metric="accuracy_top1", seed=self.seed)

        def price(vectors: Ints) -> Floats:
            candidates = genome.decode(vectors)
            return np.stack([-predictor.mean(candidates), self.latency_of(candidates)], axis=1)

        front = genome.encode(self.known[non_dominated(points)])
        pool = settled(np.concatenate([front, genome.sample(CHILDREN, rng)]))
        objectives = price(pool)
        for _ in range(GENERATIONS):
            keep = _best(objectives, PARENTS)
            pool, objectives = pool[keep], objectives[keep]
            children = settled(_children(pool, genome.choice_counts, rng))
            pool, objectives = (
                np.concatenate([pool, children]),
                np.concatenate([objectives, price(children)]),
            )
        pool, first = np.unique(pool, axis=0, return_index=True)
        objectives = objectives[first]
        ids = set(self.known.ids)
        new = np.array([one not in ids for one in genome.decode(pool).ids], dtype=bool)
        pool, objectives = pool[new], objectives[new]
        if not len(pool):
            return genome.decode(pool)
        rows = non_dominated(objectives)
        expected = np.stack([-predictor.mean(self.known), points[:, 1]], axis=1)
        picked = rows[gainful_subset(objectives[rows], expected, self.reference, wanted)]
        if len(picked) < wanted:
            others = np.setdiff1d(np.arange(len(pool)), picked)
            more = others[_best(objectives[others], wanted - len(picked))] if len(others) else others
            picked = np.concatenate([picked, more])
        return genome.decode(pool[picked])


def uniform(run: Run, genome: Genome, budget: int) -> None:
    """Architectures alone, at 8 bits."""
    run.search(Genome(genome.space, (8,)), budget)


def sequential(run: Run, genome: Genome, budget: int) -> None:
    """Architectures at 8 bits, then the bits of some of them."""
    run.search(Genome(genome.space, (8,)), budget // 2)
    assert run.known is not None
    front = non_dominated(run.points)
    chosen = run.known[front[spread_subset(run.points[front], NETWORKS)]]
    left = budget - len(run.known)
    for number in range(len(chosen)):
        share = left // (len(chosen) - number)
        before = len(run.known)
        run.search(genome, share, fixed=chosen.genomes[number])
        left -= len(run.known) - before


def joint(run: Run, genome: Genome, budget: int) -> None:
    """Architectures and bits at once, after a first sample of both and a first round at 8 bits."""
    run.search(genome, min(FIRST, budget))
    run.search(Genome(genome.space, (8,)), min(ROUND, budget - FIRST))
    assert run.known is not None
    run.search(genome, budget - len(run.known))


def _children(parents: Ints, counts: Ints, rng: np.random.Generator) -> Ints:
    """Uniform crossover, then about two positions redrawn."""
    left, right = parents[rng.integers(0, len(parents), (2, CHILDREN))]
    children = np.where(rng.random(left.shape) < 0.5, left, right)
    redrawn = rng.integers(0, counts, size=children.shape)
    return np.where(rng.random(children.shape) < 2 / len(counts), redrawn, children)


def _best(objectives: Floats, n: int) -> Ints:
    """The rows of the first fronts, the last of them thinned out."""
    left, kept = np.arange(len(objectives)), np.zeros(0, dtype=np.int64)
    while len(kept) < n and len(left):
        rows = left[non_dominated(objectives[left])]
        if len(kept) + len(rows) > n:
            rows = rows[spread_subset(objectives[rows], n - len(kept))]
        kept = np.concatenate([kept, rows])
        left = np.setdiff1d(left, rows)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--supernet", type=Path, default=demo_supernet_path())
    parser.add_argument("--data", default="digits")
    parser.add_argument("--device", default="bitfusion")
    parser.add_argument("--cache", type=Path, default=Path("joint_bits.jsonl"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0, help="so that processes share the work")
    parser.add_argument("--budget", type=int, default=100)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--test-images", type=int, default=3000)
    asked = parser.parse_args()
    supernet, dataset = load_supernet(asked.supernet), get_dataset(asked.data)
    space, device = supernet.space, get_device(asked.device)
    assert isinstance(device, SimulatedDevice)
    table = device.table(space)
    truths = {
        split: Truth(Evaluator(supernet, dataset, images=images, workers=1), split, asked.cache)
        for split, images in (("validate", asked.images), ("test", asked.test_images))
    }
    genome = Genome(space, device.bit_pairs)
    largest = Candidates.of_architectures(space, [space.largest()], 8)
    reference = np.array([-100 / space.num_classes, float(table.latency_ms(largest)[0])])
    volumes: dict[str, dict[str, list[float]]] = {split: {arm: [] for arm in ARMS} for split in truths}
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        for arm, search in zip(ARMS, (uniform, sequential, joint), strict=True):
            run = Run(truths["validate"], table.latency_ms, reference, seed)
            search(run, genome, asked.budget)
            assert run.known is not None
            front = run.known[non_dominated(run.points)]
            on_test = np.stack([-truths["test"].of(front), table.latency_ms(front)], axis=1)
            for split, points in (("validate", run.points), ("test", on_test)):
                volumes[split][arm].append(hypervolume(points, reference))
            say = f"{len(run.known)} evaluated, {len(front)} on the front"
            found = ", ".join(f"{split} {volumes[split][arm][-1]:.3f}" for split in volumes)
            print(f"seed {seed} {arm:10}: {say}, hypervolume {found}", flush=True)
    for split, of in volumes.items():
        for arm in ARMS[:2]:
            gains = 100 * (np.array(of["joint"]) / np.array(of[arm]) - 1)
            error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else float("nan")
            ahead = int((gains >= 0).sum())
            print(
                f"{split}: joint over {arm}: {gains.mean():+.2f} ± {error:.2f} % of hypervolume "
                f"(standard error), ahead or equal in {ahead} of {len(gains)} seeds"
            )


if __name__ == "__main__":
    main()
