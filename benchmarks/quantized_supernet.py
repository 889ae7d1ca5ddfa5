"""Supernets at few bits: the same architectures in floating point and quantized, on one split.

For each supernet, random architectures in floating point (the twins), with 8 bits and with 4 bits
everywhere, with 4-bit weights under 8-bit activations, and under random policies of 4 and 8 bits,
each layer's weights and activations drawn alone, until the mean is at most 6 bits. The first
supernet's twins are what all differences of floating point are taken to.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.data import get_dataset
from hwnas.spaces import Candidates, Space
from hwnas.supernet import Evaluator, demo_supernet_path, load_supernet

MEAN_BITS = 6.0


def mixed(space: Space, genomes: NDArray[np.int64], rng: np.random.Generator) -> Candidates:
    """Returns the architectures, each under the first random policy of 4 and 8 bits that is small enough."""
    chosen = []
    for genome in genomes:
        while True:
            bits = rng.choice([4, 8], size=(2, 1, len(space.slots)))
            one = Candidates.of_genomes(space, genome[None], *bits)
            if one.mean_bits()[0] <= MEAN_BITS:
                break
        chosen.append(one)
    return Candidates.concatenate(chosen)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("supernets", type=Path, nargs="*", default=[demo_supernet_path()])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--architectures", type=int, default=10)
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset, first = get_dataset(arguments.data), None
    for path in arguments.supernets:
        started = time.process_time()
        supernet = load_supernet(path)
        evaluator = Evaluator(supernet, dataset, images=arguments.images, workers=1)
        space, rng = supernet.space, np.random.default_rng(arguments.seed)
        genomes = space.sample_genomes(arguments.architectures, rng)
        ends = space.genomes([space.largest(), space.smallest()])
        at = {
            "largest, smallest in 32 bits": Candidates.of_genomes(space, ends),
            "32": Candidates.of_genomes(space, genomes),
            "8": Candidates.of_genomes(space, genomes, 8, 8),
            "weights 4, activations 8": Candidates.of_genomes(space, genomes, 4, 8),
            "mixed 4 and 8": mixed(space, genomes, rng),
            "4": Candidates.of_genomes(space, genomes, 4, 4),
        }
        found = {
            name: np.array([one.accuracy_top1 for one in evaluator.evaluate(some, arguments.split)])
            for name, some in at.items()
        }
        first = found["32"] if first is None else first
        print(f"\n{path} on {arguments.split}: {found.pop('largest, smallest in 32 bits').round(2)}")
        for name, accuracies in found.items():
            below = (first if name == "32" else found["32"]) - accuracies
            error = below.std(ddof=1) / np.sqrt(len(below))
            print(
                f"{name:26s} mean bits {at[name].mean_bits().mean():4.1f}  accuracy {accuracies.mean():.2f}  "
                f"below {'the first ' if name == '32' else ''}float {below.mean():.2f} ± {error:.2f} "
                f"(largest {below.max():.2f})",
                flush=True,
            )
        print(f"{time.process_time() - started:.0f} CPU s")


if __name__ == "__main__":
    main()
