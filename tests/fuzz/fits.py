"""Predictors of every kind, each as small as it can be fitted or made up."""

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.spaces import Candidates, Space

from . import mutations as spoil
from .mutations import Rng
from .reader import Reader, demo, printed, written

_POINTS = 16


def _some(space: Space, count: int, seed: int) -> Candidates:
    return Candidates.of_genomes(space, space.sample_genomes(count, np.random.default_rng(seed)))


def _fitted(model: str, metric: str = "latency_ms", *, seed: int = 0, sources: tuple[Any, ...] = ()) -> Any:
    from hwnas.predictors import fit_predictor

    some = _some(demo(), _POINTS, seed)
    values = some.costs().macs.astype(float) / 1e6 + 1.0
    if metric == "accuracy_top1":
        values = 100 - 300 / (10 + values)
    return fit_predictor(some.space, some, values, metric=metric, model=model, sources=sources)


def _transferred() -> Any:
    from dataclasses import replace

    known = tuple(replace(_fitted("physics", seed=seed), metric=f"latency_ms:{seed}") for seed in (1, 2))
    return _fitted("physics", sources=known)


def _overlapped() -> Any:
    from dataclasses import replace

    from hwnas.predictors.overlap import Overlapped

    plain = _fitted("physics")
    return replace(plain, physics=Overlapped(plain.physics, np.stack([plain.physics.prices] * 2), 2.0))


def _adapted() -> Any:
    from hwnas.predictors import fit_quantized

    base = _fitted("gp", "accuracy_top1")
    space = base.space
    bits = np.random.default_rng(3).choice([4, 8], (2, 6, len(space.slots)))
    some = Candidates.of_genomes(space, space.sample_genomes(6, np.random.default_rng(4)), *bits)
    return fit_quantized(base, some, base.mean(some) - 1.0, noise=0.3).predictor


def _with(regressor: Any) -> Any:
    """A predictor with another regressor put in: fitting a true one takes seconds."""
    from dataclasses import replace

    return replace(_fitted("physics"), regressor=regressor, model="made up")


def _trees() -> Any:
    import xgboost

    from hwnas.predictors.bases import Inputs
    from hwnas.predictors.boosting import Trees, _tree_columns

    some = _some(demo(), _POINTS, 0)
    columns = _tree_columns(Inputs(some, _fitted("physics").physics))
    matrix = xgboost.DMatrix(columns, label=np.linspace(-1, 1, len(some)))
    booster = xgboost.train({"max_depth": 3, "nthread": 1, "seed": 0}, matrix, num_boost_round=3)
    return _with(Trees(booster.save_raw("json").decode(), 0.1))


def _perceptron() -> Any:
    from hwnas.predictors.neural import Perceptron, choice_columns

    columns = choice_columns(_some(demo(), 1, 0)).shape[1]
    return _with(Perceptron(_weights({"0": (columns, 4), "1": (4, 4), "2": (4, 1)}, "w{}", "b{}"), 0.1))


def _encoder() -> Any:
    from hwnas.predictors.neural import Encoder, layer_columns

    columns = layer_columns(_some(demo(), 1, 0))[0].shape[2]
    shapes = {"gate": (columns, 4), "flow": (4, 4), "head": (4, 4), "out": (4, 1)}
    return _with(Encoder({**_weights(shapes, "{}_w", "{}_b"), "start": np.ones(4)}, 0.1))


def _weights(shapes: dict[str, tuple[int, int]], weight: str, bias: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    made = {weight.format(name): rng.normal(0, 0.1, shape) for name, shape in shapes.items()}
    made |= {bias.format(name): np.zeros(shape[1]) for name, shape in shapes.items()}
    return {**made, "target": np.array([0.0, 1.0])}


@cache
def _asked(space: Space) -> Candidates:
    """What predictors are asked about: in floating point, and with bits."""
    three = _some(space, 3, 1)
    bits = np.random.default_rng(2).choice([4, 8, 32], (2, 3, len(space.slots)))
    return Candidates.concatenate([three, Candidates.of_genomes(space, three.genomes, *bits)])


def _use(name: str, folder: Path) -> None:
    """What `hwnas predict`, `hwnas score` and a search ask of a predictor."""
    from hwnas.predictors import load_predictor, score

    predictor = load_predictor(folder / name)
    printed([predictor.metric, predictor.model, predictor.num_measurements])
    some = _asked(demo()) if predictor.space.definition is None else None
    if some is None or predictor.space.key != some.space.key:
        some = _asked(predictor.space)
    found = predictor.predict(some)
    printed([found.mean.tolist(), found.low.tolist(), found.high.tolist()])
    printed(predictor.upper(some, 0.95).tolist())
    printed(score(found, np.linspace(1, 2, len(some)), metric=predictor.metric).to_json())


def in_booster(content: bytes, rng: Rng) -> bytes:
    """Returns a predictor whose trees, a JSON text inside of the JSON, are spoilt."""
    value = json.loads(content)
    value["regressor"]["booster"] = spoil.in_json(value["regressor"]["booster"].encode(), rng).decode(
        "utf-8", "replace"
    )
    return json.dumps(value).encode()


def in_node(content: bytes, rng: Rng) -> bytes:
    """Returns a predictor with one number of one node of its trees changed: a child, a column, a value."""
    value = json.loads(content)
    booster = json.loads(value["regressor"]["booster"])
    trees = booster["learner"]["gradient_booster"]["model"]["trees"]
    tree = trees[int(rng.integers(0, len(trees)))]
    lists = sorted(name for name, part in tree.items() if isinstance(part, list) and part)
    part = tree[lists[int(rng.integers(0, len(lists)))]]
    part[int(rng.integers(0, len(part)))] = int(rng.choice([-1, 0, 1, 2, 3, 5, 1000, 2**31 - 1, -(2**31)]))
    value["regressor"]["booster"] = json.dumps(booster)
    return json.dumps(value).encode()


def _reader(make: Callable[[], Any], *further: spoil.Mutation, name: str = "p.json") -> Reader:
    ways = further or (spoil.in_bytes, spoil.in_json, spoil.in_json)
    return Reader(
        lambda: written(name, lambda path: make().save(path)), spoil.any_of(*ways), partial(_use, name)
    )


FITS: dict[str, Reader] = {
    "predictor": _reader(partial(_fitted, "gp")),
    "predictor-physics": _reader(partial(_fitted, "physics")),
    "predictor-overlapped": _reader(_overlapped),
    "predictor-linear": _reader(partial(_fitted, "linear")),
    "predictor-accuracy": _reader(partial(_fitted, "gp", "accuracy_top1")),
    "predictor-sources": _reader(_transferred),
    "predictor-adapted": _reader(_adapted),
    "predictor-trees": _reader(_trees, spoil.in_bytes, spoil.in_json, in_booster, in_node, in_node),
    "predictor-perceptron": _reader(
        _perceptron, spoil.in_bytes, spoil.in_safetensors_header, name="p.safetensors"
    ),
    "predictor-encoder": _reader(_encoder, spoil.in_bytes, spoil.in_safetensors_header, name="p.safetensors"),
}
