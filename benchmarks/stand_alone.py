"""How good are subnets, taken from the supernet as they are, beside the same networks trained alone?

    python benchmarks/stand_alone.py [--supernet FILE] [--architectures 16] [--folder alone] [--part 0/1]

Random architectures. Each is trained alone from fresh weights, as a plain network, with the demo
supernet's recipe: the same optimizer, schedule and augmentation, and every image shown to it as
often as to the supernet. Both are recalibrated and evaluated alike, on the test split. A network
that is done is kept in the folder, so the same command goes on; `--part 1/2` takes every second
network, so that two processes share the work. The last to finish prints the comparison.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr
from torch.nn import functional

from hwnas.data import get_dataset
from hwnas.data.batches import resize
from hwnas.files import write_json
from hwnas.spaces import Architecture, Candidates
from hwnas.supernet import Evaluator, Supernet, TrainRecipe, demo_supernet_path, load_supernet, recalibrate
from hwnas.supernet.chain import channels_last
from hwnas.supernet.subnet import Subnet
from hwnas.supernet.training.distributed import ONE_PROCESS
from hwnas.supernet.training.draws import Purpose, torch_generator
from hwnas.supernet.training.feed import Feed
from hwnas.supernet.training.optimizer import make_optimizer, set_learning_rate

Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--supernet", type=Path, default=demo_supernet_path())
    parser.add_argument("--data", default="digits")
    parser.add_argument("--architectures", type=int, default=16)
    parser.add_argument("--folder", type=Path, default=Path("alone"))
    parser.add_argument("--part", default="0/1", help="which networks: those whose number is I modulo N")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--epochs", type=int, help="as many as the supernet's where left out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    supernet = load_supernet(arguments.supernet)
    assert supernet.info is not None
    recipe = dataclasses.replace(TrainRecipe(), epochs=arguments.epochs or supernet.info.recipe["epochs"])
    evaluator = Evaluator(supernet, get_dataset(arguments.data), workers=2)
    chosen = supernet.space.sample(arguments.architectures, np.random.default_rng(arguments.seed))
    index, count = (int(text) for text in arguments.part.split("/"))
    for number in range(index, len(chosen), count):
        place = arguments.folder / f"{number}.json"
        if not place.exists():
            accuracy = accuracy_alone(evaluator, chosen[number], dataclasses.replace(recipe, seed=number))
            write_json(place, {"architecture": chosen[number].to_json(), "alone": accuracy})
            print(f"{number}: alone {accuracy:.2f} %", flush=True)
    places = [arguments.folder / f"{number}.json" for number in range(len(chosen))]
    if all(place.exists() for place in places):
        candidates = Candidates.of_architectures(supernet.space, chosen)
        shared = [one.accuracy_top1 for one in evaluator.evaluate(candidates, "test")]
        summarise(np.array([json.loads(place.read_text())["alone"] for place in places]), np.array(shared))


def accuracy_alone(evaluator: Evaluator, architecture: Architecture, recipe: TrainRecipe) -> float:
    """Returns the accuracy on the test split, in percent, of an architecture trained alone."""
    size_px = architecture["r"]
    subnet = trained_alone(evaluator, architecture, recipe)
    calibration = [x_NCHW for x_NCHW, _ in evaluator.batches("calibrate", size_px, 500)]
    correct, n = evaluator.count_correct(recalibrate(subnet, calibration), size_px, "test")
    return 100 * correct / n


def trained_alone(evaluator: Evaluator, architecture: Architecture, recipe: TrainRecipe) -> Subnet:
    """Returns a plain network after training with a recipe whose sampling does not matter."""
    space = evaluator.supernet.space
    fresh = Supernet(space, torch_generator(recipe.seed, Purpose.WEIGHTS, 0))
    subnet = channels_last(fresh.extract(architecture)).train()
    optimizer = make_optimizer(subnet, recipe)
    (phase,) = recipe.phases
    split = evaluator.dataset.split("train")
    feed = Feed(split, recipe, max(space.image_sizes), group=ONE_PROCESS, torch_device="cpu", workers=None)
    for step in range(recipe.epochs * feed.steps_per_epoch):
        x_NCHW, y_N = feed.at(step)
        x_NCHW = resize(x_NCHW, architecture["r"]).contiguous(memory_format=torch.channels_last)
        set_learning_rate(optimizer, phase.learning_rate_at(step, feed.steps_per_epoch))
        subnet.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(subnet(x_NCHW), y_N, label_smoothing=recipe.label_smoothing)
        loss.backward()
        if recipe.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(subnet.parameters(), recipe.gradient_clip)
        optimizer.step()
    return subnet


def summarise(alone: Floats, shared: Floats) -> None:
    """Prints the mean difference with its standard error, and how alike the two rank networks."""
    gap = alone - shared
    error = gap.std(ddof=1) / np.sqrt(len(gap))
    print(f"{len(gap)} architectures, test split: alone {alone.mean():.2f} %, supernet {shared.mean():.2f} %")
    print(f"alone - supernet: {gap.mean():.2f} +- {error:.2f} points, {gap.min():.2f} to {gap.max():.2f}")
    tau, rho = kendalltau(alone, shared).statistic, spearmanr(alone, shared).statistic
    print(f"rank correlation of the two: Kendall tau {tau:.3f}, Spearman {rho:.3f}")


if __name__ == "__main__":
    main()
