"""ONNX files with metadata, written whole, and read back without trusting them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from hwnas.errors import InputError, first_line
from hwnas.export.onnx_scan import check_parts
from hwnas.files import read_bytes, replacing
from hwnas.profilers.onnx.model import Dialect, onnx_model
from hwnas.spaces import Network

PREFIX = "hwnas."
# No network of ours comes near it; a file that does would only fill the memory.
MAX_FILE_BYTES = 2**29
MAX_METADATA_CHARACTERS = 1_000_000


def export_onnx(
    network: Network, path: Path, metadata: Mapping[str, str] | None = None, dialect: Dialect = "qdq"
) -> Path:
    """Returns the path of the network's ONNX file: the graph that devices measure, with metadata.

    Args:
        network: folded weights and ranges.
        path: where to write; an older file is replaced in one step.
        metadata: further facts; keys get the prefix `hwnas.` where they lack it.
        dialect: how quantized tensors are written.

    Raises:
        InputError: the file cannot be written, or the network cannot be quantized as it says.
    """
    model = onnx_model(network, dialect)
    onnx.helper.set_model_props(
        model,
        {key if key.startswith(PREFIX) else PREFIX + key: text for key, text in (metadata or {}).items()},
    )
    with replacing(path) as temporary:
        onnx.save(model, temporary)
    return path


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """An ONNX file that was read and found well-formed; its content may still be anyone's.

    Attributes:
        content: the bytes that were checked; sessions are made of these, not of the path.
        metadata: entries whose key starts with `hwnas.`, without that prefix.
    """

    path: Path
    content: bytes
    model: onnx.ModelProto
    metadata: Mapping[str, str]


def read_onnx(path: Path) -> OnnxFile:
    """Returns an ONNX file after checking it; nothing in it is run.

    Raises:
        InputError: the file is missing, too large, torn, not ONNX, not valid, or keeps weights in
            other files, which could be any file of this machine.
    """
    content = read_bytes(path, "the model", MAX_FILE_BYTES)
    try:
        check_parts(content)
        model = onnx.load_model_from_string(content)
        _check_texts(model)
        if not model.graph.node:
            raise ValueError("it has no graph")
    except Exception as error:  # protobuf's error belongs to a package that is not ours to depend on
        raise InputError(f"{path} is not an ONNX file, or a torn one: {first_line(error)}") from error
    if model.functions or model.training_info:
        raise InputError(
            f"{path} must hold a graph alone, but has functions or training of its own, which may take the "
            "place of operators; export it again with hwnas export"
        )
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise InputError(
                f"{path} must hold all its weights itself, but keeps '{tensor.name}' in another file; "
                "export it again with hwnas export"
            )
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker's own errors have no common root
        raise InputError(f"{path} is not a valid ONNX model: {first_line(error)}") from error
    return OnnxFile(path, content, model, _metadata(path, model))


def _check_texts(message: Any) -> None:
    """ValueError for a text that is not UTF-8: protobuf hands it out as bytes, without a word."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            if any(
                isinstance(text, bytes) for text in (value if not isinstance(value, str | bytes) else [value])
            ):
                raise ValueError(f"the field '{field.name}' is not UTF-8 text")
        elif field.type == field.TYPE_MESSAGE:
            for part in [value] if hasattr(value, "ListFields") else value:
                _check_texts(part)


def _metadata(path: Path, model: onnx.ModelProto) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in model.metadata_props:
        if entry.key.startswith(PREFIX):
            if entry.key.removeprefix(PREFIX) in found:
                raise InputError(f"{path}: the metadata holds '{entry.key}' twice")
            if len(entry.value) > MAX_METADATA_CHARACTERS:
                raise InputError(f"{path}: the metadata entry '{entry.key}' is too long to be one of ours")
            found[entry.key.removeprefix(PREFIX)] = entry.value
    return found


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All constants of a graph, those in attributes and in graphs inside of it too."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
