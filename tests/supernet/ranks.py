"""What each process runs in `test_distributed`: python -m torch.distributed.run ... ranks.py FOLDER."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from hwnas.data.augment import Augmentation
from hwnas.spaces import MobileNetSpace
from hwnas.supernet import Attentive, Sandwich, Survey, TrainRecipe, preset
from hwnas.supernet.training.checkpoint import load_checkpoint, save_checkpoint
from hwnas.supernet.training.distributed import Group, joined
from hwnas.supernet.training.sync_norm import synchronised
from hwnas.supernet.training.trainer import Trainer
from tests.supernet.conftest import TINY, colours

SPACE = MobileNetSpace(TINY, num_classes=3)
SGD = TrainRecipe(
    epochs=3,
    batch_size=32,
    optimizer="sgd",
    learning_rate=0.02,
    dropout=0.1,
    sampling=Sandwich(num_random=1),
    augmentation=Augmentation(crop_area=0.5, mirror=True),
)
RECIPES = {
    "sandwich": SGD,
    "progressive": replace(
        preset("progressive", SPACE, 4, 0.02), batch_size=32, gradient_clip=1.0, ema_decay=0.9
    ),
    "attentive": replace(
        SGD, sampling=Attentive(num_candidates=8, survey=Survey(start=0.3, networks=6, images=32))
    ),
}
HALFWAY = 4


def run(recipe: TrainRecipe, group: Group, start: Path | None = None, stop: Path | None = None) -> Trainer:
    """Runs a recipe to its end, from one checkpoint where given, leaving another halfway."""
    trainer = Trainer(SPACE, colours(), recipe, group=group)
    if start:
        found = load_checkpoint(start, {})
        assert found is not None
        trainer.restore(found)
    while trainer.step < trainer.steps:
        if stop and trainer.step == HALFWAY and group.rank == 0:
            save_checkpoint(stop, trainer.checkpoint({}))
        trainer.advance()
    return trainer


def norm_inputs() -> dict[str, torch.Tensor]:
    """Returns maps [8, 5, 3, 3] and what goes with them."""
    generator = torch.Generator().manual_seed(0)
    made = {name: torch.randn(5, generator=generator) for name in ("running_mean", "weight", "bias")}
    made["running_var"] = torch.rand(5, generator=generator) + 0.5
    made["x"] = 2 * torch.randn(8, 5, 3, 3, generator=generator) + 3
    made["wanted"] = torch.randn(8, 5, 3, 3, generator=generator)
    return made


def normed(batch_norm, rows: slice) -> dict[str, torch.Tensor]:
    """Returns output, gradients and statistics of a normalisation of some of the maps."""
    given = norm_inputs()
    x, weight, bias = given["x"][rows].requires_grad_(), given["weight"], given["bias"]
    weight.requires_grad_()
    bias.requires_grad_()
    mean, var = given["running_mean"], given["running_var"]
    y = batch_norm(x, mean, var, weight, bias, training=True, momentum=0.1, eps=1e-5)
    (y * given["wanted"][rows]).square().sum().backward()
    still = batch_norm(x, mean, var, weight, bias, training=False, momentum=0.1, eps=1e-5)
    return {
        "y": y.detach(),
        "still": still.detach(),
        "x": x.grad,
        "weight": weight.grad,
        "bias": bias.grad,
        "mean": mean,
        "var": var,
    }


def main(folder: Path) -> None:
    """Leaves in the folder what the test compares."""
    torch.set_num_threads(1)
    with joined("cpu") as group:
        found = normed(synchronised(group), group.part(8))
        torch.save(found, folder / f"norm{group.rank}.pt")
        digests = {}
        for name, recipe in RECIPES.items():
            trained = run(recipe, group, stop=folder / f"{name}.checkpoint").trained()
            digests[name] = trained.digest()
            torch.save(trained.state_dict(), folder / f"{name}.{group.rank}.pt")
        went_on = run(SGD, group, start=folder / "one.checkpoint").trained()
        torch.save(went_on.state_dict(), folder / f"went_on.{group.rank}.pt")
        own = replace(SGD, sync_norm=False, epochs=1)
        loose = run(own, group).supernet
        digests["parameters"] = str([round(float(p.detach().double().sum()), 9) for p in loose.parameters()])
        (folder / f"digests{group.rank}.txt").write_text(repr(digests))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    # Seen once in many runs: torch aborts a process in whose last moments a thread of its own still runs.
    sys.stdout.flush()
    os._exit(0)
