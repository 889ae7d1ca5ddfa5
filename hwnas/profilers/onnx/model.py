"""ONNX files written straight from the chain of layers, in floating point and quantized.

Tensors carry the chain's names: `LAYER.OP` is what the operation makes, its activation included,
`LAYER.OP.pre` is the value before the activation; a quantized tensor has `.q` (integers) and `.dq`
(back in floating point) beside it. Quantize and dequantize nodes come straight after the producer
of each tensor in `activation_bits`, which is where runtimes look for them.

Three dialects say the same numbers: `qdq` holds weights of up to 8 bits in 8-bit containers, which
ONNX Runtime runs in integers; `int4` holds those of up to 4 bits in 4-bit tensors, for size: ONNX Runtime
then computes in floating point; `qonnx` has `Quant` nodes with any bits in place of the pairs, for FINN.

Source of `Quant`: QONNX (Pappalardo et al., 2022), operator `Quant` version 1.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hwnas.profilers.onnx.quantizer import ActivationQuantizer, bias_scales, integer_weights, quantizers_of
from hwnas.spaces import FLOAT_BITS, INPUT, Layer, Network, Op, operations
from hwnas.version import __version__

Dialect = Literal["qdq", "int4", "qonnx"]
Integers = NDArray[np.int8] | NDArray[np.int32]
Floats = NDArray[np.float32]

OUTPUT = "logits"
BATCH = "batch"
MODEL_FILE = "model.onnx"
"""The name of a network's ONNX file, whatever the runtime."""

# Q/DQ of 4-bit types exist from opset 21; ONNX Runtime from 1.18 on runs both.
OPSET, IR_VERSION = 21, 10
QONNX_DOMAIN, _QONNX_VERSION = "qonnx.custom_op.general", 1
_INT4_BITS = 4
_WEIGHTLESS = {"scale": "Mul", "add": "Add", "pool": "GlobalAveragePool"}


def save_onnx(network: Network, folder: Path) -> Path:
    """Returns `model.onnx`, the network as `onnx_model` has it, written into an existing folder."""
    path = folder / MODEL_FILE
    onnx.save(onnx_model(network), path)
    return path


def onnx_model(network: Network, dialect: Dialect = "qdq") -> onnx.ModelProto:
    """Returns the network as a model from `input` [batch, channels, side, side] to `logits` [batch, classes].

    A chain that does not end in a linear layer makes a map, under that tensor's own name. Layers
    below 32 bits hold integer weights, and Q/DQ pairs stand on their activations.

    Args:
        network: what the model computes.
        dialect: how quantized tensors are written.

    Raises:
        InputError: bits above 8 and below 32, weights that are not finite, or a range that is not
            ascending.
        KeyError: weights or ranges that the chain needs are missing.
    """
    writer = _Writer(network, dialect)
    for layer, op, reads in operations(network.layers):
        writer.operation(layer, op, reads)
    _, channels, side, _ = network.input_shape
    last = network.layers[-1]
    made, shape = OUTPUT, [BATCH, last.out_channels]
    if last.kind != "linear":
        made, shape = writer.made(f"{last.name}.{last.ops[-1].name}"), [*shape, *[last.out_size_px] * 2]
    graph = helper.make_graph(
        writer.nodes,
        "hwnas",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [BATCH, channels, side, side])],
        [helper.make_tensor_value_info(made, TensorProto.FLOAT, shape)],
        writer.initializers,
    )
    return helper.make_model(
        graph,
        opset_imports=[
            helper.make_opsetid("", OPSET),
            *([helper.make_opsetid(QONNX_DOMAIN, _QONNX_VERSION)] if dialect == "qonnx" else []),
        ],
        ir_version=IR_VERSION,
        producer_name="hwnas",
        producer_version=__version__,
    )


class _Writer:
    """Collects nodes and initializers; methods that add nodes return the tensor to read on from."""

    def __init__(self, network: Network, dialect: Dialect) -> None:
        self._network, self._dialect = network, dialect
        self._quantizers = quantizers_of(network)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._settled = {INPUT: self._settle(INPUT)}

    def operation(self, layer: Layer, op: Op, reads: Sequence[str]) -> None:
        """Adds an operation that reads tensors made before, with its activation and its Q/DQ pairs."""
        name = f"{layer.name}.{op.name}"
        inputs = [self._settled[tensor] for tensor in reads]
        if op.weights and layer.weight_bits == FLOAT_BITS and reads[0] in self._quantizers:
            inputs[0] = self._fenced(inputs[0], self._quantizers[reads[0]], name)
        made = name if op.activation == "none" else f"{name}.pre"
        if op.kind == "linear":
            self._linear(layer, inputs[0], name)
        elif op.weights:
            groups = op.in_channels if op.kind == "depthwise" else 1
            filters = self._filters(layer, op, reads[0], name)
            self._add("Conv", [*inputs, *filters], made, **_window(op, op.kernel // 2), group=groups)
        elif op.kind == "max_pool":
            self._add("MaxPool", inputs, made, **_window(op, op.kernel // 2))
        elif op.kind == "average_pool":
            self._add("AveragePool", inputs, made, **_window(op, 0), ceil_mode=1)
        else:
            self._add(_WEIGHTLESS[op.kind], inputs, made)
        if op.activation != "none":
            self._activation(op, self._settle(made), name)
        self._settled[name] = self._settle(name)

    def made(self, tensor: str) -> str:
        """Returns the name under which a tensor is read on."""
        return self._settled[tensor]

    def _settle(self, tensor: str) -> str:
        """Adds the Q/DQ pair of a tensor that is quantized; returns the tensor to read on from."""
        quantizer = self._quantizers.get(tensor)
        if quantizer is None:
            return tensor
        scale = self._constant(f"{tensor}.scale", np.float32(quantizer.scale))
        if self._dialect == "qonnx":
            return self._quant_map(tensor, scale, quantizer)
        zero = self._constant(f"{tensor}.zero_point", np.uint8(quantizer.zero_point))
        integers = f"{tensor}.q"
        self._add("QuantizeLinear", [tensor, scale, zero], integers)
        if quantizer.levels < 255:
            least = self._constant(f"{tensor}.q_low", np.uint8(0))
            most = self._constant(f"{tensor}.q_high", np.uint8(quantizer.levels))
            self._add("Clip", [integers, least, most], f"{tensor}.q_narrow")
            integers = f"{tensor}.q_narrow"
        return self._add("DequantizeLinear", [integers, scale, zero], f"{tensor}.dq")

    def _fenced(self, tensor: str, quantizer: ActivationQuantizer, name: str) -> str:
        """Adds a clip to what the tensor holds anyway, before an operation with float weights.

        ONNX Runtime (WeightBiasQuantization, since 1.21) gives float weights 8 bits, one scale for all
        channels, wherever their operation reads a dequantized tensor directly; that costs accuracy.
        """
        ends = [-quantizer.zero_point, quantizer.levels - quantizer.zero_point]
        limits = [np.float32(end * quantizer.scale) for end in ends]
        names = [
            self._constant(f"{name}.fence_{end}", x) for end, x in zip(("low", "high"), limits, strict=True)
        ]
        return self._add("Clip", [tensor, *names], f"{name}.fenced")

    def _activation(self, op: Op, tensor: str, name: str) -> None:
        if op.activation == "relu":
            self._add("Relu", [tensor], name)
        elif op.activation == "relu6":
            zero = self._constant(f"{name}.low", np.float32(0))
            six = self._constant(f"{name}.high", np.float32(6))
            self._add("Clip", [tensor, zero, six], name)
        elif op.activation == "h_swish":
            self._add("HardSwish", [tensor], name)
        else:
            self._add("HardSigmoid", [tensor], name, alpha=1 / 6, beta=0.5)

    def _linear(self, layer: Layer, tensor: str, name: str) -> None:
        flat = self._add("Flatten", [tensor], f"{name}.flat")
        # [in, out]: ONNX Runtime then multiplies by the integers as they are, where it would
        # otherwise turn all of them back into floats on every call. Logits stay in floating
        # point, so an integer bias would gain nothing.
        weight = self._network.weights[f"{name}.weight"]
        bias = self._constant(f"{name}.bias", self._network.weights[f"{name}.bias"])
        if layer.weight_bits == FLOAT_BITS:
            weight_name = self._constant(f"{name}.weight", np.ascontiguousarray(weight.T))
        else:
            found = integer_weights(weight, layer.weight_bits)
            integers = np.ascontiguousarray(found.weight.T)
            weight_name = self._dequantized(
                f"{name}.weight", integers, found.scales, layer.weight_bits, axis=1
            )
        self._add("Gemm", [flat, weight_name, bias], OUTPUT)

    def _filters(self, layer: Layer, op: Op, tensor: str, name: str) -> list[str]:
        """Adds the constants of a convolution that reads `tensor`; returns weight and, if any, bias."""
        weight = self._network.weights[f"{name}.weight"]
        bias = self._network.weights[f"{name}.bias"] if op.bias else None
        if layer.weight_bits == FLOAT_BITS:
            names = [self._constant(f"{name}.weight", weight)]
            return names if bias is None else [*names, self._constant(f"{name}.bias", bias)]
        reads = self._quantizers.get(tensor)
        found = integer_weights(weight, layer.weight_bits, bias, reads)
        names = [self._dequantized(f"{name}.weight", found.weight, found.scales, layer.weight_bits)]
        if bias is None:
            return names
        if reads is None or found.bias is None:
            return [*names, self._constant(f"{name}.bias", bias)]
        scales = bias_scales(found.scales, reads.scale)
        return [*names, self._dequantized(f"{name}.bias", found.bias, scales, bits=32)]

    def _dequantized(self, name: str, integers: Integers, scales: Floats, bits: int, axis: int = 0) -> str:
        """Adds integers with one scale for each slice along `axis`; returns what they stand for."""
        if self._dialect == "qonnx":
            shape = [-1 if one == axis else 1 for one in range(integers.ndim)]
            by_slice = scales.reshape(shape)
            floats = self._constant(f"{name}.float", np.asarray(integers * by_slice, np.float32))
            scale = self._constant(f"{name}.scale", by_slice)
            return self._quant(floats, scale, 0, bits, signed=True, made=name, narrow=True)
        held = f"{name}.q"
        if self._dialect == "int4" and bits <= _INT4_BITS:
            packed = helper.make_tensor(held, TensorProto.INT4, integers.shape, integers.ravel().tolist())
            self.initializers.append(packed)
        else:
            self._constant(held, integers)
        return self._add("DequantizeLinear", [held, self._constant(f"{name}.scale", scales)], name, axis=axis)

    def _quant_map(self, tensor: str, scale: str, quantizer: ActivationQuantizer) -> str:
        """Adds what quantizes an activation.

        `Quant` adds the zero point before it rounds, Q/DQ after: halves then go the other way where it is
        odd, and an image of bytes is full of halves. So a first node rounds, a bit wider and around zero;
        the second finds whole numbers and sets the range.
        """
        bits, zero_point = int(quantizer.levels).bit_length(), quantizer.zero_point
        if zero_point:
            tensor = self._quant(tensor, scale, 0, bits + 1, signed=True, made=f"{tensor}.rounded")
        made = tensor.removesuffix(".rounded") + ".dq"
        return self._quant(tensor, scale, zero_point, bits, signed=False, made=made)

    def _quant(
        self,
        tensor: str,
        scale: str,
        zero_point: int,
        bits: int,
        signed: bool,
        made: str,
        narrow: bool = False,
    ) -> str:
        """Adds a node that quantizes and dequantizes."""
        zero = self._constant(f"{made}.zero_point", np.float32(zero_point))
        width = self._constant(f"{made}.bits", np.float32(bits))
        attributes = {"signed": int(signed), "narrow": int(narrow), "rounding_mode": "ROUND"}
        node = helper.make_node(
            "Quant", [tensor, scale, zero, width], [made], name=made, domain=QONNX_DOMAIN, **attributes
        )
        self.nodes.append(node)
        return made

    def _constant(self, name: str, value: np.ndarray[Any, Any] | np.generic) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: int | float | list[int]) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output


def _window(op: Op, padding: int) -> dict[str, list[int]]:
    """The attributes of what slides over a map."""
    return {"kernel_shape": [op.kernel] * 2, "strides": [op.stride] * 2, "pads": [padding] * 4}
