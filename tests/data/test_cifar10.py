"""CIFAR-10's binary files: read exactly, and refused with a clear line when they are wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwnas.data import SPLITS, get_dataset
from hwnas.data.cifar10 import cifar10
from hwnas.errors import InputError

Write = Callable[..., Path]


def test_reads_labels_and_pixels_in_the_documented_order(tmp_path: Path, write_cifar10: Write) -> None:
    write_cifar10(tmp_path)
    record = np.zeros(3073, np.uint8)
    record[0], record[1 + 5], record[1 + 1024 + 32], record[1 + 2048 + 1023] = 7, 10, 20, 30
    (tmp_path / "test_batch.bin").write_bytes(record.tobytes())
    test = cifar10(tmp_path).split("test")
    assert test.labels.tolist() == [7]
    image = test.images([0])[0]
    assert (image[0, 5, 0], image[1, 0, 1], image[31, 31, 2]) == (10, 20, 30)
    assert image.sum() == 60


def test_splits_are_ranges_of_the_training_batches(tmp_path: Path, write_cifar10: Write) -> None:
    dataset = cifar10(write_cifar10(tmp_path, records=100))
    assert [len(dataset.split(name)) for name in SPLITS] == [430, 20, 50, 100]
    raw = np.concatenate(
        [np.fromfile(tmp_path / f"data_batch_{i}.bin", np.uint8)[::3073] for i in range(1, 6)]
    )
    carved = [dataset.split(name).labels for name in ("train", "calibrate", "validate")]
    np.testing.assert_array_equal(np.concatenate(carved), raw)


def test_finds_the_folder_inside(tmp_path: Path, write_cifar10: Write) -> None:
    write_cifar10(tmp_path / "cifar-10-batches-bin")
    inside = get_dataset(f"cifar10:{tmp_path / 'cifar-10-batches-bin'}")
    outside = get_dataset(f"cifar10:{tmp_path}")
    assert inside.fingerprint == outside.fingerprint
    assert outside.class_names[6] == "frog"


def test_fingerprint_follows_the_contents(tmp_path: Path, write_cifar10: Write) -> None:
    before = cifar10(write_cifar10(tmp_path)).fingerprint
    file = tmp_path / "data_batch_3.bin"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    assert cifar10(tmp_path).fingerprint != before


def test_missing_files_are_named(tmp_path: Path, write_cifar10: Write) -> None:
    write_cifar10(tmp_path)
    (tmp_path / "data_batch_2.bin").unlink()
    (tmp_path / "test_batch.bin").unlink()
    with pytest.raises(InputError, match=r"lacks data_batch_2\.bin, test_batch\.bin; name"):
        cifar10(tmp_path)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        cifar10(tmp_path / "nowhere")


def test_archive_in_place_of_a_folder(tmp_path: Path) -> None:
    archive = tmp_path / "cifar-10-binary.tar.gz"
    archive.write_bytes(b"x")
    with pytest.raises(InputError, match="is a file; unpack"):
        cifar10(archive)


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-py"])
def test_pickles_are_refused(tmp_path: Path, inside: str) -> None:
    (tmp_path / inside).mkdir(exist_ok=True)
    (tmp_path / inside / "data_batch_1").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(InputError, match=r"made of pickles.*get the binary version"):
        cifar10(tmp_path)


@pytest.mark.parametrize("name", ["data_batch_4.bin", "test_batch.bin"])
@pytest.mark.parametrize("length", [0, 100, 3073 * 20 - 1])
def test_truncated_file(tmp_path: Path, write_cifar10: Write, name: str, length: int) -> None:
    file = write_cifar10(tmp_path) / name
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(InputError, match=f"{name} must hold whole records.*{length} bytes long"):
        cifar10(tmp_path)


def test_truncated_at_a_record(tmp_path: Path, write_cifar10: Write) -> None:
    file = write_cifar10(tmp_path) / "data_batch_4.bin"
    file.write_bytes(file.read_bytes()[: 3073 * 12])
    with pytest.raises(InputError, match=r"data_batch_4\.bin holds 12 records .* 20; it is trunc"):
        cifar10(tmp_path)


def test_label_out_of_range(tmp_path: Path, write_cifar10: Write) -> None:
    file = write_cifar10(tmp_path) / "data_batch_5.bin"
    content = bytearray(file.read_bytes())
    content[3 * 3073] = 10
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"data_batch_5\.bin must have labels .* record 3 has 10"):
        cifar10(tmp_path)
