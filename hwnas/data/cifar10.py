"""`cifar10:PATH`: CIFAR-10 in its binary version, as unpacked from `cifar-10-binary.tar.gz`.

Each of `data_batch_1.bin` .. `data_batch_5.bin` and `test_batch.bin` holds records of 3,073 bytes:
a label 0..9, then 1,024 red, 1,024 green and 1,024 blue values in row order. The batches are in
random order, so splits are ranges.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.data.dataset import ArraySplit, Dataset, PerChannel, Split, fingerprint
from hwnas.errors import InputError

_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST_FILE = "test_batch.bin"
_FOLDER = "cifar-10-batches-bin"
_SIDE_PX = 32
_RECORD_BYTES = 1 + 3 * _SIDE_PX**2
_VALIDATE_SHARE = 0.10  # of the training batches: 5,000 of 50,000
_CALIBRATE_SHARE = 0.04  # 2,000 of 50,000
_MEAN: PerChannel = (0.4914, 0.4822, 0.4465)  # of the training images
_STD: PerChannel = (0.2470, 0.2435, 0.2616)

Records = NDArray[np.uint8]


def cifar10(path: Path) -> Dataset:
    """Returns CIFAR-10 from a folder; all of it is read (184 MB) and kept in memory.

    Of the training batches the last tenth is `validate`, the 4 % before it `calibrate`, the rest
    `train`; `test_batch.bin` is `test`. Files of fewer records than the real ones do too, as long
    as the five training batches are of one size.

    Args:
        path: the folder `cifar-10-batches-bin`, or the folder that holds it.

    Raises:
        InputError: files are missing, truncated, not of this format, or the Python (pickle)
            version.
    """
    folder = _find_folder(path)
    batches = [_read(folder / name) for name in _TRAIN_FILES]
    for name, batch in zip(_TRAIN_FILES, batches, strict=True):
        if len(batch) != max(map(len, batches)):
            raise InputError(
                f"{folder / name} holds {len(batch)} records where another training batch holds "
                f"{max(map(len, batches))}; it is truncated: unpack the archive again"
            )
    train, test = np.concatenate(batches), _read(folder / _TEST_FILE)
    num_validate = max(1, round(_VALIDATE_SHARE * len(train)))
    num_calibrate = max(1, round(_CALIBRATE_SHARE * len(train)))
    num_train = len(train) - num_calibrate - num_validate
    records = {
        "train": train[:num_train],
        "calibrate": train[num_train : num_train + num_calibrate],
        "validate": train[num_train + num_calibrate :],
        "test": test,
    }

    @cache
    def make_split(name: str) -> Split:
        own = records[name]
        return ArraySplit(
            labels=own[:, 0].astype(np.int64),
            mean=_MEAN,
            std=_STD,
            pixels=own[:, 1:].reshape(-1, 3, _SIDE_PX, _SIDE_PX).transpose(0, 2, 3, 1),
        )

    return Dataset(
        name=f"cifar10:{path}",
        class_names=_CLASSES,
        canvas_px=_SIDE_PX,
        fingerprint=fingerprint(
            {"format": "cifar10", "calibrate": num_calibrate, "validate": num_validate},
            train.data.cast("B"),
            test.data.cast("B"),
        ),
        mean=_MEAN,
        std=_STD,
        make_split=make_split,
    )


def _find_folder(path: Path) -> Path:
    """Returns the folder that holds the binary files, or raises with what is there instead."""
    wanted = (*_TRAIN_FILES, _TEST_FILE)
    if path.is_file():
        raise InputError(
            f"cifar10 needs a folder, but {path} is a file; unpack cifar-10-binary.tar.gz and name "
            f"the folder {_FOLDER}"
        )
    if not path.is_dir():
        raise InputError(f"cifar10 folder {path} does not exist; name the folder {_FOLDER}")
    folder = path / _FOLDER if (path / _FOLDER).is_dir() else path
    missing = [name for name in wanted if not (folder / name).is_file()]
    if not missing:
        return folder
    pickled = (path / "cifar-10-batches-py", path / "data_batch_1")
    if len(missing) == len(wanted) and any(place.exists() for place in pickled):
        raise InputError(
            f"{path} holds the Python version of CIFAR-10, which is made of pickles, and reading a "
            f"pickle can run any code; get the binary version, cifar-10-binary.tar.gz"
        )
    raise InputError(
        f"{folder} lacks {', '.join(missing)}; name the folder {_FOLDER} as unpacked from "
        f"cifar-10-binary.tar.gz"
    )


def _read(file: Path) -> Records:
    """Returns the records of a file, uint8 [N, 3073], with N >= 1 and labels 0..9."""
    try:
        content = np.fromfile(file, dtype=np.uint8)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    if not len(content) or len(content) % _RECORD_BYTES:
        raise InputError(
            f"{file} must hold whole records of {_RECORD_BYTES} bytes, but is {len(content)} bytes "
            f"long; it is truncated or not CIFAR-10: unpack the archive again"
        )
    records = content.reshape(-1, _RECORD_BYTES)
    wrong = np.flatnonzero(records[:, 0] >= len(_CLASSES))
    if len(wrong):
        raise InputError(
            f"{file} must have labels 0..9, but record {wrong[0]} has {records[wrong[0], 0]}; the "
            f"file is damaged or not CIFAR-10 (CIFAR-100 is another format)"
        )
    return records
