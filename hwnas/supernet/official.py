"""Official Once-for-All checkpoints in and out.

What a file holds is compared with the spaces by names and shapes alone; nothing in it is run.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hwnas import files
from hwnas.errors import InputError, unknown_name
from hwnas.spaces import get_space
from hwnas.supernet.info import SupernetInfo
from hwnas.supernet.model import Supernet
from hwnas.supernet.official_keys import COUNTER, OFFICIAL_SPACES, official_names, plain
from hwnas.supernet.pickle_scan import check_pickles

_ADVICE = "save its weights alone, by torch.save({'state_dict': model.state_dict()}, FILE)"
_FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_INTEGERS = (torch.int64, torch.int32)


def read_official(path: Path, space_name: str | None = None) -> Supernet:
    """Returns the supernet of an official checkpoint, in evaluation mode, its `info` set.

    The number of classes is that of the classifier. Weights in another floating-point format
    become float32, and the recipe in the info says so; counters of batches are kept there too.

    Args:
        path: a file of `torch.save`, which is read without running anything in it, or
            safetensors; a state dict, or a dict with one under `state_dict`.
        space_name: what it must fit; where not given, the space of `OFFICIAL_SPACES` that fits.

    Raises:
        InputError: the file is missing, damaged, needs code to be read, does not fit the space
            (the message says which space it looks like), or holds NaN or infinity.
    """
    if space_name is not None and space_name not in OFFICIAL_SPACES:
        raise unknown_name("space with an official layout", space_name, OFFICIAL_SPACES)
    found = _read(path)
    return _supernet(path, found, _fitting(path, found, space_name))


def official_state(supernet: Supernet) -> dict[str, Tensor]:
    """Returns copies of the weights under the keys of the newer official layout, in its order.

    Counters of batches are those the weights were imported with, 0 for weights trained here.

    Raises:
        InputError: the supernet's space is not among `OFFICIAL_SPACES`.
    """
    if supernet.space.name not in OFFICIAL_SPACES:
        raise InputError(
            f"space '{supernet.space.name}' has no official layout; those that have one: "
            f"{', '.join(OFFICIAL_SPACES)}"
        )
    counters = {} if supernet.info is None else supernet.info.recipe.get(COUNTER, {})
    state = supernet.state_dict()
    return {
        key: torch.tensor(counters.get(name, 0)) if name.endswith(COUNTER) else _float32(state[name])
        for key, name in official_names(supernet).items()
    }


def write_official(supernet: Supernet, path: Path) -> None:
    """Writes `{"state_dict": official_state(supernet)}`, whole or not at all.

    A path that ends in `.safetensors` gets the tensors alone in that format.

    Raises:
        InputError: as `official_state`, or the folder cannot be written to.
    """
    state = official_state(supernet)
    with files.replacing(path) as temporary:
        if path.suffix == ".safetensors":
            save_file(state, temporary)
        else:
            torch.save({"state_dict": state}, temporary)


@dataclass(frozen=True)
class _Entry:
    """A tensor of a file, and the key it has there."""

    key: str
    tensor: Tensor


class _Wanted:
    """The tensors of a space by plain key, without numbers."""

    def __init__(self, space_name: str, num_classes: int | None) -> None:
        with torch.device("meta"):
            self.supernet = Supernet(get_space(space_name, num_classes))
        state = self.supernet.state_dict()
        self.keys = {plain(key): key for key in official_names(self.supernet)}
        self.names = {plain(key): name for key, name in official_names(self.supernet).items()}
        self.shapes = {
            bare: list(state[name].shape) if name in state else [] for bare, name in self.names.items()
        }

    def problems(self, found: Mapping[str, _Entry]) -> list[str]:
        """Returns what is missing, unknown, or of another shape or kind; counters may be missing."""
        wrong = [
            f"missing {key}"
            for bare, key in self.keys.items()
            if bare not in found and not bare.endswith(COUNTER)
        ]
        wrong += [f"unknown {entry.key}" for bare, entry in found.items() if bare not in self.keys]
        for bare, entry in found.items():
            if bare in self.keys:
                shape, dtype = list(entry.tensor.shape), entry.tensor.dtype
                kinds, what = (_INTEGERS, "an integer") if bare.endswith(COUNTER) else (_FLOATS, "a float")
                if shape != self.shapes[bare]:
                    wrong.append(f"{entry.key} is {shape}, not {self.shapes[bare]}")
                elif dtype not in kinds:
                    wrong.append(f"{entry.key} is {_short(dtype)}, not {what}")
        return wrong


def _fitting(path: Path, found: dict[str, _Entry], space_name: str | None) -> _Wanted:
    """Returns the space that the tensors fit.

    Raises:
        InputError: none fits, or not the one that is named.
    """
    num_classes = _num_classes(found)
    problems = {}
    names = OFFICIAL_SPACES if space_name is None else (space_name,)
    for name in (*names, *OFFICIAL_SPACES):
        if name not in problems:
            wanted = _Wanted(name, num_classes)
            problems[name] = wanted.problems(found)
            if not problems[name] and name in names:
                return wanted
    nearest = min(problems, key=lambda name: len(problems[name]))
    wrong = problems[space_name or nearest]
    listed = "; ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
    served = f"'{nearest}'" + (f" with {num_classes} classes" if num_classes else "")
    if not problems[nearest]:
        advice = f"it is of {served}: --space {nearest}"
    elif len(problems[nearest]) > len(found) / 2:
        advice = f"it is like none of the spaces with an official layout: {', '.join(OFFICIAL_SPACES)}"
    else:
        advice = f"it looks like {served}, but for {len(problems[nearest])} tensors; save the whole network"
    raise InputError(f"checkpoint {path} does not fit space '{space_name or nearest}': {listed}; {advice}")


def _num_classes(found: Mapping[str, _Entry]) -> int | None:
    """Returns the outputs of the classifier, None where there is no telling."""
    entry = found.get("classifier.linear.weight")
    if entry is None or entry.tensor.ndim != 2 or entry.tensor.shape[0] < 2:
        return None
    return int(entry.tensor.shape[0])


def _supernet(path: Path, found: Mapping[str, _Entry], wanted: _Wanted) -> Supernet:
    """Returns the supernet with the numbers of a file that fits."""
    state, counters, others = {}, {}, set()
    for bare, entry in found.items():
        name = wanted.names[bare]
        if name.endswith(COUNTER):
            counters[name] = int(entry.tensor)
            continue
        state[name] = _float32(entry.tensor)
        if not torch.isfinite(state[name]).all():
            raise InputError(
                f"checkpoint {path} holds NaN or infinity in {entry.key}; take one from before that"
            )
        if entry.tensor.dtype != torch.float32:
            others.add(_short(entry.tensor.dtype))
    supernet = wanted.supernet
    supernet.load_state_dict(state, assign=True)
    recipe: dict[str, Any] = {"name": "imported", "source": path.name, "sha256": _sha256(path)}
    if others:
        recipe["converted_from"] = sorted(others)
    space = supernet.space
    supernet.info = SupernetInfo(
        space=space.name,
        num_classes=space.num_classes,
        image_sizes=space.image_sizes,
        recipe={**recipe, COUNTER: counters},
        data="",
        data_fingerprint="",
    )
    return supernet.eval()


def _read(path: Path) -> dict[str, _Entry]:
    """Returns the tensors of a file by plain key.

    Raises:
        InputError: the file cannot be read, or holds something else than dense tensors by name.
    """
    content = _content(path)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise InputError(
            f"checkpoint {path} must hold tensors by name, but holds "
            f"{'nothing' if isinstance(content, Mapping) else type(content).__name__}; {_ADVICE}"
        )
    found: dict[str, _Entry] = {}
    for key, value in content.items():
        if not (isinstance(key, str) and _is_dense(value)):
            raise InputError(
                f"checkpoint {path} must hold dense tensors by name, but {str(key)[:80]} is a "
                f"{type(value).__name__}; {_ADVICE}"
            )
        bare = plain(key)
        if bare in found:
            raise InputError(
                f"checkpoint {path} holds one tensor twice: {found[bare].key} and {key}; {_ADVICE}"
            )
        found[bare] = _Entry(key, value)
    return found


def _content(path: Path) -> Any:
    try:
        with open(path, "rb") as opened:
            head = opened.read(9)
            if head[8:] == b"{" and head[:2] != b"PK":
                return load_file(path)
            opened.seek(0)
            check_pickles(opened)
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    except Exception as error:  # torch.load fails in many ways on a file that is not its own
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        if asked:
            raise InputError(
                f"checkpoint {path} would run code ({asked[1]}) when opened, which is refused; {_ADVICE}"
            ) from error
        raise InputError(
            f"checkpoint {path} is damaged, or neither of torch.save nor safetensors; copy it again"
        ) from error


def _is_dense(value: Any) -> bool:
    """Whether a value is a plain tensor with a number of its own for each element."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        return False
    held = value.untyped_storage().nbytes()
    return value.device.type == "cpu" and held >= value.numel() * value.element_size()


def _float32(tensor: Tensor) -> Tensor:
    """Returns a copy in the usual order of axes."""
    return tensor.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as opened:
        while block := opened.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
