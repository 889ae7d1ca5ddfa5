"""The models of the front: their figures, files and layers."""

import json
from pathlib import Path
from urllib.parse import quote

from hwnas.errors import InputError
from hwnas.report.figures import interval
from hwnas.report.html import Html, element, join, name, text
from hwnas.report.parts import cell, paragraph, section, table
from hwnas.report.plot import number
from hwnas.report.run import Model, Run
from hwnas.spaces import FLOAT_BITS, Candidates, Layer, Space, get_space, space_of_definition
from hwnas.units import format_size_bytes


def models_section(run: Run) -> Html:
    """Returns the table of the models, and of those left out."""
    if not run.front.candidates:
        return section("models", "Models", paragraph("No model met the target."))
    header = ["model", "deploy on", "accuracy, %", "latency, ms", "p95, ms", "predicted, ms"]
    header += ["size", "MACs", "quantized", "files"]
    rows = [_model_row(model, run.folder) for model in _by_speed(run)]
    caption = "The models of the front, fastest first; ± and ranges are 95 % intervals."
    parts = [table(caption, header, rows, numeric=range(2, 8))]
    if run.front.dropped:
        left_out = [
            element("li", None, name(one.id), text(f" ({one.device}): {one.reason}"))
            for one in run.front.dropped
        ]
        parts += [element("h3", None, text("Left out after export")), element("ul", None, *left_out)]
    return section("models", "Models", *parts)


def layers_section(run: Run) -> Html:
    """Returns the chain of layers of each model as a strip of boxes."""
    words = (
        "Each box is a layer: kernel (k), expand ratio (e), squeeze-and-excitation (se), and output channels "
        "(w) where the space leaves a choice of them, with its place in the network. Coloured boxes are "
        "quantized: blue at 8 bits and above, amber below."
    )
    parts = [join(_chain_title(one), _chain(run, one)) for one in _by_speed(run)]
    return section("layers", "Layers of each model", paragraph(words), *parts)


def _model_row(model: Model, folder: Path) -> Html:
    latency, accuracy, test = model.latency, model.accuracy_top1, model.accuracy_top1_test
    tested = f"{test.value:.2f} {interval(test)} {test.kind} on {test.split or 'test'}" if test else ""
    others = [
        f"{_ms(figure.value)} on {device}"
        for device, figure in model.latency_ms.items()
        if device != model.device
    ]
    energy = f"{number(model.energy_mj.value)} mJ {model.energy_mj.kind}" if model.energy_mj else ""
    return element(
        "tr",
        None,
        element("th", {"scope": "row"}, element("code", None, text(model.id))),
        element("td", None, name(model.device)),
        cell(
            f"{accuracy.value:.2f} {interval(accuracy)}",
            f"{accuracy.kind}{f' on {accuracy.split}' if accuracy.split else ''}",
            tested,
        ),
        cell(
            f"{_ms(latency.value)} {interval(latency, _decimals(latency.value))}",
            latency.kind,
            *others,
            energy,
        ),
        cell(_ms(latency.p95)),
        cell(_ms(latency.predicted)),
        cell(format_size_bytes(model.size_bytes) if model.size_bytes is not None else "–"),
        cell(f"{model.macs / 1e6:.3g} M" if model.macs is not None else "–"),
        element("td", None, text(_bits_words(model))),
        element("td", None, *_file_links(model, folder)),
    )


def _ms(latency_ms: float | None) -> str:
    return "–" if latency_ms is None else f"{latency_ms:.{_decimals(latency_ms)}f}"


def _decimals(latency_ms: float) -> int:
    return 4 if latency_ms < 0.1 else 3 if latency_ms < 10 else 2


def _bits_words(model: Model) -> str:
    if model.bits is None or model.quantized_share == 0:
        return "no"
    pairs = list(zip(model.bits.weights, model.bits.activations, strict=False))
    kinds = sorted({pair for pair in pairs if min(pair) < FLOAT_BITS})
    words = [f"{pairs.count(pair)} at {_pair_words(*pair)}" for pair in kinds]
    return f"{', '.join(words)} of {len(pairs)} layers"


def _pair_words(weight_bits: int, activation_bits: int) -> str:
    same = weight_bits == activation_bits
    return f"{weight_bits} bits" if same else f"w{weight_bits}a{activation_bits}"


def _file_links(model: Model, folder: Path) -> list[Html]:
    place = folder / "models" / model.id
    links = []
    for file in ("model.onnx", "manifest.json"):
        if (place / file).is_file():
            address = f"models/{quote(model.id)}/{file}"
            links += [element("a", {"href": address}, text(file)), element("br")]
    return links or [text("not exported")]


def _chain_title(model: Model) -> Html:
    words = f" {model.accuracy_top1.value:.2f} %, {_ms(model.latency.value)} ms on "
    return element("h3", None, element("code", None, text(model.id)), text(words), name(model.device))


def _chain(run: Run, model: Model) -> Html:
    row = {**model.architecture, "bits": model.bits.model_dump() if model.bits else None}
    try:
        candidates = Candidates.of_json(_space(run), [row])
    except InputError as error:
        shown = json.dumps(model.architecture, sort_keys=True)
        return join(paragraph(f"The layers cannot be drawn here: {error}"), element("pre", None, text(shown)))
    choices = candidates.space.slot_choices
    elastic = {slot for slot, layers in choices.items() if len({one.out_channels for one in layers}) > 1}
    boxes = (_box(layer, layer.name in elastic) for layer in candidates.layers(0))
    return element("ol", {"class": "chain"}, *boxes)


def _space(run: Run) -> Space:
    definition = run.config.get("space_definition")
    return get_space(run.front.space) if definition is None else space_of_definition(definition)


def _box(layer: Layer, elastic: bool) -> Html:
    bits = min(layer.weight_bits, layer.activation_bits)
    words: list[str] = [layer.kind] if layer.kind in ("pool", "max_pool", "linear") else [f"k{layer.kernel}"]
    if layer.mid_channels:
        # A ratio is of the channels its block is named after: ResNet's of those that leave it.
        of = layer.out_channels if layer.kind == "bottleneck" else layer.in_channels
        words.append(f"e{layer.mid_channels / of:.2g}")
    words += [f"w{layer.out_channels}"] if elastic else []
    words += ["se"] if layer.se else []
    kind = None if bits >= FLOAT_BITS else "q8" if bits >= 8 else "low"
    told = (
        f"{layer.name}: {layer.kind} {layer.in_channels} to {layer.out_channels} channels, "
        f"{layer.in_size_px} px, stride {layer.stride}"
    )
    place = layer.name.removeprefix("stages.")
    if layer.quantized:
        told += f", {layer.weight_bits}-bit weights, {layer.activation_bits}-bit activations"
        place += f" · {_pair_words(layer.weight_bits, layer.activation_bits)}"
    return element(
        "li", {"class": kind, "title": told}, text(" ".join(words)), element("small", None, text(place))
    )


def _by_speed(run: Run) -> list[Model]:
    return sorted(run.front.candidates, key=lambda model: model.latency.value)
