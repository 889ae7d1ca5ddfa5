"""Weights from outside: supernets of ours, and official checkpoints."""

import io
import pickle
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from . import mutations as spoil
from .folders import tiny_space
from .mutations import Rng
from .reader import Reader, each, printed, written


def _supernet() -> dict[str, bytes]:
    from dataclasses import replace

    from hwnas.supernet import Supernet, SupernetInfo, save_supernet

    plain = SupernetInfo(
        space="tiny",
        num_classes=2,
        image_sizes=(8,),
        recipe={"name": "sandwich", "epochs": 2},
        data="digits",
        data_fingerprint="f",
        metrics={"accuracy": 97.5},
    )
    tuned = replace(plain, bits=(4, 8), learned_steps=True, start={"digest": "d", "recipe": {}})
    files = {}
    for name, info in (("net.safetensors", plain), ("tuned.safetensors", tuned)):
        made = Supernet(tiny_space(), info=info)
        files |= written(name, lambda path, made=made: save_supernet(made, path))  # type: ignore[misc]
    return files


def _use_supernet(folder: Path) -> None:
    from hwnas.supernet import load_supernet

    def one(path: Path) -> None:
        supernet = load_supernet(path)
        assert supernet.info is not None
        printed(asdict(supernet.info))
        supernet.digest()
        supernet.extract(supernet.space.largest())

    each(*(partial(one, path) for path in sorted(folder.glob("*.safetensors"))))


def _checkpoint() -> dict[str, bytes]:
    import torch

    from hwnas.supernet import official

    wanted = official._Wanted("ofa-proxyless-w1.3", 2)
    # One storage for all: what is wrong with a file shows in its names and shapes.
    zeros = torch.zeros(max(int(np.prod(shape)) for shape in wanted.shapes.values()), dtype=torch.float16)
    state = {}
    for bare, shape in wanted.shapes.items():
        if not bare.endswith(official.COUNTER):
            state[wanted.keys[bare]] = zeros[: int(np.prod(shape))].view(shape)
    out = io.BytesIO()
    torch.save({"state_dict": state}, out)
    return {"net.pth": out.getvalue()}


def _use_checkpoint(folder: Path) -> None:
    from hwnas.supernet import official

    # What a space wants does not depend on the file; made anew each time it would take 0.3 s.
    if not hasattr(official._Wanted, "cache_info"):
        official._Wanted = cache(official._Wanted)  # type: ignore[misc, assignment]
    read = official.read_official(folder / "net.pth", "ofa-proxyless-w1.3")
    assert read.info is not None
    printed(asdict(read.info))


def _pickle_mutation(content: bytes, rng: Rng) -> bytes:
    """A checkpoint of the older form, one stream of pickles, spoilt; or one that asks for code."""
    import torch

    choice = int(rng.integers(0, 4))
    if choice == 0:
        return pickle.dumps({"state_dict": _Asks(str(rng.choice(["os", "builtins", "torch", "subprocess"])))})
    old, new = io.BytesIO(), io.BytesIO()
    state = {"state_dict": {"a.weight": torch.zeros(3, 4), "b": torch.ones(2)}}
    torch.save(state, old, _use_new_zipfile_serialization=choice != 1)
    new.write(
        spoil.in_zip_member(old.getvalue(), rng) if choice != 1 else spoil.in_bytes(old.getvalue(), rng)
    )
    return new.getvalue()


class _Asks:
    def __init__(self, module: str) -> None:
        self.module = module

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return (os.system, ("touch climbed",))


WEIGHTS: dict[str, Reader] = {
    "supernet": Reader(
        _supernet, spoil.any_of(spoil.in_bytes, spoil.in_safetensors_header), _use_supernet, apart=True
    ),
    "checkpoint": Reader(
        _checkpoint, spoil.any_of(spoil.in_bytes, spoil.in_zip_member, _pickle_mutation), _use_checkpoint
    ),
}
