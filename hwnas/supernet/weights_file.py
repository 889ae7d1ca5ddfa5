"""Supernet files: safetensors with metadata; nothing in them can run code."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hwnas import files
from hwnas.errors import InputError
from hwnas.spaces import Space, get_space, space_of_definition
from hwnas.supernet.info import SupernetInfo
from hwnas.supernet.model import Supernet

_FORMAT = "hwnas-supernet-1"
_HEADER_LIMIT_BYTES = 16 * 2**20
# What files of earlier versions do not have, and what stands for it.
_LATER_FIELDS = {"space_definition": "null", "bits": "[]", "learned_steps": "false", "start": "null"}
_FORMS = {
    "space": str,
    "num_classes": int,
    "recipe": dict,
    "data": str,
    "data_fingerprint": str,
    "metrics": dict,
    "learned_steps": bool,
    "start": dict | None,
    "space_definition": dict | None,
}
_FIELDS = ("space", "num_classes", "image_sizes", "recipe", "data", "data_fingerprint", "metrics")


def demo_supernet_path() -> Path:
    """Returns the supernet of the `demo` space that comes with the package."""
    return Path(__file__).parent / "weights" / "demo.safetensors"


def save_supernet(supernet: Supernet, path: Path) -> None:
    """Writes a supernet that has its `info`, whole or not at all.

    Raises:
        InputError: the folder cannot be written to.
    """
    assert supernet.info is not None
    info = replace(supernet.info, space_definition=supernet.space.definition)
    metadata = {name: json.dumps(value, sort_keys=True) for name, value in asdict(info).items()}
    state = {name: tensor.detach().contiguous() for name, tensor in supernet.state_dict().items()}
    with files.replacing(path) as temporary:
        save_file(state, temporary, {"format": _FORMAT, **metadata})


def read_info(path: Path) -> SupernetInfo:
    """Returns what a supernet file says of itself, without its weights; errors as `load_supernet`."""
    _check_header(path)
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    return _info(path, metadata)


def load_supernet(path: Path, space: Space | None = None) -> Supernet:
    """Returns the supernet of a file, in evaluation mode.

    Args:
        path: a safetensors file that `hwnas train` or `hwnas import-weights` made.
        space: what it must serve; where not given, the space the file names.

    Raises:
        InputError: the file is missing, not safetensors (a pickle is never opened), truncated, not
            of a supernet, of another space, or its tensors do not fit or are not finite.
    """
    info = read_info(path)
    if space is not None and (space.name, space.num_classes) != (info.space, info.num_classes):
        raise InputError(
            f"supernet {path} is of space '{info.space}' with {info.num_classes} classes, but "
            f"'{space.name}' with {space.num_classes} is in use; name a supernet of that space"
        )
    if space is not None and _text(space.definition) != _text(info.space_definition):
        raise InputError(
            f"supernet {path} is of another definition of space '{space.name}' than the one in use; "
            f"name a supernet of that definition, or give the two spaces different names"
        )
    with torch.device("meta"):
        supernet = Supernet(space or _space(info), info=info)
    try:
        with safe_open(path, framework="pt") as opened:
            # Copies: a tensor may be a window on the file, which others may change.
            state = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    _check_fits(path, state, supernet.state_dict())
    supernet.load_state_dict(state, assign=True)
    return supernet.eval()


def _space(info: SupernetInfo) -> Space:
    if info.space_definition is None:
        return get_space(info.space, info.num_classes)
    return space_of_definition(info.space_definition, info.num_classes)


def _text(definition: Mapping[str, Any] | None) -> str:
    """Returns what two equal definitions share: JSON tells no tuples from lists."""
    return json.dumps(definition, sort_keys=True)


def _check_header(path: Path) -> None:
    """Refuses what is not safetensors, from the first bytes and the size alone."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as opened:
            head = opened.read(9)
    except OSError as error:
        raise InputError(
            f"cannot read supernet {path}: {error.strerror or error}; make one with `hwnas train`"
        ) from error
    claimed = int.from_bytes(head[:8], "little")
    if len(head) == 9 and head[8:] == b"{" and claimed <= _HEADER_LIMIT_BYTES and 8 + claimed <= size:
        return
    if head[:2] == b"PK" or head[:1] == b"\x80":
        raise InputError(
            f"supernet {path} is a pickle, which could run code and is not opened; "
            f"a supernet is a safetensors file made by `hwnas train` or `hwnas import-weights`"
        )
    raise InputError(
        f"supernet {path} is not a safetensors file, or is cut short; make it anew or copy it again"
    )


def _info(path: Path, metadata: dict[str, str]) -> SupernetInfo:
    if metadata.get("format") != _FORMAT:
        raise InputError(
            f"{path} is a safetensors file, but not a supernet of this version (format "
            f"'{_FORMAT}'); make one with `hwnas train` or `hwnas import-weights`"
        )
    try:
        fields: dict[str, Any] = {name: files.parse_json(metadata[name]) for name in _FIELDS}
        fields |= {
            name: files.parse_json(metadata.get(name, absent)) for name, absent in _LATER_FIELDS.items()
        }
        fields |= {name: tuple(fields[name]) for name in ("image_sizes", "bits")}
        info = SupernetInfo(**fields)
        wrong = [name for name, form in _FORMS.items() if not isinstance(getattr(info, name), form)]
        wrong += [
            name for name in ("image_sizes", "bits") if not all(isinstance(one, int) for one in fields[name])
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"supernet {path} has damaged metadata ({error!r}); make it anew") from error
    if wrong:
        raise InputError(f"supernet {path} has damaged metadata ({', '.join(wrong)}); make it anew")
    return info


def _check_fits(path: Path, found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    wrong = [f"missing {name}" for name in wanted if name not in found]
    wrong += [f"unknown {name}" for name in found if name not in wanted]
    for name, tensor in found.items():
        if name in wanted and (tensor.shape != wanted[name].shape or tensor.dtype != wanted[name].dtype):
            wrong.append(f"{name} is {_describe(tensor)}, not {_describe(wanted[name])}")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise InputError(
            f"supernet {path} does not fit its space: {'; '.join(wrong[:3])}{more}; make it anew"
        )
    broken = [name for name, tensor in found.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise InputError(
            f"supernet {path} holds NaN or infinity in {broken[0]}; train it anew with a lower rate"
        )


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"supernet {path} is damaged ({error}); make it anew or copy it again")
