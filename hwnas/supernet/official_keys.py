"""Names in the official Once-for-All checkpoints, and the tensors of a supernet that they mean.

Two layouts are in use. Newer files nest the weights of elastic operations twice
(`conv.conv.weight`, `bn.bn.weight`), older ones once, and call an inverted bottleneck
`mobile_inverted_conv`. A *plain* key is what both come down to: files are compared by plain keys,
and written in the newer layout.

Source: Once-for-All (Cai et al., 2020), official code, names of its modules.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from hwnas.supernet.elastic import ElasticDepthwise, ElasticNorm
from hwnas.supernet.model import Supernet

COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class _Family:
    """How the official code calls the places of a chain.

    Attributes:
        fixed: places outside the stages that have weights, in the order of the chain.
        block: places in the stages, which are counted from `first`.
        elastic: whether the fixed places are elastic too, and so nested twice.
    """

    fixed: tuple[str, ...]
    block: str = "blocks.{}.conv"
    first: int = 1
    elastic: bool = False


_MOBILENETV3 = _Family(
    ("first_conv", "blocks.0.conv", "final_expand_layer", "feature_mix_layer", "classifier")
)
_FAMILIES = {
    "ofa-mobilenetv3-w1.0": _MOBILENETV3,
    "ofa-mobilenetv3-w1.2": _MOBILENETV3,
    "ofa-proxyless-w1.3": _Family(("first_conv", "blocks.0.conv", "feature_mix_layer", "classifier")),
    "ofa-resnet50": _Family(
        ("input_stem.0", "input_stem.1.conv", "input_stem.2", "classifier"), "blocks.{}", 0, elastic=True
    ),
}
OFFICIAL_SPACES = tuple(_FAMILIES)

_OPERATIONS = {
    "conv": "",
    "expand": "inverted_bottleneck.",
    "depthwise": "depth_conv.",
    "project": "point_linear.",
    "conv1": "conv1.",
    "conv2": "conv2.",
    "conv3": "conv3.",
    "shortcut": "downsample.",
}
_SQUEEZES = {"se_reduce": "depth_conv.se.fc.reduce", "se_expand": "depth_conv.se.fc.expand"}


def official_names(supernet: Supernet) -> dict[str, str]:
    """Returns, in the official order, each official key with the name of its tensor in the supernet.

    A supernet does not count batches; the counter of a normalisation stands under the name it
    would have there, ending in `num_batches_tracked`.

    Args:
        supernet: of one of `OFFICIAL_SPACES`; one without numbers (on the device `meta`) will do.
    """
    family = _FAMILIES[supernet.space.name]
    fixed, number = iter(family.fixed), family.first
    names = {}
    for slot in supernet.space.slots:
        operations = list(supernet.get_submodule(slot).named_children())
        if slot.startswith("stages."):
            place, nesting = family.block.format(number), 2
            number += 1
        elif operations:
            place, nesting = next(fixed), 2 if family.elastic else 1
        for operation, module in operations:
            for theirs, ours in _tensors(operation, module, nesting):
                names[f"{place}.{theirs}"] = f"{slot}.{operation}.{ours}"
    return names


def plain(key: str) -> str:
    """Returns what a key comes down to in every layout.

    `module.` in front, of files saved under data parallelism, goes; `.mobile_inverted_conv.`
    becomes `.conv.`; a word that repeats the one before it goes: `conv.conv` becomes `conv`.
    """
    words = key.replace(".mobile_inverted_conv.", ".conv.").split(".")
    while words[0] == "module" and len(words) > 1:
        words = words[1:]
    return ".".join(word for word, before in zip(words, ["", *words], strict=False) if word != before)


def _tensors(operation: str, module: nn.Module, nesting: int) -> Iterator[tuple[str, str]]:
    """Yields the official and our own name of each tensor of an operation, in the official order."""
    if isinstance(module, ElasticNorm):
        prefix = _OPERATIONS[operation.removesuffix("_norm")] + ".".join(["bn"] * nesting)
        for name in ("weight", "bias", "running_mean", "running_var", COUNTER):
            yield f"{prefix}.{name}", name
        return
    if isinstance(module, ElasticDepthwise):
        # Transforms belong to the module around the convolution that holds the filters.
        for name in sorted(module.transforms):
            yield f"{_OPERATIONS[operation]}conv.{name}_matrix", f"transforms.{name}"
    if operation in _SQUEEZES:
        prefix = _SQUEEZES[operation]
    else:
        last = "linear" if operation == "linear" else "conv"
        prefix = _OPERATIONS.get(operation, "") + ".".join([last] * nesting)
    for name, _ in module.named_parameters(recurse=False):
        yield f"{prefix}.{name}", name
