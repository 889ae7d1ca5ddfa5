import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hwnas.errors import InputError
from hwnas.spaces import get_space
from hwnas.supernet import Supernet, SupernetInfo, load_supernet, read_info, save_supernet
from tests.supernet.conftest import telling

INFO = SupernetInfo(
    space="demo",
    num_classes=3,
    image_sizes=(16, 24),
    recipe={"epochs": 1, "sampling": {"name": "sandwich"}},
    data="colours",
    data_fingerprint="0123456789abcdef",
    metrics={"accuracy_top1_largest": 91.5},
)


@pytest.fixture
def supernet(space) -> Supernet:
    supernet = telling(space)
    supernet.info = INFO
    return supernet


@pytest.fixture
def saved(supernet, tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    save_supernet(supernet, path)
    return path


def rewritten(path: Path, tensors: dict[str, Any] | None = None, **metadata: str) -> Path:
    """Writes the file again with some tensors (None removes) and metadata changed."""
    with safe_open(path, framework="pt") as opened:
        kept = dict(opened.metadata())
    state = {**load_file(path), **(tensors or {})}
    save_file({k: v for k, v in state.items() if v is not None}, path, {**kept, **metadata})
    return path


def refusal(path: Path, space=None) -> str:
    with pytest.raises(InputError) as caught:
        load_supernet(path, space)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_supernet_comes_back_as_it_was(supernet, space, saved) -> None:
    loaded = load_supernet(saved, space)
    assert loaded.digest() == supernet.digest()
    assert loaded.info == read_info(saved) == INFO
    assert not loaded.training
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(loaded(x, space.smallest()), supernet(x, space.smallest()))


def test_metadata_are_json_strings(saved) -> None:
    with safe_open(saved, framework="pt") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["metrics"]) == {"accuracy_top1_largest": 91.5}
    assert json.loads(metadata["image_sizes"]) == [16, 24]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.safetensors")
    assert "Is a directory" in refusal(tmp_path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "net.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    assert "is a pickle" in refusal(path)
    torch.save({"a": torch.zeros(1)}, path)
    assert "is a pickle" in refusal(path)
    assert not (tmp_path / "sprung").exists()


def test_a_header_whose_length_looks_like_a_pickle_is_none(supernet, space, tmp_path: Path) -> None:
    """A pickle begins with the byte 0x80, and so may the length of a header."""
    path = tmp_path / "net.safetensors"
    for padding in range(0, 600, 8):
        supernet.info = replace(INFO, data="x" * padding)
        save_supernet(supernet, path)
        if path.read_bytes()[0] == 0x80:
            break
    else:
        pytest.fail("no such header came up")
    assert load_supernet(path, space).digest() == supernet.digest()


@pytest.mark.parametrize("share", [0.0, 0.00005, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(saved, share: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    assert "cut short" in (message := refusal(saved)) or "damaged" in message


@pytest.mark.parametrize("claim", [2**63, 2**40, 17 * 2**20, 10**6])
def test_a_header_that_claims_too_much_is_refused(saved, claim: int) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(claim.to_bytes(8, "little") + whole[8:])
    assert "cut short" in (message := refusal(saved)) or "damaged" in message


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_text("{" * 100)
    assert "not a safetensors file" in refusal(path)
    save_file({"a": torch.zeros(1)}, path)
    assert "not a supernet" in refusal(path)


def test_damaged_metadata_are_refused(saved, space) -> None:
    assert "damaged metadata" in refusal(rewritten(saved, num_classes='"three"'))
    assert "damaged metadata" in refusal(rewritten(saved, num_classes="{"))
    assert "damaged metadata" in refusal(rewritten(saved, num_classes="3", image_sizes="16"))


def test_another_space_is_refused(saved) -> None:
    message = refusal(saved, get_space("ofa-mobilenetv3-w1.0"))
    assert "of space 'demo' with 3 classes, but 'ofa-mobilenetv3-w1.0' with 1000" in message


def test_an_unknown_space_is_refused_with_the_nearest_name(saved) -> None:
    rewritten(saved, space='"demi"')
    with pytest.raises(InputError, match="unknown space 'demi': did you mean 'demo'"):
        load_supernet(saved)


def test_tensors_that_do_not_fit_are_named(saved, space) -> None:
    first = "stem.conv.weight"
    assert f"missing {first}" in refusal(rewritten(saved, {first: None}), space)
    wrong = refusal(rewritten(saved, {first: torch.zeros(1, 2)}), space)
    assert f"{first} is float32[1, 2], not float32[8, 3, 3, 3]" in wrong
    assert "float64" in refusal(rewritten(saved, {first: torch.zeros(8, 3, 3, 3).double()}), space)
    assert "unknown more" in refusal(
        rewritten(saved, {first: torch.zeros(8, 3, 3, 3), "more": torch.zeros(1)}), space
    )


def test_a_file_of_another_size_of_space_names_three_and_counts_the_rest(saved) -> None:
    """The file says `demo`, whose channels are others."""
    assert " more; make it anew" in refusal(saved)


def test_weights_that_are_not_finite_are_refused(saved, space) -> None:
    bad = torch.full((8, 3, 3, 3), float("nan"))
    assert "NaN or infinity in stem.conv.weight" in refusal(
        rewritten(saved, {"stem.conv.weight": bad}), space
    )


def test_an_unwritable_folder_is_refused(supernet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        save_supernet(supernet, tmp_path / "file" / "net.safetensors")
