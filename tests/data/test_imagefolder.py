"""Image folders: who gets which image, how it is decoded, and what is said when one is wrong."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hwnas.data import SPLITS, Dataset, get_dataset
from hwnas.data.dealing import FolderSettings, ImageFile, deal
from hwnas.data.image_files import FolderSplit, decode
from hwnas.data.imagefolder import imagefolder
from hwnas.errors import InputError

SMALL = FolderSettings(canvas_px=12)
Write = Callable[..., Path]


def _names(dataset: Dataset, split: str) -> set[str]:
    found = dataset.split(split)
    assert isinstance(found, FolderSplit)
    return {Path(path).name for path in found.paths}


def _sizes(dataset: Dataset) -> list[int]:
    return [len(dataset.split(name)) for name in SPLITS]


def _refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        imagefolder(path, SMALL)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Layouts


def test_classes_only_are_split_four_ways(tmp_path: Path, write_classes: Write) -> None:
    dataset = imagefolder(write_classes(tmp_path, count=20), SMALL)
    assert dataset.class_names == ("cat", "dog")
    assert _sizes(dataset) == [28, 4, 4, 4]
    for name in SPLITS:
        assert np.bincount(dataset.split(name).labels).tolist() == [len(dataset.split(name)) // 2] * 2


def test_the_first_images_of_a_split_are_of_all_classes(tmp_path: Path, write_classes: Write) -> None:
    """What takes the first n of a split, such as recalibration, must not take one class alone."""
    dataset = imagefolder(write_classes(tmp_path, classes=("ape", "bee", "cat"), count=60), SMALL)
    labels = dataset.split("train").labels
    assert set(labels[:20].tolist()) == {0, 1, 2}
    assert np.bincount(labels[: len(labels) // 2]).min() > len(labels) // 10


def test_labels_follow_the_sorted_class_names(tmp_path: Path, write_classes: Write) -> None:
    dataset = imagefolder(write_classes(tmp_path, classes=("zebra", "ape", "Bee")), SMALL)
    assert dataset.class_names == ("Bee", "ape", "zebra")
    split = dataset.split("train")
    assert isinstance(split, FolderSplit)
    folders = [Path(path).parent.name for path in split.paths]
    assert [dataset.class_names[label] for label in split.labels] == folders


@pytest.mark.parametrize("val", ["val", "valid", "validate", "validation"])
def test_train_and_val(tmp_path: Path, write_classes: Write, val: str) -> None:
    write_classes(tmp_path / "train", count=20)
    write_classes(tmp_path / val, count=6)
    dataset = imagefolder(tmp_path, SMALL)
    assert _sizes(dataset) == [36, 4, 6, 6]
    split = dataset.split("validate")
    assert isinstance(split, FolderSplit)
    assert all(Path(path).parts[-3] == val for path in split.paths)


def test_train_val_and_test(tmp_path: Path, write_classes: Write) -> None:
    for part, count in {"train": 10, "val": 3, "test": 5}.items():
        write_classes(tmp_path / part, count=count)
    assert _sizes(imagefolder(tmp_path, SMALL)) == [18, 2, 6, 10]


def test_train_and_test(tmp_path: Path, write_classes: Write) -> None:
    write_classes(tmp_path / "train", count=10)
    write_classes(tmp_path / "test", count=5)
    assert _sizes(imagefolder(tmp_path, SMALL)) == [16, 2, 2, 10]


def test_train_alone_is_split_as_its_classes_would_be(tmp_path: Path, write_classes: Write) -> None:
    inner = imagefolder(write_classes(tmp_path / "train"), SMALL)
    outer = imagefolder(tmp_path, SMALL)
    assert all(_names(inner, name) == _names(outer, name) for name in SPLITS)
    assert inner.fingerprint == outer.fingerprint


def test_train_may_be_a_class(tmp_path: Path, write_classes: Write) -> None:
    dataset = imagefolder(write_classes(tmp_path, classes=("bus", "train")), SMALL)
    assert dataset.class_names == ("bus", "train")


def test_folders_below_classes_hidden_and_other_files(
    tmp_path: Path, write_classes: Write, write_image: Write
) -> None:
    write_classes(tmp_path, count=4)
    before = imagefolder(tmp_path, SMALL)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / "cat" / "labels.csv").write_text("1")
    (tmp_path / "cat" / "._cat1.png").write_bytes(b"x")
    assert imagefolder(tmp_path, SMALL).fingerprint == before.fingerprint
    write_image(tmp_path / "cat" / "deep" / "er" / "CAT.JPG")
    assert sum(_sizes(imagefolder(tmp_path, SMALL))) == 9


def test_calibrate_is_no_larger_than_needed(tmp_path: Path, write_classes: Write) -> None:
    write_classes(tmp_path, count=30)
    few = FolderSettings(canvas_px=12, calibrate_max=2)
    assert _sizes(imagefolder(tmp_path, few)) == [46, 2, 6, 6]


@given(count=st.integers(4, 80), shares=st.tuples(*[st.floats(0.01, 0.9)] * 3))
@settings(max_examples=60, deadline=None)
def test_dealing_is_complete_disjoint_and_blind_to_order(
    count: int, shares: tuple[float, float, float]
) -> None:
    files = [ImageFile(f"/x/{number}.png", f"{number}.png", 1, 0) for number in range(count)]
    wanted = {name: (share, 1000) for name, share in zip("abc", shares, strict=True)}
    dealt = deal(files, {**wanted, "d": (1.0, 1000)}, Path("x"))
    assert list(dealt) == list("abcd")
    assert all(dealt.values())
    assert sorted(f.name for part in dealt.values() for f in part) == sorted(f.name for f in files)
    assert deal(files[::-1], {**wanted, "d": (1.0, 1000)}, Path("x")) == dealt


def test_fingerprint_is_that_of_names_sizes_and_labels(
    tmp_path: Path, write_classes: Write, write_image: Write
) -> None:
    one, other = write_classes(tmp_path / "one"), write_classes(tmp_path / "two" / "moved")
    # PNG sizes depend on the pixels, so the copy has to be a true one.
    for file in one.rglob("*.png"):
        (other / file.relative_to(one)).write_bytes(file.read_bytes())
    same = imagefolder(one, SMALL).fingerprint
    assert imagefolder(other, SMALL).fingerprint == same
    assert imagefolder(one).fingerprint != same
    made = {same}
    image = other / "cat" / "cat3.png"
    image.write_bytes(image.read_bytes() + b"\0")
    made.add(imagefolder(other, SMALL).fingerprint)
    image.rename(image.with_name("renamed.png"))
    made.add(imagefolder(other, SMALL).fingerprint)
    image.with_name("renamed.png").rename(other / "dog" / "renamed.png")
    made.add(imagefolder(other, SMALL).fingerprint)
    (other / "cat").rename(other / "bat")
    made.add(imagefolder(other, SMALL).fingerprint)
    assert len(made) == 5


# Decoding


def test_decoding_keeps_the_centre_square(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60] = (200, 100, 50)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    image = decode(tmp_path / "wide.png", SMALL)
    assert image.shape == (12, 12, 3)
    assert (image == (200, 100, 50)).all()


def test_decoding_is_that_of_resize_and_centre_crop(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 256 * 320 * 3).reshape(320, 256, 3).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "tall.png")
    settings = FolderSettings()
    wanted = ramp[320 // 2 - 112 : 320 // 2 + 112, 16:240]  # the shorter side is 256 already
    np.testing.assert_array_equal(decode(tmp_path / "tall.png", settings), wanted)


MODES = {
    ".png": "1 L LA P RGBA",
    ".jpg": "L CMYK",
    ".webp": "RGBA",
    ".bmp": "1 L P",
    ".tif": "1 L LA P RGBA CMYK",
}


@pytest.mark.parametrize(
    ("extension", "mode"), [(extension, mode) for extension in MODES for mode in MODES[extension].split()]
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, extension: str) -> None:
    grey = Image.new("L", (20, 20), 255)
    grey.convert("RGBA" if mode == "LA" else "RGB").convert(mode).save(tmp_path / f"i{extension}")
    assert (decode(tmp_path / f"i{extension}", SMALL) > 250).all()


def test_transparent_palette_warns_of_nothing(tmp_path: Path) -> None:
    image = Image.new("P", (20, 20), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    image.save(tmp_path / "p.png", transparency=b"\xff\x80")
    assert (decode(tmp_path / "p.png", SMALL) == (10, 200, 30)).all()


def test_a_thin_image_needs_no_more_memory(tmp_path: Path) -> None:
    Image.new("RGB", (1, 3000), (9, 9, 9)).save(tmp_path / "thin.png")
    assert (decode(tmp_path / "thin.png", FolderSettings()) == 9).all()


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png must have 8 bits per channel"):
        decode(tmp_path / "deep.png", SMALL)


@pytest.mark.parametrize("content", [b"not an image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_unreadable_images_name_the_first_asked_for(
    tmp_path: Path, write_classes: Write, content: bytes
) -> None:
    write_classes(tmp_path, count=12)
    split = imagefolder(tmp_path, SMALL).split("train")
    assert isinstance(split, FolderSplit)
    for index in (5, 2):
        Path(split.paths[index]).write_bytes(content)
    assert split.images([0, 1, 3]).shape == (3, 12, 12, 3)
    with pytest.raises(InputError, match=f"cannot read image {re.escape(split.paths[2])}"):
        split.images([0, 2, 5])


@pytest.mark.parametrize("extension", [".png", ".jpg", ".tif", ".bmp"])
def test_truncated_image(tmp_path: Path, write_image: Write, extension: str) -> None:
    file = write_image(tmp_path / f"cut{extension}", size=(200, 200))
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match=f"cannot read image .*cut{extension}: .*; replace it"):
        decode(file, SMALL)


def test_image_removed_since(tmp_path: Path, write_classes: Write) -> None:
    split = imagefolder(write_classes(tmp_path), SMALL).split("test")
    assert isinstance(split, FolderSplit)
    Path(split.paths[0]).unlink()
    with pytest.raises(InputError, match="cannot read image"):
        split.images([0])


# Every way a folder can be wrong


def test_missing(tmp_path: Path) -> None:
    assert "nowhere does not exist" in _refused(tmp_path / "nowhere")


def test_file_in_place_of_a_folder(tmp_path: Path, write_image: Write) -> None:
    assert "a.png is a file; name the folder" in _refused(write_image(tmp_path / "a.png"))


def test_empty(tmp_path: Path) -> None:
    assert f"{tmp_path} is empty; put the images in" in _refused(tmp_path)


def test_no_class_folders(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert "holds no class folders; put the images in" in _refused(tmp_path)


def test_one_class_only(tmp_path: Path, write_classes: Write) -> None:
    write_classes(tmp_path, classes=("cat",))
    assert "must hold at least two classes, but holds one, 'cat'" in _refused(tmp_path)


def test_too_few_images(tmp_path: Path, write_classes: Write) -> None:
    write_classes(tmp_path, count=3)
    message = _refused(tmp_path)
    assert "cat must hold at least 4 images, one each for train, calibrate, validate, test" in message
    assert "but holds 3; add images" in message


def test_too_few_images_to_halve_val(tmp_path: Path, write_classes: Write) -> None:
    write_classes(tmp_path / "train", count=3)
    write_classes(tmp_path / "val", count=1)
    assert "val/cat must hold at least 2 images, one each for validate, test" in _refused(tmp_path)


def test_class_folder_without_images(tmp_path: Path, write_classes: Write) -> None:
    write_classes(tmp_path)
    (tmp_path / "emu").mkdir()
    assert "emu must hold at least 4 images" in _refused(tmp_path)


def test_unsupported_extensions_only(tmp_path: Path, write_classes: Write) -> None:
    write_classes(tmp_path)
    (tmp_path / "emu").mkdir()
    (tmp_path / "emu" / "photo.heic").write_bytes(b"x")
    message = _refused(tmp_path)
    assert "emu holds no images hwnas can read, only files such as photo.heic" in message
    assert ".jpg" in message


def test_classes_of_val_differ(tmp_path: Path, write_classes: Write) -> None:
    write_classes(tmp_path / "train")
    write_classes(tmp_path / "val", classes=("cat", "emu"))
    message = _refused(tmp_path)
    assert "val must have the same class folders as" in message
    assert "but lacks dog and also has emu" in message


@pytest.mark.parametrize("inside", ["", "train", "val"])
def test_loose_images(tmp_path: Path, write_classes: Write, write_image: Write, inside: str) -> None:
    write_classes(tmp_path / "train")
    write_classes(tmp_path / "val")
    loose = write_image(tmp_path / inside / "loose.png")
    assert f"must lie in a folder for each class, but {loose} does not" in _refused(tmp_path)


def test_only_loose_images(tmp_path: Path, write_image: Write) -> None:
    write_image(tmp_path / "b.png")
    write_image(tmp_path / "a.png")
    assert "a.png does not; move it into the folder of its class" in _refused(tmp_path)


def test_zero_bytes(tmp_path: Path, write_classes: Write) -> None:
    write_classes(tmp_path)
    (tmp_path / "dog" / "dog7.png").write_bytes(b"")
    assert "dog7.png is empty (0 bytes); replace it" in _refused(tmp_path)


def test_link_to_nowhere(tmp_path: Path, write_classes: Write) -> None:
    write_classes(tmp_path)
    (tmp_path / "dog" / "link.png").symlink_to(tmp_path / "gone.png")
    assert "cannot read image" in _refused(tmp_path)
    assert "link.png" in _refused(tmp_path)


def test_val_without_train(tmp_path: Path, write_classes: Write) -> None:
    write_classes(tmp_path / "val")
    write_classes(tmp_path / "test")
    assert "has val/ and test/ but no train/" in _refused(tmp_path)


def test_two_validation_folders(tmp_path: Path, write_classes: Write) -> None:
    for part in ("train", "val", "valid"):
        write_classes(tmp_path / part)
    assert "must have one validation folder, but has val, valid" in _refused(tmp_path)


def test_folders_beside_train(tmp_path: Path, write_classes: Write) -> None:
    for part in ("train", "val", "extra"):
        write_classes(tmp_path / part)
    assert "has train/, but also extra/ beside it" in _refused(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no read bit there")
def test_unreadable_folder(tmp_path: Path, write_classes: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classes(tmp_path)

    def refuse(folder: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    assert f"cannot read folder {tmp_path}: Permission denied" in _refused(tmp_path)


def test_by_name_with_a_home_folder(
    tmp_path: Path, write_classes: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path / "pets")
    monkeypatch.setenv("HOME", str(tmp_path))
    dataset = get_dataset("imagefolder:~/pets")
    assert dataset.canvas_px == 224
    assert dataset.split("train").images([0]).shape == (1, 224, 224, 3)
