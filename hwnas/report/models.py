"""The models of the front: their figures and files, as a table and as what the page's script reads."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hwnas.report.chains import pair_words
from hwnas.report.forms import Figure, Model
from hwnas.report.html import Html, element, name, plain, text
from hwnas.report.parts import cell, paragraph, section, table
from hwnas.report.plot import number
from hwnas.report.run import Run
from hwnas.spaces import FLOAT_BITS
from hwnas.units import format_size_bytes

# What is in the folder of an exported model and worth a link, in this order.
MODEL_FILES = (
    *("model.onnx", "model-int4.onnx", "model-qonnx.onnx", "model.so", "model.tar", "model-tvm.so"),
    *("model.pt2", "manifest.json"),
)


@dataclass(frozen=True)
class _Column:
    """A figure of the table: its head, the figure it sorts by (None where unknown), and its words."""

    head: str
    value: Callable[[Model], float | None]
    words: Callable[[Model], str]


_COLUMNS = (
    _Column("accuracy, %", lambda m: m.accuracy_top1.value, lambda m: _accuracy_words(m.accuracy_top1)),
    _Column(
        "on test, %",
        lambda m: m.accuracy_top1_test.value if m.accuracy_top1_test else None,
        lambda m: _accuracy_words(m.accuracy_top1_test),
    ),
    _Column("latency, ms", lambda m: m.latency.value, lambda m: latency_words(m.latency.value)),
    _Column("p95, ms", lambda m: m.latency.p95, lambda m: latency_words(m.latency.p95)),
    _Column("predicted, ms", lambda m: m.latency.predicted, lambda m: latency_words(m.latency.predicted)),
    _Column("size", lambda m: m.size_bytes, lambda m: format_size_bytes(m.size_bytes or 0)),
    _Column("MACs", lambda m: m.macs, lambda m: _millions(m.macs or 0)),
    _Column("energy, mJ", lambda m: m.energy_value_mj, lambda m: number(m.energy_value_mj or 0)),
)


def models_section(run: Run) -> Html:
    """Returns the table of the models, and of those left out."""
    models = by_speed(run)
    if not models:
        return section("models", "Models", paragraph("No model met the target."))
    columns = [one for one in _COLUMNS if any(one.value(model) is not None for model in models)]
    rows = [_row(model, columns, run.folder) for model in models]
    header = ["model", "deploy on", *(one.head for one in columns), "quantized", "files"]
    figures = range(2, 2 + len(columns))
    caption = f"Fastest first; ± and ranges are 95 % intervals. {_kinds(models)} A head sorts by its column."
    parts = [table(caption, header, rows, numeric=figures, anchor="model-table")]
    if run.front.dropped:
        left_out = [
            element("li", None, name(one.id), text(f" ({one.device}): {one.reason}"))
            for one in run.front.dropped
        ]
        parts += [element("h3", None, text("Left out after export")), element("ul", None, *left_out)]
    return section("models", "Models", *parts)


def models_json(run: Run) -> list[dict[str, Any]]:
    """Returns each model, fastest first, as the page's script reads it: figures, and words for people."""
    return [_model_json(model, run.folder) for model in by_speed(run)]


def by_speed(run: Run) -> list[Model]:
    """Returns the models, fastest on its own device first."""
    return sorted(run.front.candidates, key=lambda model: model.latency.value)


def latency_words(latency_ms: float | None) -> str:
    """Returns a latency in ms with the digits that matter; a dash for none."""
    if latency_ms is None:
        return "–"
    return f"{latency_ms:.{4 if latency_ms < 0.1 else 3 if latency_ms < 10 else 2}f}"


def _model_json(model: Model, folder: Path) -> dict[str, Any]:
    return {
        "id": model.id,
        "device": plain(model.device),
        "accuracy": model.accuracy_top1.value,
        "latency": {plain(device): figure.value for device, figure in model.latency_ms.items()},
        "bound": {plain(device): model.bound_ms(device) for device in model.latency_ms},
        "size": model.size_bytes,
        "energy": model.energy_value_mj,
        "facts": [[plain(label), plain(value), plain(note)] for label, value, note in _facts(model)],
        "files": [[file, address] for file, address in _files(model, folder).items()],
    }


def _facts(model: Model) -> Iterable[tuple[str, str, str]]:
    """What the picked model's card says: label, figure and note."""
    for label, accuracy in (("accuracy", model.accuracy_top1), ("on test", model.accuracy_top1_test)):
        if accuracy:
            yield label, f"{accuracy.value:.2f} % {accuracy.interval()}", _kind(accuracy)
    for device, figure in model.latency_ms.items():
        note = figure.kind
        if figure.predicted is not None and figure.kind != "predicted":
            note += f", predicted {latency_words(figure.predicted)} ms"
        yield f"latency on {device}", f"{latency_words(figure.value)} ms", note
        if figure.p95 is not None:
            yield f"p95 on {device}", f"{latency_words(figure.p95)} ms", figure.kind
    if model.size_bytes is not None:
        yield "weights", format_size_bytes(model.size_bytes), _bits_words(model)
    if model.macs is not None:
        yield "MACs", _millions(model.macs), ""
    if model.peak_memory_bytes is not None:
        yield "peak memory", format_size_bytes(model.peak_memory_bytes), "activations"
    if model.energy:
        yield "energy", f"{number(model.energy.value)} mJ", model.energy.kind


def _row(model: Model, columns: Iterable[_Column], folder: Path) -> Html:
    return element(
        "tr",
        {"data-model": model.id},
        element("th", {"scope": "row"}, element("code", None, text(model.id))),
        element("td", None, name(model.device)),
        *(_figure_cell(model, column) for column in columns),
        element("td", {"data-value": f"{model.quantized_share:g}"}, text(_bits_words(model))),
        element("td", None, *_file_links(model, folder)),
    )


def _figure_cell(model: Model, column: _Column) -> Html:
    value = column.value(model)
    notes = []
    if column.head.startswith("latency"):
        others = {device: one for device, one in model.latency_ms.items() if device != model.device}
        notes = [
            model.latency.interval(None),
            *(f"{latency_words(one.value)} on {device}" for device, one in others.items()),
        ]
    return cell("–" if value is None else column.words(model), *notes, of=value)


def _kinds(models: Iterable[Model]) -> str:
    """Where the figures of the table come from."""
    latencies = sorted({figure.kind for model in models for figure in model.latency_ms.values()})
    accuracies = sorted({_kind(model.accuracy_top1) for model in models})
    words = f"Latencies are {' or '.join(latencies)}, accuracies {' or '.join(accuracies)}"
    energies = sorted({model.energy.kind for model in models if model.energy})
    return words + (f", energies {' or '.join(energies)}." if energies else ".")


def _kind(accuracy: Figure) -> str:
    return f"{accuracy.kind}{f' on {accuracy.split}' if accuracy.split else ''}"


def _accuracy_words(accuracy: Figure | None) -> str:
    return f"{accuracy.value:.2f} {accuracy.interval()}" if accuracy else ""


def _millions(macs: int) -> str:
    return f"{macs / 1e6:.3g} M"


def _bits_words(model: Model) -> str:
    if model.bits is None or model.quantized_share == 0:
        return "no"
    pairs = list(zip(model.bits.weights, model.bits.activations, strict=False))
    kinds = sorted({pair for pair in pairs if min(pair) < FLOAT_BITS})
    words = [f"{pairs.count(pair)} at {pair_words(*pair)}" for pair in kinds]
    return f"{', '.join(words)} of {len(pairs)} layers"


def _files(model: Model, folder: Path) -> dict[str, str]:
    """The files of a model that are there: name, and address from the run folder."""
    place = folder / "models" / model.id
    return {file: f"models/{quote(model.id)}/{file}" for file in MODEL_FILES if (place / file).is_file()}


def _file_links(model: Model, folder: Path) -> list[Html]:
    links = []
    for file, address in _files(model, folder).items():
        download = None if file.endswith(".json") else f"{model.id}-{file}"
        links += [element("a", {"href": address, "download": download}, text(file)), element("br")]
    return links or [text("not exported")]
