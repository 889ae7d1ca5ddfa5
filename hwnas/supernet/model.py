"""The supernet: shared weights that serve every architecture of a space."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hwnas.spaces import (
    FLOAT_BITS,
    INPUT,
    Architecture,
    BitwidthPolicy,
    Layer,
    Op,
    Space,
    activation_bits,
)
from hwnas.supernet.chain import finish, nest, norm_name, own_layers, torch_name
from hwnas.supernet.elastic import (
    Elastic,
    ElasticLayer,
    ElasticNorm,
    initialise,
    quantized_part,
)
from hwnas.supernet.info import SupernetInfo
from hwnas.supernet.learned_steps import LearnedSteps
from hwnas.supernet.quantized_run import QuantizedRun, Ranges
from hwnas.supernet.subnet import Subnet


class Supernet(nn.Module):
    """The elastic network of a space; which part of it runs is an argument of each call.

    A forward pass leaves nothing behind that depends on the architecture but, in training, the
    running statistics of the normalisations that ran.

    Attributes:
        space: what it serves.
        info: how it was trained; None before that.
        activation_steps: learned factors on the steps of activations; None where steps follow from
            the images alone.
    """

    activation_steps: nn.ModuleDict | None

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
        self.register_module("activation_steps", None)
        for slot, choices in space.slot_choices.items():
            nest(self, slot, ElasticLayer(choices, space.norm_eps))
        if info is not None and info.learned_steps:
            self.learn_steps(info.bits)
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
        quantized = any(layer.quantized for layer in layers)
        run = QuantizedRun(layers, ranges, factors=self._factors(layers)) if quantized else None
        x = x_NCHW if run is None else run.entry(x_NCHW)
        for layer in layers:
            x = self.get_submodule(layer.name)(x, layer, run.finish(layer.name) if run else finish)
        return x

    def extract(self, architecture: Architecture, bits: BitwidthPolicy | None = None) -> Subnet:
        """Returns a static network with copies of the weights in use, in the mode of the supernet.

        Where steps are learned and a policy is given, the weights have been quantized by the steps,
        and back: quantizing them again by the steps that follow from themselves changes nothing.

        Raises:
            InputError: an architecture of another space, or a policy for another number of layers.
        """
        layers = own_layers(self.space, architecture, bits)
        subnet = Subnet(layers, self.space.norm_eps, device="meta")
        subnet.factors = {name: factor.detach().clone() for name, factor in self._factors(layers).items()}
        for layer in layers:
            elastic, static = self.get_submodule(layer.name), subnet.get_submodule(layer.name)
            for op in layer.ops:
                if op.weights:
                    _copy(elastic, static, op.name, op, layer.weight_bits)
                if op.weights and op.norm:
                    _copy(elastic, static, norm_name(op), op)
        return subnet.train(self.training)

    def learn_steps(self, bits: Sequence[int]) -> None:
        """Gives all weights and activations learned factors on their steps at these bits, 1 at first."""
        tensors = {INPUT: None}
        for slot, choices in self.space.slot_choices.items():
            ops = {op.name: op for layer in choices for op in layer.ops}
            for op in ops.values():
                tensors |= dict.fromkeys([f"{slot}.{op.name}", f"{slot}.{op.name}.pre"])
                module = self.get_submodule(slot)._modules.get(op.name)
                if isinstance(module, Elastic):
                    module.steps = LearnedSteps(bits, len(module.weight))
        self.activation_steps = nn.ModuleDict({torch_name(name): LearnedSteps(bits) for name in tensors})

    def _factors(self, layers: Sequence[Layer]) -> dict[str, Tensor]:
        """Returns the learned factors on the ranges of a chain's activations, by tensor."""
        if self.activation_steps is None:
            return {}
        found = {}
        for name, bits in activation_bits(layers).items():
            steps = self.activation_steps[torch_name(name)]
            assert isinstance(steps, LearnedSteps)
            factor = steps.factor(bits)
            if factor is not None:
                found[name] = factor[0]
        return found

    def digest(self) -> str:
        """Returns 16 hexadecimal digits that change when any weight or statistic does."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def _copy(elastic: nn.Module, static: nn.Module, name: str, op: Op, bits: int = FLOAT_BITS) -> None:
    """Puts copies of the tensors in use into the module of the same name in a static layer."""
    source, target = elastic._modules[name], static._modules[name]
    assert isinstance(source, Elastic | ElasticNorm)
    assert target is not None
    # Past `setattr`, whose checks take as long as the copies.
    with torch.no_grad():
        for part, tensor in source.active(op).items():
            copy = tensor.detach().clone()
            if part == "weight" and isinstance(source, Elastic) and source.steps is not None:
                copy = quantized_part(source, copy, bits)
            if part in target._parameters:
                target._parameters[part] = nn.Parameter(copy)
            else:
                target._buffers[part] = copy
    if isinstance(source, ElasticNorm):
        target._buffers["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
