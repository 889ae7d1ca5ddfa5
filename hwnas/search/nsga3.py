"""NSGA-III for three and more objectives: pymoo's survival by ask and tell, our operators."""

from dataclasses import dataclass, field

import numpy as np

from hwnas.search.inner import Found, Problem
from hwnas.search.nsga2 import IDLE, Breeding, children, first_generation
from hwnas.search.operators import Layout

# Partitions of Das and Dennis's simplex by number of objectives: about a hundred directions.
_PARTITIONS = {1: 1, 2: 99, 3: 12, 4: 7}
# Vectors in the first generation, as many as NSGA-II begins with.
_FIRST = 40


@dataclass(frozen=True, kw_only=True)
class Nsga3:
    """NSGA-III: niches along reference directions keep a front of many objectives even.

    Attributes:
        seeds: compound-scaled vectors in the first generation.

    Source: Deb and Jain (2014), reference directions of Das and Dennis.
    """

    seeds: int = 20
    breeding: Breeding = field(default_factory=Breeding)

    def search(self, problem: Problem) -> Found:
        """Returns the front found within the problem's evaluations."""
        from pymoo.algorithms.moo.nsga3 import NSGA3
        from pymoo.core.population import Population
        from pymoo.core.problem import Problem as Shape
        from pymoo.core.termination import NoTermination
        from pymoo.util.ref_dirs import get_reference_directions

        rng, ledger = np.random.default_rng(problem.seed), problem.ledger()
        layout = Layout.of(problem.genome)
        vectors = first_generation(problem, ledger, self.seeds, _FIRST, rng)
        objectives, violation = ledger.price(vectors)
        m = objectives.shape[1]
        directions = get_reference_directions("das-dennis", m, n_partitions=_PARTITIONS.get(m, 5))
        size = len(directions) + len(directions) % 2
        first = Population.new(X=vectors, F=objectives, G=violation[:, None])
        algorithm = NSGA3(directions, pop_size=size, sampling=first)
        shape = Shape(n_var=vectors.shape[1], n_obj=m, n_ieq_constr=1, xl=0, xu=layout.counts - 1)
        algorithm.setup(shape, termination=NoTermination(), seed=problem.seed, verbose=False)
        algorithm.tell(infills=algorithm.ask())
        ledger.end_generation()
        idle = 0
        while ledger.left and idle < IDLE:
            alive = algorithm.pop
            vectors, objectives = alive.get("X").astype(np.int64), alive.get("F")
            # Survival has spread them over the niches, so all are parents alike.
            even = np.zeros(len(alive), dtype=np.int64)
            drawn = children(
                vectors, objectives, even, even.astype(np.float64), size, layout, self.breeding, rng
            )
            fresh = ledger.fresh(drawn)[: ledger.left]
            idle = 0 if len(fresh) else idle + 1
            if len(fresh):
                objectives, violation = ledger.price(fresh)
                algorithm.tell(infills=Population.new(X=fresh, F=objectives, G=violation[:, None]))
                ledger.end_generation()
        return ledger.found()
