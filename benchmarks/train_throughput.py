"""How fast a supernet trains: images a second, memory, and the share of the device's matmul rate.

    python benchmarks/train_throughput.py --space ofa-mobilenetv3-w1.0 --size 64 --batch 256 --precision bf16

A step is that of a recipe (`--recipe`, sandwich where not given). The share compares the MACs of the
step's networks, three times over for forward and backward, with what a square matrix product
reaches on the same device at the same precision. Images are made up and lie in memory.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from hwnas.data import ArraySplit, Dataset
from hwnas.spaces import Candidates, MobileNetSpace, Space, get_space
from hwnas.supernet import adjusted, preset, preset_names
from hwnas.supernet.training.distributed import process_device
from hwnas.supernet.training.draws import Purpose, rng
from hwnas.supernet.training.trainer import Trainer

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_MATRIX = {"cpu": 1024, "cuda": 8192}
_BACKWARD = 3  # forward, gradients of inputs, gradients of weights


def images(space: Space, size_px: int, number: int) -> Dataset:
    """Returns random images in one split for each name."""
    numbers = np.random.default_rng(0)
    split = ArraySplit(
        labels=numbers.integers(0, space.num_classes, number),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        pixels=numbers.integers(0, 256, (number, size_px, size_px, 3), dtype=np.uint8),
    )
    names = tuple(map(str, range(space.num_classes)))
    return Dataset(
        name="noise",
        class_names=names,
        canvas_px=size_px,
        fingerprint="noise",
        mean=split.mean,
        std=split.std,
        make_split=lambda _: split,
    )


def seconds(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Returns the median time of a run, the device's queue emptied before and after."""
    times = []
    for _ in range(repeats):
        settle(device)
        begun = time.perf_counter()
        run()
        settle(device)
        times.append(time.perf_counter() - begun)
    return float(np.median(times))


def settle(device: torch.device) -> None:
    """Waits until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_rate(device: torch.device, precision: str) -> float:
    """Returns the multiply-accumulates a second of a large square matrix product."""
    side = _MATRIX[device.type]
    left, right = torch.randn(2, side, side, device=device, dtype=_DTYPES[precision])
    for _ in range(3):
        left @ right
    return side**3 / seconds(lambda: left @ right, device, 10)


def step_macs(trainer: Trainer, steps: range) -> float:
    """Returns the mean multiply-accumulates of a step's forward passes for one image."""
    phase, space = trainer.phase_at(0)[0], trainer.space
    sums = []
    for step in steps:
        numbers = rng(trainer.recipe.seed, Purpose.SAMPLING, step)
        drawn = [one.architecture for one in phase.sampling.draw(space, numbers)]
        sums.append(int(Candidates.of_architectures(space, drawn).costs().macs.sum()))
    return float(np.mean(sums))


def main() -> None:
    """Measures and prints one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", default="demo")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--size", type=int, help="image side in px, for all networks; else the space's")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", choices=_DTYPES, default="fp32")
    parser.add_argument("--recipe", choices=preset_names(), default="sandwich")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--torch-device", default="auto")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    space = get_space(options.space, options.classes)
    if options.size:
        if not isinstance(space, MobileNetSpace):
            parser.error(f"--size goes with MobileNet-style spaces, not with {space.name}")
        space = MobileNetSpace(
            space.recipe.model_copy(update={"image_sizes": (options.size,)}), options.classes
        )
    recipe = adjusted(
        preset(options.recipe, space, 10_000),
        {"batch_size": options.batch, "precision": options.precision},
    )
    recipe = replace(recipe, augmentation=None)
    where = process_device(options.torch_device)
    side_px = max(space.image_sizes)
    trainer = Trainer(space, images(space, side_px, 4 * options.batch), recipe, torch_device=where)
    for _ in range(3):
        trainer.advance()
    step_s = seconds(trainer.advance, trainer.device, options.steps)
    rate = _BACKWARD * step_macs(trainer, range(3, 3 + options.steps)) * options.batch / step_s
    on_gpu = trainer.device.type == "cuda"
    memory = (
        torch.cuda.max_memory_allocated(trainer.device)
        if on_gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    print(
        json.dumps(
            {
                "space": space.name,
                "recipe": options.recipe,
                "device": torch.cuda.get_device_name(trainer.device) if on_gpu else "cpu",
                "size_px": side_px,
                "batch": options.batch,
                "precision": options.precision,
                "step_ms": round(1000 * step_s, 2),
                "images_per_second": round(options.batch / step_s, 1),
                "peak_memory_bytes": memory,
                "share_of_matmul_rate": round(rate / matmul_rate(trainer.device, options.precision), 4),
            }
        )
    )


if __name__ == "__main__":
    main()
