"""Where torch runs networks: the processor, or one of the machine's GPUs."""

import torch

from hwnas.errors import InputError, UnavailableError


def usable_torch_device(text: str) -> str:
    """Returns the torch device of a text: `auto` is `cuda` where there is a GPU, `cpu` elsewhere.

    Raises:
        InputError: not cpu, cuda, cuda:NUMBER or auto, or no such GPU here.
    """
    if text == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, colon, number = text.partition(":")
    if text != "cpu" and not (kind == "cuda" and number.isdigit() == bool(colon)):
        raise InputError(f"a torch device must be cpu, cuda, cuda:NUMBER or auto, but got '{text}'")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UnavailableError(
            f"torch device '{text}' is not usable here: torch sees {torch.cuda.device_count()} GPUs; "
            f"use cpu, or install a build of torch for the GPU"
        )
    return text
