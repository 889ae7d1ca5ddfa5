"""The layers of a model as bricks."""

import json
from pathlib import Path
from typing import Any

from hwnas.report.chains import brick
from hwnas.spaces import get_space
from hwnas.spaces.recipes import RECIPES

from .walker import change, read_data


def test_layers_of_a_space_that_is_not_installed_are_told_as_genes(run_folder: Path) -> None:
    change(run_folder, "front.json", lambda front: front.update(space="elsewhere"))
    data = read_data(run_folder)
    assert data["problem"].startswith("The layers cannot be drawn here: unknown space 'elsewhere'")
    assert len(data["genes"]) == 10
    assert '"ks": [' in next(iter(data["genes"].values()))


def test_every_layer_of_a_model_is_a_brick(run_folder: Path) -> None:
    data = read_data(run_folder)
    assert len(data["chains"]) == 10
    for one in json.loads((run_folder / "front.json").read_text())["candidates"]:
        bricks = [data["bricks"][row] for row in data["chains"][one["id"]]]
        assert len(bricks) == len(one["bits"]["weights"]) + 1  # the pool has no weights
        assert bricks[-1]["told"].startswith("classifier: linear 160 to 10 channels")
        quantized = [brick for brick in bricks if brick["tone"] == "q8"]
        assert len(quantized) == one["bits"]["weights"].count(8)
        assert all("8b" in brick["lines"] for brick in quantized)


def test_blocks_of_other_spaces_say_their_ratio_and_their_width() -> None:
    space = get_space("ofa-resnet50")
    largest = {layer.name: layer for layer in space.layers(space.largest())}
    block = brick(largest["stages.3.0"], elastic=True)
    assert block["lines"] == ["k3", "e0.35", "w2048"]
    assert block["stage"] == "stage 3"
    assert block["told"].startswith("stages.3.0: bottleneck 1024 to 2048 channels, kernel 3, 14 px, stride 2")
    assert brick(largest["stem.1"], elastic=True)["lines"] == ["k3", "w32"]
    assert brick(largest["stem.pool"], elastic=True)["lines"] == ["max_pool", "w64"]
    assert brick(largest["classifier"], elastic=False)["lines"] == ["linear"]


def test_a_user_s_space_is_drawn_from_its_definition(run_folder: Path) -> None:
    definition = RECIPES["demo"]().model_copy(update={"name": "mine"}).model_dump(mode="json")
    change(run_folder, "front.json", lambda front: front.update(space="mine"))
    change(run_folder, "config.json", lambda config: config.update(space_definition=definition))

    def rename(front: dict[str, Any]) -> None:
        for one in front["candidates"]:
            one["architecture"]["space"] = "mine"

    change(run_folder, "front.json", rename)
    assert read_data(run_folder)["problem"] == ""
