"""Files of predictors: JSON, or safetensors that carry the JSON in their header. Never pickle."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.errors import InputError
from hwnas.files import json_object, read_json, replacing
from hwnas.predictors.features import Floats

_KEY = "hwnas.predictor"


def write_tensors(path: Path, fields: Mapping[str, Any], tensors: Mapping[str, Floats]) -> None:
    """Writes a safetensors file with `fields` as JSON in its header, whole or not at all."""
    from safetensors.numpy import save_file

    with replacing(path) as temporary:
        save_file(dict(tensors), temporary, {_KEY: json.dumps(fields, allow_nan=False)})


def read_predictor_file(path: Path) -> Any:
    """Returns the parsed JSON of either kind of file; tensors are put under `regressor`.

    Raises:
        InputError: the file is missing, or neither kind.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise InputError(f"cannot read predictor {path}: {error.strerror or error}") from error
    # A safetensors file begins with the length of its header, in eight bytes, and a brace.
    if start[:1] in (b"{", b"[") or start[8:] != b"{":
        return read_json(path, "predictor")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            header = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise InputError(f"predictor {path} is a damaged safetensors file ({error}); fit it again") from error
    if header is None:
        raise InputError(f"{path} holds weights, but no predictor; fit one with `hwnas fit`")
    fields = json_object(header, f"predictor {path}")
    if isinstance(fields.get("regressor"), dict):
        fields["regressor"]["tensors"] = tensors
    return fields
