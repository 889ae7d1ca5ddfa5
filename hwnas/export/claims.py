"""Claims: what an exported file says of itself in its metadata, and so what can be verified."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.errors import InputError
from hwnas.files import json_object
from hwnas.version import __version__

_JSON = ("architecture", "space_definition", "bits", "accuracy_top1", "latency_ms")
_NEEDED = ("architecture", "bits", "version")


@dataclass(frozen=True, kw_only=True)
class Claims:
    """The metadata of an exported ONNX file; keys in the file carry the prefix `hwnas.`.

    Attributes:
        architecture, bits: JSON forms, as in `front.json`.
        space_definition: of a space that no name stands for.
        calibration: how batch normalisation was recalibrated and ranges were set, for people.
        dataset: the name that finds the data set again.
        accuracy_top1: a figure in percent: value, split, n.
        device, device_fingerprint: where it was measured.
        artefact: the name of the file that was measured, in the same folder; None for this one.
        latency_ms: a figure: value, p95, low, high, kind, predicted.
        supernet: digest of the weights it was cut from.
        version: of hwnas.
    """

    architecture: Mapping[str, Any]
    bits: Mapping[str, Any]
    space_definition: Mapping[str, Any] | None = None
    calibration: str | None = None
    dataset: str | None = None
    accuracy_top1: Mapping[str, Any] | None = None
    device: str | None = None
    device_fingerprint: str | None = None
    artefact: str | None = None
    latency_ms: Mapping[str, Any] | None = None
    supernet: str | None = None
    version: str = __version__

    def to_metadata(self) -> dict[str, str]:
        """Returns the claims as texts, those that are None left out."""
        return {
            name: json.dumps(value, sort_keys=True, allow_nan=False) if name in _JSON else str(value)
            for name, value in vars(self).items()
            if value is not None
        }

    @staticmethod
    def of_metadata(metadata: Mapping[str, str], where: str) -> "Claims":
        """Returns the claims of a file; entries that this version does not know are ignored.

        Raises:
            InputError: the metadata is missing or not in our form; `where` names the file.
        """
        missing = [name for name in _NEEDED if name not in metadata]
        if missing:
            raise InputError(
                f"{where} must say what it claims in its metadata, but has no hwnas.{missing[0]}; "
                "verify a file that hwnas export wrote"
            )
        texts = {name: metadata[name] for name in Claims.__dataclass_fields__ if name in metadata}
        parsed: dict[str, Any] = {
            name: json_object(text, f"{where}: hwnas.{name} in its metadata") if name in _JSON else text
            for name, text in texts.items()
        }
        claims = Claims(**parsed)
        for name, figure in (("accuracy_top1", claims.accuracy_top1), ("latency_ms", claims.latency_ms)):
            if figure is not None:
                figure_value(figure, f"{where}: hwnas.{name}")
        if claims.artefact is not None and not _is_plain_name(claims.artefact):
            raise InputError(
                f"{where}: hwnas.artefact must be the name of a file beside it, got {claims.artefact!r}"
            )
        return claims


def figure_value(figure: Mapping[str, Any], where: str, name: str = "value") -> float:
    """Returns a number of a figure.

    Raises:
        InputError: it is missing, not a number, not finite or negative.
    """
    value = figure.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise InputError(f"{where} must hold a number '{name}' that is not negative, but got {value!r}")
    return float(value)


def _is_plain_name(name: str) -> bool:
    return bool(name) and name not in (".", "..") and not set(name) & set("/\\\0")
