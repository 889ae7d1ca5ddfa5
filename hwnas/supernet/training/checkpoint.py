"""Checkpoints: all that a stopped training run needs to go on as if it had not stopped."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hwnas import files
from hwnas.differences import told
from hwnas.errors import InputError
from hwnas.supernet.pickle_scan import check_pickles

_FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state after `step` steps.

    Everything random in training is drawn from (seed, purpose, step), so the number of steps is
    the state of every generator.

    Attributes:
        identity: what must be equal for a run to go on from here: space, recipe, data.
        weights: of the supernet, its statistics included.
        optimizer: `state_dict` of the optimizer.
        average: the averaged weights, where the recipe has them.
        teacher: weights of the fixed network that later phases learn from, once there is one.
        scaler: `state_dict` of the loss scaler; empty but for fp16.
        surveyed: accuracies that the sampling rule asked for, once they are taken.
    """

    identity: dict[str, Any]
    step: int
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    average: dict[str, Tensor] | None
    teacher: dict[str, Tensor] | None
    scaler: dict[str, Any]
    surveyed: dict[str, Any] | None


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint, whole or not at all."""
    with files.replacing(path) as temporary:
        torch.save({"format": _FORMAT, **vars(checkpoint)}, temporary)


def load_checkpoint(path: Path, identity: dict[str, Any]) -> Checkpoint | None:
    """Returns the checkpoint at `path`, None where there is none.

    Raises:
        InputError: the file is not a checkpoint, or one of a run with another identity.
    """
    if not path.exists():
        return None
    try:
        with open(path, "rb") as opened:
            check_pickles(opened)
        state = torch.load(path, map_location="cpu", weights_only=True)
        assert state.pop("format") == _FORMAT
        found = Checkpoint(**state)
        assert isinstance(found.identity, dict)
    except Exception as error:  # torch.load fails in many ways on a file that is not its own
        raise InputError(
            f"{path} is not a checkpoint this version can read; delete it to train anew"
        ) from error
    for name, wanted in identity.items():
        if found.identity.get(name) != wanted:
            raise InputError(
                f"{path} is of a run with another {name}: {told(found.identity.get(name), wanted)}; "
                f"delete it to train anew, or name another output"
            )
    return found


def saved_step(path: Path) -> int:
    """Returns the step of the checkpoint at `path`; 0 where there is none that can be read."""
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["step"])
    except Exception:  # as above; this one serves a message alone
        return 0
