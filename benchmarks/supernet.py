"""What the supernet costs beside plain static networks: one run prints every figure.

    python benchmarks/supernet.py [--repeats 7] [--spaces demo ofa-mobilenetv3-w1.0]

CPU seconds on one thread; what is compared runs interleaved, and figures are medians over repeats.
Static networks are the subnets that `Supernet.extract` returns, torch's own modules alone.
- Extraction: of random architectures.
- Evaluation: extraction, recalibration on 500 images, folding and inference on 1,000 others, over
  the static network's inference on the same 1,500 images in the same batches; with `--images`, of
  so many instead of 1,000.
- Sandwich step: forward and backward of max, two random and min, over the sum of the same steps of
  the four static networks; batch 32.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.spaces import Architecture, Space, get_space
from hwnas.supernet import FoldedNetwork, Subnet, Supernet, to_network
from hwnas.supernet.chain import channels_last
from hwnas.supernet.evaluation.evaluate import BATCH_SIZE
from hwnas.supernet.recalibrate import recalibrate_in_place

SIZES_PX = {"demo": 48}
OTHER_SIZE_PX = 128
TRAIN_BATCH = 32


def seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def images(n: int, size_px: int, batch_size: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n)
    return [
        torch.randn(batch_size, 3, size_px, size_px, generator=generator).contiguous(
            memory_format=torch.channels_last
        )
        for _ in range(-(-n // batch_size))
    ]


def extraction(supernet: Supernet, repeats: int) -> None:
    some = supernet.space.sample(repeats, np.random.default_rng(0))
    supernet.extract(some[0])
    each = [1000 * seconds(lambda one=one: supernet.extract(one)) for one in some]  # type: ignore[misc]
    print(f"extraction                {median(each):8.1f} ms (up to {max(each):.1f})", flush=True)


def evaluation(supernet: Supernet, size_px: int, n: int, repeats: int) -> None:
    calibrate, validate = images(n // 2, size_px, BATCH_SIZE), images(n, size_px, BATCH_SIZE)
    architectures = supernet.space.sample(repeats, np.random.default_rng(1))

    def ours(architecture: Architecture) -> None:
        subnet = recalibrate_in_place(channels_last(supernet.extract(architecture)), calibrate)
        infer(FoldedNetwork(to_network(subnet)).eval(), validate)

    def infer(network: torch.nn.Module, batches: list[Tensor]) -> None:
        with torch.inference_mode():
            for x_NCHW in batches:
                network(x_NCHW)

    ratios = []
    for architecture in architectures:
        static = channels_last(supernet.extract(architecture)).eval()
        whole = seconds(lambda: ours(architecture))  # noqa: B023
        plain = seconds(lambda: infer(static, calibrate + validate))  # noqa: B023
        ratios.append(whole / plain)
    print(
        f"recalibrate and evaluate  {median(ratios):8.2f} x static inference ({n // 2} + {n} images)",
        flush=True,
    )


def sandwich(supernet: Supernet, size_px: int, repeats: int) -> None:
    space = supernet.space
    x_NCHW = images(TRAIN_BATCH, size_px, TRAIN_BATCH)[0]
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
