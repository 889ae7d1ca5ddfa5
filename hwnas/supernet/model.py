"""The supernet: shared weights that serve every architecture of a space."""

import hashlib

import torch
from torch import Tensor, nn

from hwnas.spaces import Architecture, Op, Space
from hwnas.supernet.chain import nest, norm_name, own_layers
from hwnas.supernet.elastic import (
    ElasticConv2d,
    ElasticDepthwise,
    ElasticLayer,
    ElasticLinear,
    ElasticNorm,
    initialise,
)
from hwnas.supernet.info import SupernetInfo
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
        """Makes fresh weights, drawn from `generator` (seeded with 0 where not given)."""
        super().__init__()
        self.space = space
        self.info = info
        for slot, choices in space.slot_choices.items():
            nest(self, slot, ElasticLayer(choices, space.norm_eps))
        initialise(self, generator or torch.Generator().manual_seed(0))

    def forward(self, x_NCHW: Tensor, architecture: Architecture) -> Tensor:
        """Returns logits [N, classes] of one architecture.

        Any image size runs, also one that is not the architecture's own.

        Raises:
            InputError: an architecture of another space.
        """
        x = x_NCHW
        for layer in own_layers(self.space, architecture):
            x = self.get_submodule(layer.name)(x, layer)
        return x

    def extract(self, architecture: Architecture) -> Subnet:
        """Returns a static network with copies of the weights in use, in the mode of the supernet.

        Raises:
            InputError: an architecture of another space.
        """
        layers = own_layers(self.space, architecture)
        subnet = Subnet(layers, self.space.norm_eps, device="meta")
        with torch.no_grad():
            for layer in layers:
                for op in layer.ops:
                    if op.weights:
                        self._copy(subnet, f"{layer.name}.{op.name}", op)
                    if op.weights and op.norm:
                        self._copy(subnet, f"{layer.name}.{norm_name(op)}", op)
        return subnet.train(self.training)

    def digest(self) -> str:
        """Returns 16 hexadecimal digits that change when any weight or statistic does."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _copy(self, subnet: Subnet, path: str, op: Op) -> None:
        """Puts copies of the tensors in use at `path` into the module of that name."""
        source, target = self.get_submodule(path), subnet.get_submodule(path)
        assert isinstance(source, ElasticConv2d | ElasticDepthwise | ElasticLinear | ElasticNorm)
        for name, tensor in source.active(op).items():
            copy = tensor.detach().clone()
            setattr(target, name, copy if name.startswith("running_") else nn.Parameter(copy))
        if isinstance(source, ElasticNorm):
            target.num_batches_tracked = torch.zeros((), dtype=torch.long)
