"""Whether measuring what tells most gives a better front than measuring at random, at equal budget.

    python benchmarks/search_telling.py --data FOLDER [--seeds 6] [--setting v100_32]

Networks of Once-for-All's space at 224 px. The truth of the latency is a predictor fitted on 1,000
public measurements of a GPU setting, and a measurement of it errs by 1 %; that of the accuracy is a
link-additive fit of ImageNet accuracies, and an evaluation errs by 0.02 points. Both searches measure
80 networks before their first proposal and evaluate the same numbers in the same rounds; one draws all
80 at random, the other 56, and lets `search.telling` choose 24. Figures are of the true values of what
was evaluated and measured within the target: hypervolume (accuracy above 70 %, latency below target)
over that of the better search of the seed, and the best accuracy.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

import numpy as np
from search_truths import FULL, Floats, fit_accuracy, space_at_224

from hwnas.predictors import fit_predictor, read_measurements
from hwnas.predictors.predictor import FittedPredictor
from hwnas.profilers import Device, Fingerprint, Measurement, Meter, Protocol
from hwnas.progress import Silent
from hwnas.search.genome import Genome
from hwnas.search.loop import Search
from hwnas.search.pareto import hypervolume
from hwnas.search.run_folder import run_folder
from hwnas.search.settings import SearchSettings
from hwnas.spaces import Candidates, Layer, Network, Space, get_space
from hwnas.supernet import Evaluation

_ERROR, _ERROR_POINTS, _P95 = 0.01, 0.02, 1.02
_FITTED_ON = 1000


class TrueDevice(Device):
    """A device whose latencies another function says: nothing is built or run."""

    runtime, kind, bits, name = "none", "measured", (32,), "truth"

    def unavailable(self) -> str | None:
        """It always is."""
        return None

    def fingerprint(self) -> Fingerprint:
        """Its name."""
        return Fingerprint({"device": self.name})

    def refusal(self, layer: Layer) -> str | None:
        """It runs everything."""
        return None

    def build(self, network: Network, folder: Path) -> Path:
        """Nothing is built."""
        raise NotImplementedError

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        """Nothing is run."""
        raise NotImplementedError


def latency_truth(data: Path, setting: str) -> FittedPredictor:
    """Returns a predictor fitted on public measurements, of all image sizes."""
    full = get_space(FULL)
    every = read_measurements(data / "ofa" / "latency_gpus.csv", full, f"latency_ms:{setting}")
    rows = np.random.default_rng(0).permutation(len(every.values))[:_FITTED_ON]
    return fit_predictor(full, every.candidates[rows], every.values[rows])


def true_ms(predictor: FittedPredictor, candidates: Candidates) -> Floats:
    """Returns the truth [n] of networks of the space that has 224 px alone."""
    genomes = candidates.genomes.copy()
    genomes[:, -1] = predictor.space.image_sizes.index(224)
    return predictor.mean(Candidates.of_genomes(predictor.space, genomes))


def measurement(name: str, value: float) -> Measurement:
    return Measurement(
        subject=name,
        device=TrueDevice.name,
        fingerprint="",
        kind="measured",
        latency_ms=value,
        p95_ms=value * _P95,
        ci_low_ms=value,
        ci_high_ms=value,
        samples_ms=(value,),
        time="",
    )


def one_run(space: Space, truths: Mapping[str, object], settings: SearchSettings, random: bool) -> Floats:
    """Returns the true objectives of what was evaluated, in order."""
    rng = np.random.default_rng([settings.seed, 7])
    accuracy, latency = truths["accuracy"], truths["latency"]
    order: list[Candidates] = []

    def evaluate(candidates: Candidates, split: str) -> Iterator[Evaluation]:
        order.append(candidates)
        values = accuracy.values(candidates.genomes)  # type: ignore[attr-defined]
        for name, value in zip(candidates.ids, values.tolist(), strict=True):
            yield Evaluation(name, value + _ERROR_POINTS * rng.normal(), _ERROR_POINTS, 50_000, split)

    def measure(device: Device, candidates: Candidates) -> Sequence[Measurement]:
        values = true_ms(latency, candidates) * np.exp(_ERROR * rng.standard_normal(len(candidates)))  # type: ignore[arg-type]
        return [measurement(*pair) for pair in zip(candidates.ids, values.tolist(), strict=True)]

    drawn = max(settings.profile_samples, settings.initial_evaluations)
    with tempfile.TemporaryDirectory() as folder, run_folder(Path(folder) / "run", {}) as journal:
        search = Search(
            space=space,
            devices=[TrueDevice()],
            evaluate=evaluate,
            measure=measure,
            settings=settings,
            journal=journal,
            progress=Silent(),
        )
        if random:
            with patch("hwnas.search.loop.at_random", lambda *_: drawn):
                search.run()
        else:
            search.run()
    every = Candidates.concatenate(order)
    times = true_ms(latency, every)  # type: ignore[arg-type]
    return np.stack([-accuracy.values(every.genomes), times], axis=1)  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of public measurements")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--setting", default="v100_32")
    parser.add_argument("--samples", type=int, default=80, help="measured before the first proposal")
    parser.add_argument("--initial", type=int, default=56, help="of these, evaluated too")
    arguments = parser.parse_args()
    space, latency = space_at_224(), latency_truth(arguments.data, arguments.setting)
    truths = {"accuracy": fit_accuracy(arguments.data, space), "latency": latency}
    genome = Genome(space, ((32, 32),))
    drawn = genome.decode(genome.sample(500, np.random.default_rng(0)))
    target = float(np.median(true_ms(latency, drawn))) * _P95
    ratios = []
    for seed in range(arguments.seeds):
        settings = SearchSettings(
            seed=seed,
            target_latency_ms=target,
            profile_samples=arguments.samples,
            initial_evaluations=arguments.initial,
            epsilon=0.0,
        )
        started, found = time.process_time(), []
        for random in (True, False):
            points = one_run(space, truths, settings, random)
            within = points[points[:, 1] * _P95 <= target]
            found.append((hypervolume(within, np.array([-70.0, target])), -within[:, 0].min(), len(points)))
        ratios.append(found[1][0] / found[0][0])
        print(
            f"seed {seed}: random {found[0][0]:.3f} {found[0][1]:.3f} % ({found[0][2]}), telling "
            f"{found[1][0]:.3f} {found[1][1]:.3f} % ({found[1][2]}), ratio {ratios[-1]:.4f} "
            f"({time.process_time() - started:.0f} CPU s)",
            flush=True,
        )
    error = np.std(ratios, ddof=1) / len(ratios) ** 0.5 if len(ratios) > 1 else 0.0
    mean = f"{np.mean(ratios):.4f} ± {error:.4f}"
    print(f"{arguments.setting}, target {target:.2f} ms: telling / random {mean}")


if __name__ == "__main__":
    main()
