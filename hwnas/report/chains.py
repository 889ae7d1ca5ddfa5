"""The chains of layers of the models, in a form that the page draws: bricks, each told once."""

import json
from dataclasses import dataclass
from typing import Any

from hwnas.errors import InputError
from hwnas.report.forms import Model
from hwnas.report.html import plain
from hwnas.report.run import Run
from hwnas.spaces import FLOAT_BITS, Candidates, Layer, Space, get_space, space_of_definition


@dataclass(frozen=True)
class Chains:
    """The bricks that occur, and for each model which of them, in order.

    Attributes:
        bricks: JSON objects: `kernel`, `expand`, `lines` (what the brick says), `tone` (`fp`, `q8`
            or `low`), `stage` (where it stands) and `told` (a sentence for hovering and for those
            who cannot see it).
        of_model: rows of `bricks` by model id.
        genes: the architecture as JSON by id, of models whose layers cannot be told.
        problem: why they cannot.
    """

    bricks: list[dict[str, Any]]
    of_model: dict[str, list[int]]
    genes: dict[str, str]
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns what the page's script reads."""
        return {"bricks": self.bricks, "chains": self.of_model, "genes": self.genes, "problem": self.problem}


def chains(run: Run) -> Chains:
    """Returns the chains of all models of the front."""
    models = run.front.candidates
    try:
        space = _space(run)
    except InputError as error:
        return Chains([], {}, {model.id: _genes(model) for model in models}, _problem(error))
    bricks: dict[Layer, int] = {}
    of_model, genes, problem = {}, {}, ""
    for model, told in zip(models, _told(space, models), strict=True):
        if isinstance(told, InputError):
            genes[model.id], problem = _genes(model), problem or _problem(told)
        else:
            of_model[model.id] = [bricks.setdefault(layer, len(bricks)) for layer in told]
    elastic = _elastic_slots(space)
    return Chains([brick(layer, layer.name in elastic) for layer in bricks], of_model, genes, problem)


def _told(space: Space, models: list[Model]) -> list[tuple[Layer, ...] | InputError]:
    """The layers of each model, or why they cannot be told; all at once where all of them can."""
    rows = [{**model.architecture, "bits": model.bits and model.bits.model_dump()} for model in models]
    try:
        candidates = Candidates.of_json(space, rows)
        return [candidates.layers(row) for row in range(len(rows))]
    except InputError as error:
        return [error] if len(models) == 1 else [_told(space, [model])[0] for model in models]


def _problem(error: InputError) -> str:
    return plain(f"The layers cannot be drawn here: {error}")


def _genes(model: Model) -> str:
    return plain(json.dumps(model.architecture, sort_keys=True))


def brick(layer: Layer, elastic: bool) -> dict[str, Any]:
    """Returns a layer as the page draws it; `elastic` where the space leaves a choice of its width."""
    expand = _expand(layer)
    lines = [layer.kind] if layer.kind in ("pool", "max_pool", "linear") else [f"k{layer.kernel}"]
    lines += [] if expand is None else [f"e{expand:.2g}"]
    lines += [f"w{layer.out_channels}"] if elastic else []
    lines += ["se"] if layer.se else []
    told = (
        f"{layer.name}: {layer.kind} {layer.in_channels} to {layer.out_channels} channels, "
        f"kernel {layer.kernel}, {layer.in_size_px} px, stride {layer.stride}"
    )
    bits = min(layer.weight_bits, layer.activation_bits)
    if layer.quantized:
        told += f", {layer.weight_bits}-bit weights, {layer.activation_bits}-bit activations"
        lines.append(pair_words(layer.weight_bits, layer.activation_bits))
    # Blocks stand together by stage; what is alone stands under its own name.
    stage, _, _ = layer.name.rpartition(".")
    return {
        "kernel": layer.kernel if layer.mid_channels or layer.kind.endswith("conv") else 1,
        "expand": round(expand or 1.0, 3),
        "lines": lines,
        "tone": "fp" if bits >= FLOAT_BITS else "q8" if bits >= 8 else "low",
        "stage": plain(stage.removeprefix("stages.") and f"stage {stage.removeprefix('stages.')}")
        if stage.startswith("stages.")
        else plain(stage or layer.name),
        "told": plain(told),
    }


def pair_words(weight_bits: int, activation_bits: int) -> str:
    """Returns `8b`, or `w4a8` where weights and activations differ."""
    return f"{weight_bits}b" if weight_bits == activation_bits else f"w{weight_bits}a{activation_bits}"


def _expand(layer: Layer) -> float | None:
    if not layer.mid_channels:
        return None
    # A ratio is of the channels its block is named after: ResNet's of those that leave it.
    return layer.mid_channels / (layer.out_channels if layer.kind == "bottleneck" else layer.in_channels)


def _space(run: Run) -> Space:
    definition = run.config.get("space_definition")
    return get_space(run.front.space) if definition is None else space_of_definition(definition)


def _elastic_slots(space: Space) -> frozenset[str]:
    choices = space.slot_choices
    return frozenset(
        slot for slot, layers in choices.items() if len({one.out_channels for one in layers}) > 1
    )
