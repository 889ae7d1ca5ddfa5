"""The supernet: shared weights that serve every architecture of a space."""

import hashlib

import torch
from torch import Tensor, nn

from hwnas.spaces import Architecture, BitwidthPolicy, Op, Space
from hwnas.supernet.chain import finish, nest, norm_name, own_layers
from hwnas.supernet.elastic import (
    ElasticConv2d,
    ElasticDepthwise,
    ElasticLayer,
    ElasticLinear,
    ElasticNorm,
    initialise,
)
from hwnas.supernet.info import SupernetInfo
from hwnas.supernet.quantized_run import QuantizedRun, Ranges
from hwnas.supernet.subnet import Subnet


class Supernet(nn.Module):
    """The elastic network of a space; which part of it runs is an argument of each call.

    A forward pass leaves nothing behind that depends on the architecture but, in training, the
    running statistics of the normalisations that ran.

    Attributes:
        space: what it serves.
        info: how it was trained; None before that.
    """

    def __init__(
        self,
        space: Space,
        generator: torch.Generator | None = None,
        info: SupernetInfo | None = None,
    ) -> None:
        """Makes fresh weights, drawn from `generator` (seeded with 0 where not given).

        Inside `with torch.device("meta")` weights have shapes alone, to be filled from a file.
        """
        super().__init__()
        self.space = space
        self.info = info
        for slot, choices in space.slot_choices.items():
            nest(self, slot, ElasticLayer(choices, space.norm_eps))
        if not any(parameter.is_meta for parameter in self.parameters()):
            initialise(self, generator or torch.Generator("cpu").manual_seed(0))

    def forward(
        self,
        x_NCHW: Tensor,
        architecture: Architecture,
        bits: BitwidthPolicy | None = None,
        ranges: Ranges | None = None,
    ) -> Tensor:
        """Returns logits [N, classes] of one architecture, under a bitwidth policy where one is given.

        Any image size runs, also one that is not the architecture's own. Weights and activations
        are then quantized as in an exported file, but for biases; gradients pass straight through.

        Args:
            x_NCHW: normalised images.
            architecture: of the supernet's space.
            bits: of each layer with weights; None is floating point.
            ranges: of the activations, by the names of `activation_bits`; None takes those of the
                batch at hand.

        Raises:
            InputError: an architecture of another space, or a policy for another number of layers.
        """
        layers = own_layers(self.space, architecture, bits)
        run = QuantizedRun(layers, ranges) if any(layer.quantized for layer in layers) else None
        x = x_NCHW if run is None else run.entry(x_NCHW)
        for layer in layers:
            x = self.get_submodule(layer.name)(x, layer, run.finish(layer.name) if run else finish)
        return x

    def extract(self, architecture: Architecture) -> Subnet:
        """Returns a static network with copies of the weights in use, in the mode of the supernet.

        Raises:
            InputError: an architecture of another space.
        """
        layers = own_layers(self.space, architecture)
        subnet = Subnet(layers, self.space.norm_eps, device="meta")
        for layer in layers:
            elastic, static = self.get_submodule(layer.name), subnet.get_submodule(layer.name)
            for op in layer.ops:
                if op.weights:
                    _copy(elastic, static, op.name, op)
                if op.weights and op.norm:
                    _copy(elastic, static, norm_name(op), op)
        return subnet.train(self.training)

    def digest(self) -> str:
        """Returns 16 hexadecimal digits that change when any weight or statistic does."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def _copy(elastic: nn.Module, static: nn.Module, name: str, op: Op) -> None:
    """Puts copies of the tensors in use into the module of the same name in a static layer."""
    source, target = elastic._modules[name], static._modules[name]
    assert isinstance(source, ElasticConv2d | ElasticDepthwise | ElasticLinear | ElasticNorm)
    assert target is not None
    # Past `setattr`, whose checks take as long as the copies.
    with torch.no_grad():
        for part, tensor in source.active(op).items():
            copy = tensor.detach().clone()
            if part in target._parameters:
                target._parameters[part] = nn.Parameter(copy)
            else:
                target._buffers[part] = copy
    if isinstance(source, ElasticNorm):
        target._buffers["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
