"""Do exported quantized files compute what the fake-quantized module computes?

    python benchmarks/quantized_files.py [--supernet FILE] [--pairs 30] [--images 2000]

Random (architecture, policy) pairs of the demo supernet, weight and activation bits of every layer drawn
from 4, 6, 8 and 32 by themselves. Each is recalibrated and calibrated, written as a QDQ file, and run by
ONNX Runtime and as a fake-quantized torch module on the same test images.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from hwnas.data import get_dataset
from hwnas.export.gate import file_logits
from hwnas.export.onnx import export_onnx
from hwnas.spaces import Candidates
from hwnas.supernet import Evaluator, demo_supernet_path, load_supernet

BITS = (4, 6, 8, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--supernet", type=Path, default=demo_supernet_path())
    parser.add_argument("--data", default="digits")
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    supernet = load_supernet(asked.supernet)
    evaluator, space = Evaluator(supernet, get_dataset(asked.data), workers=1), supernet.space
    rng = np.random.default_rng(asked.seed)
    shape = (asked.pairs, len(space.slots))
    drawn = [rng.choice(BITS, size=shape) for _ in "wa"]
    candidates = Candidates.of_genomes(space, space.sample_genomes(asked.pairs, rng), *drawn)
    agreements, differences = [], []
    with tempfile.TemporaryDirectory() as folder:
        for row in range(len(candidates)):
            prepared = evaluator.prepare(candidates, row)
            run = file_logits(export_onnx(prepared.network, Path(folder) / f"{row}.onnx"), threads=1)
            same = of_module = of_file = n = 0
            size_px = prepared.layers[0].in_size_px
            for x, y in evaluator.batches("test", size_px, asked.images):
                with torch.inference_mode():
                    module = prepared.module(x).numpy().argmax(axis=1)
                file, labels = run(x.numpy()).argmax(axis=1), y.numpy()
                same += int((module == file).sum())
                of_module += int((module == labels).sum())
                of_file += int((file == labels).sum())
                n += len(labels)
            agreements.append(100 * same / n)
            differences.append(100 * (of_file - of_module) / n)
            print(
                f"{candidates.ids[row]}: agree {agreements[-1]:.2f} %, accuracy of the module "
                f"{100 * of_module / n:.2f} %, of the file {differences[-1]:+.2f} points",
                flush=True,
            )
    print(
        f"{len(candidates)} pairs, {n} test images: top-1 agreement at least {min(agreements):.2f} %, mean "
        f"{np.mean(agreements):.3f} %; accuracies differ by {max(map(abs, differences)):.2f} points at most"
    )


if __name__ == "__main__":
    main()
