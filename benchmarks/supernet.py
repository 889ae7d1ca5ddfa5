"""What the supernet costs beside plain static networks: one run prints every figure.

    python benchmarks/supernet.py [--repeats 7] [--spaces demo ofa-mobilenetv3-w1.0]

CPU seconds on one thread; what is compared runs interleaved, and figures are medians over repeats.
Static networks are the subnets that `Supernet.extract` returns, torch's own modules alone.
- Extraction: of random architectures.
- Evaluation: all that an `Evaluator` does for a candidate once images are resized (extraction,
  recalibration on 500 images, folding, inference on 1,000 others), over the static network's
  inference on the same 1,500 images in the same batches; with `--images`, of so many instead of
  1,000.
- Sandwich step: forward and backward of max, two random and min, over the sum of the same steps of
  the four static networks; batch 32.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch.nn import functional

from hwnas.data import ArraySplit, Dataset
from hwnas.spaces import Architecture, Candidates, Space, get_space
from hwnas.supernet import Evaluator, Subnet, Supernet
from hwnas.supernet.chain import channels_last

SIZES_PX = {"demo": 48}
OTHER_SIZE_PX = 128
TRAIN_BATCH = 32


def seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def extraction(supernet: Supernet, repeats: int) -> None:
    some = supernet.space.sample(repeats, np.random.default_rng(0))
    supernet.extract(some[0])
    each = [1000 * seconds(lambda one=one: supernet.extract(one)) for one in some]  # type: ignore[misc]
    print(f"extraction                {median(each):8.1f} ms (up to {max(each):.1f})", flush=True)


def evaluation(supernet: Supernet, size_px: int, n: int, repeats: int) -> None:
    space = supernet.space
    evaluator = Evaluator(supernet, noise(space, size_px, n), calibrate_images=n // 2)
    genomes = space.sample_genomes(repeats + 1, np.random.default_rng(1))
    genomes[:, -1] = space.image_sizes.index(size_px)
    candidates = Candidates.of_genomes(space, genomes)
    every = [x for split in ("calibrate", "validate") for x, _ in evaluator.batches(split, size_px)]

    def infer(network: torch.nn.Module) -> None:
        with torch.inference_mode():
            for x_NCHW in every:
                network(x_NCHW)

    ratios = []
    for row, architecture in enumerate(space.architectures(genomes)):
        static = channels_last(supernet.extract(architecture)).eval()
        whole = seconds(lambda: evaluator.evaluate_one(candidates[[row]]))  # noqa: B023
        ratios.append(whole / seconds(lambda: infer(static)))  # noqa: B023
    ratios = ratios[1:]  # the first candidate resizes the images
    print(
        f"recalibrate and evaluate  {median(ratios):8.2f} x static inference ({n // 2} + {n} images)",
        flush=True,
    )


def noise(space: Space, size_px: int, n: int) -> Dataset:
    """Returns n images to validate on and half as many to calibrate with."""

    def make_split(name: str) -> ArraySplit:
        count = n // 2 if name == "calibrate" else n
        pixels = np.random.default_rng(count).integers(0, 256, (count, size_px, size_px, 3), dtype=np.uint8)
        labels = np.zeros(count, dtype=np.int64)
        return ArraySplit(labels=labels, mean=(0.5,) * 3, std=(0.25,) * 3, pixels=pixels)

    return Dataset(
        name="noise",
        class_names=tuple(map(str, range(space.num_classes))),
        canvas_px=size_px,
        fingerprint="",
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        make_split=make_split,
    )


def sandwich(supernet: Supernet, size_px: int, repeats: int) -> None:
    space = supernet.space
    x_NCHW = torch.randn(TRAIN_BATCH, 3, size_px, size_px).contiguous(memory_format=torch.channels_last)
    y_N = torch.zeros(TRAIN_BATCH, dtype=torch.long)

    def step(network: torch.nn.Module, *architecture: Architecture) -> None:
        functional.cross_entropy(network(x_NCHW, *architecture), y_N).backward()  # type: ignore[no-untyped-call]

    ratios = []
    for repeat in range(repeats + 1):
        four = [space.largest(), *space.sample(2, np.random.default_rng(repeat)), space.smallest()]
        statics: list[Subnet] = [channels_last(supernet.extract(one)).train() for one in four]
        supernet.train().zero_grad(set_to_none=True)
        elastic = plain = 0.0
        for one, static in zip(four, statics, strict=True):
            elastic += seconds(lambda: step(supernet, one))  # noqa: B023
            plain += seconds(lambda: step(static))  # noqa: B023
        ratios.append(elastic / plain)
    supernet.eval()
    print(f"sandwich step             {median(ratios[1:]):8.2f} x four static steps", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--spaces", nargs="+", default=["demo", "ofa-mobilenetv3-w1.0"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.spaces:
        space: Space = get_space(name)
        size_px = SIZES_PX.get(name, OTHER_SIZE_PX)
        supernet = channels_last(Supernet(space)).eval()
        print(f"\n{name} at {size_px} px")
        extraction(supernet, max(20, arguments.repeats))
        evaluation(supernet, size_px, arguments.images, arguments.repeats)
        sandwich(supernet, size_px, arguments.repeats)


if __name__ == "__main__":
    main()
