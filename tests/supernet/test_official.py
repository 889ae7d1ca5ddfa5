"""Official checkpoints in and out: round trips need no file of anyone's, parity the reference data."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hwnas.errors import InputError
from hwnas.spaces import Candidates, get_space
from hwnas.supernet import (
    Supernet,
    load_supernet,
    official_state,
    read_official,
    save_supernet,
    write_official,
)
from hwnas.supernet.official_keys import COUNTER, OFFICIAL_SPACES, official_names, plain
from tests.supernet.conftest import telling

W10 = "ofa-mobilenetv3-w1.0"
KEYS = {
    W10: "mbv3_w1.0",
    "ofa-mobilenetv3-w1.2": "mbv3_w1.2",
    "ofa-proxyless-w1.3": "proxyless_w1.3",
    "ofa-resnet50": "resnet50",
}
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """The state of a random supernet with 7 classes, as the official code would save it."""
    made = official_state(telling(get_space(W10, 7)))
    return {key: torch.tensor(len(key)) if key.endswith(COUNTER) else made[key] for key in made}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def same(found: State, expected: State) -> bool:
    assert list(found) == list(expected)
    return all(
        torch.equal(found[key], expected[key]) and found[key].dtype == expected[key].dtype for key in expected
    )


def refusal(path: Path, space_name: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read_official(path, space_name)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def shapes(name: str) -> Supernet:
    with torch.device("meta"):
        return Supernet(get_space(name))


@pytest.mark.parametrize("name", OFFICIAL_SPACES)
def test_keys_and_shapes_are_the_official_ones_in_their_order(name: str, reference_data: Path) -> None:
    listed = json.loads((reference_data / "ofa" / f"keys_ofa_{KEYS[name]}.json").read_text())
    supernet = shapes(name)
    tensors = supernet.state_dict()
    names = official_names(supernet)
    assert list(names) == [key for key, _ in listed]
    for (key, shape), ours in zip(listed, names.values(), strict=True):
        assert shape == ([] if key.endswith(COUNTER) else list(tensors[ours].shape))
    assert {ours for ours in names.values() if not ours.endswith(COUNTER)} == set(tensors)


@pytest.mark.parametrize(
    ("name", "parameters", "keys"),
    [
        (W10, 7_678_880, 475),
        ("ofa-mobilenetv3-w1.2", 10_715_752, 475),
        ("ofa-proxyless-w1.3", 7_956_882, 446),
        ("ofa-resnet50", 48_105_992, 368),
    ],
)
def test_supernets_have_the_published_numbers(name: str, parameters: int, keys: int) -> None:
    supernet = shapes(name)
    assert sum(p.numel() for p in supernet.parameters()) == parameters
    names = official_names(supernet)
    assert len(names) == len({plain(key) for key in names}) == keys


@pytest.mark.parametrize("name", OFFICIAL_SPACES)
def test_every_family_comes_back_exactly_and_its_space_is_found(name: str, tmp_path: Path) -> None:
    supernet = telling(get_space(name, 5))
    path = tmp_path / "weights.pt"
    write_official(supernet, path)
    found = read_official(path)
    assert (found.space.name, found.space.num_classes) == (name, 5)
    assert found.digest() == supernet.digest()
    assert same(official_state(found), official_state(supernet))


def test_a_round_trip_through_a_supernet_file_keeps_the_counters(state: State, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_supernet(read_official(saved(tmp_path / "a.pt", {"state_dict": state, "epoch": 3})), path)
    supernet = load_supernet(path)
    assert same(official_state(supernet), state)
    assert supernet.info is not None
    assert supernet.info.recipe["name"] == "imported"
    assert supernet.info.recipe["source"] == "a.pt"
    assert len(supernet.info.recipe["sha256"]) == 64
    write_official(supernet, tmp_path / "b.pt")
    assert same(torch.load(tmp_path / "b.pt", weights_only=True)["state_dict"], state)
    write_official(supernet, tmp_path / "b.safetensors")
    assert load_file(tmp_path / "b.safetensors").keys() == state.keys()


def older(key: str) -> str:
    """The same tensor in a file of 2019: nested once, under the older name of a block."""
    for word in ("conv", "bn", "linear"):
        key = key.replace(f".{word}.{word}.", f".{word}.")
    if key.startswith("blocks.") and ".conv." in key[: len("blocks.20.conv.")]:
        key = key.replace(".conv.", ".mobile_inverted_conv.", 1)
    return key


@pytest.mark.parametrize(
    "rename", [str, older, lambda key: f"module.{key}", lambda key: f"module.{older(key)}"], ids=range(4)
)
def test_every_layout_is_read(rename: Callable[[str], str], state: State, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", {rename(key): tensor for key, tensor in state.items()})
    assert same(official_state(read_official(path, W10)), state)


def test_the_older_layout_of_the_test_is_another() -> None:
    key = "blocks.1.conv.depth_conv.conv.conv.weight"
    assert older(key) == "blocks.1.mobile_inverted_conv.depth_conv.conv.weight"


def test_safetensors_and_files_without_counters_are_read(state: State, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({key: tensor for key, tensor in state.items() if not key.endswith(COUNTER)}, path)
    found = official_state(read_official(path))
    assert torch.equal(found["first_conv.bn.running_var"], state["first_conv.bn.running_var"])
    assert found[f"first_conv.bn.{COUNTER}"] == 0


def test_half_precision_becomes_float32_and_the_recipe_says_so(state: State, tmp_path: Path) -> None:
    half = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    supernet = read_official(saved(tmp_path / "a.pt", half))
    assert supernet.info is not None
    assert supernet.info.recipe["converted_from"] == ["float16"]
    found = official_state(supernet)
    assert all(torch.equal(found[key], half[key].float()) for key in half if half[key].is_floating_point())


def test_another_space_than_the_named_one_is_said(state: State, tmp_path: Path) -> None:
    message = refusal(saved(tmp_path / "a.pt", state), "ofa-mobilenetv3-w1.2")
    assert "first_conv.conv.weight is [16, 3, 3, 3], not [24, 3, 3, 3]" in message
    assert f"it is of '{W10}' with 7 classes: --space {W10}" in message


def test_what_is_missing_unknown_or_misshapen_is_named(state: State, tmp_path: Path) -> None:
    some = {key: tensor for key, tensor in state.items() if key != "first_conv.conv.weight"}
    message = refusal(saved(tmp_path / "a.pt", some | {"extra": torch.zeros(1)}))
    assert "missing first_conv.conv.weight; unknown extra; it looks like" in message
    assert f"'{W10}' with 7 classes, but for 2 tensors" in message
    message = refusal(saved(tmp_path / "a.pt", state | {"classifier.linear.bias": torch.zeros(8)}), W10)
    assert "classifier.linear.bias is [8], not [7]" in message
    whole = state | {"first_conv.conv.weight": state["first_conv.conv.weight"].long()}
    assert "first_conv.conv.weight is int64, not a float" in refusal(saved(tmp_path / "a.pt", whole))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(state: State, value: float, tmp_path: Path) -> None:
    bad = state | {"classifier.linear.bias": torch.full((7,), value)}
    assert "NaN or infinity in classifier.linear.bias" in refusal(saved(tmp_path / "a.pt", bad))


def test_other_networks_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", torch.nn.Linear(3, 2).state_dict())
    assert "like none of the spaces with an official layout" in refusal(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"state_dict": {}}, "holds nothing"),
        ([torch.zeros(1)], "holds list"),
        ({"a": torch.zeros(1), "b": 3}, "b is a int"),
        ({"a": torch.zeros(2).to_sparse()}, "a is a Tensor"),
        ({"a": torch.zeros(1).expand(10**9)}, "a is a Tensor"),
        ({"bn.weight": torch.zeros(1), "bn.bn.weight": torch.zeros(1)}, "twice: bn.weight and bn.bn.weight"),
    ],
)
def test_what_is_no_state_dict_is_refused(content: object, says: str, tmp_path: Path) -> None:
    assert says in refusal(saved(tmp_path / "a.pt", content))


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    assert "would run code" in refusal(saved(tmp_path / "a.pt", {"state_dict": Trap()}))
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Trap()))
    refusal(tmp_path / "b.pt")
    assert not (tmp_path / "sprung").exists()


def test_missing_and_damaged_files_are_refused(state: State, tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.pt")
    path = saved(tmp_path / "a.pt", state)
    path.write_bytes(path.read_bytes()[:-2000])
    assert "damaged" in refusal(path)
    path.write_bytes(b"")
    assert "damaged" in refusal(path)


def test_only_official_spaces_are_written_and_named(space, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="space 'demo' has no official layout"):
        write_official(telling(space), tmp_path / "a.pt")
    assert not (tmp_path / "a.pt").exists()
    with pytest.raises(InputError, match=r"did you mean 'ofa-mobilenetv3-w1\.2'"):
        read_official(tmp_path / "a.pt", "ofa-mobilenetv3-w1.1")


def test_the_outputs_of_the_official_code(reference_data: Path) -> None:
    """Raw outputs are compared where they are moderate: random weights make others explode."""
    folder = reference_data / "ofa"
    supernet = read_official(folder / "ofa_mbv3_w1.0.random.pt")
    source = torch.load(folder / "ofa_mbv3_w1.0.random.pt", weights_only=True)["state_dict"]
    assert same(official_state(supernet), source)
    tensors = load_file(folder / "ofa_mbv3_w1.0.reference.safetensors")
    for row, record in enumerate(json.loads((folder / "ofa_mbv3_w1.0.reference.json").read_text())):
        architectures = [supernet.space.architecture({**record["config"], "r": size}) for size in (128, 224)]
        costs = Candidates.of_architectures(supernet.space, architectures).costs()
        assert costs.macs.tolist() == [record["macs_128"], record["macs_224"]]
        assert set(costs.params.tolist()) == {record["params"]}
        for name in record["outputs"]:
            expected = tensors[f"{row}.{name}"]
            if name == "y128_recal" or expected.abs().max() > 100:
                continue
            with torch.no_grad():
                found = supernet(tensors[f"x{name[1:]}"], architectures[0])
            assert (found - expected).abs().max() <= 1e-4 * expected.abs().max(), (row, name)
            assert np.isfinite(found.numpy()).all()
