"""Hostile images and folders of them: refused in one line, and no program is started for them."""

import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from hwnas.data.dealing import FolderSettings
from hwnas.data.image_files import decode
from hwnas.data.imagefolder import imagefolder
from hwnas.errors import InputError

_SETTINGS = FolderSettings(canvas_px=8)
_PGM = b"P2\n2 2\n255\n0 1 2 3\n"


def refused(path: Path, says: str) -> str:
    with pytest.raises(InputError, match=says) as caught:
        decode(path, _SETTINGS)
    return str(caught.value)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_postscript_under_an_images_name_starts_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    # Pillow draws it by Ghostscript, which a search path leads to: here, to a program that tells.
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (programs / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    image = tmp_path / f"a.{ending}"
    image.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) (w) file\nshowpage\n%%EOF\n"
    )
    refused(image, "cannot read image")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [b"GIF89a\x02\x00\x02\x00\x80", b"<svg/>", b"%PDF-1.4", b"\x00" * 99, b"P6"]
)
def test_another_kind_of_file_under_an_images_name_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    refused(tmp_path / "a.jpg", "cannot read image")


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(9500, 9500), (60_000, 60_000), (2**31 - 1, 1), (0, 5)])
def test_an_image_of_more_pixels_than_memory_has_room_for(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "a.png").write_bytes(_png(width, height))
    (tmp_path / "a.ppm").write_bytes(b"P6 %d %d 255\n" % (width, height))
    for name in ("a.png", "a.ppm"):
        refused(tmp_path / name, "must be|must have|cannot read")


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(5):
            (tmp_path / "images" / name / f"{number}.pgm").write_bytes(_PGM)
    return tmp_path / "images"


def test_links_that_lead_round_are_followed_once(classes: Path) -> None:
    plain = imagefolder(classes, _SETTINGS)
    for name in ("round", "again", "here"):
        (classes / "a" / name).symlink_to(classes / "a")
    found = imagefolder(classes, _SETTINGS)
    assert found.fingerprint == plain.fingerprint


def test_links_that_fan_out_are_followed_once(classes: Path) -> None:
    # Two ways from each folder to the next: 2^40 ways to the last.
    started = time.process_time()
    place = classes / "a"
    for number in range(40):
        following = classes.parent / f"further{number}"
        following.mkdir()
        for name in ("x", "y"):
            (place / name).symlink_to(following)
        place = following
    (place / "last.pgm").write_bytes(_PGM)
    imagefolder(classes, _SETTINGS)
    assert time.process_time() - started < 10


def test_folders_deeper_than_python_calls_itself_are_walked(classes: Path) -> None:
    # Really a thousand deep, they could not be removed again by whoever calls itself.
    plain = imagefolder(classes, _SETTINGS)
    (classes / "b" / "/".join("d" * 150)).mkdir(parents=True)
    deep, frame = 0, sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        deep += 1
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(deep + 100)
    try:
        found = imagefolder(classes, _SETTINGS)
    finally:
        sys.setrecursionlimit(limit)
    assert found.fingerprint == plain.fingerprint


def test_an_image_that_never_ends_is_refused(classes: Path, monkeypatch: Any) -> None:
    (classes / "a" / "x.jpg").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="empty"):
        imagefolder(classes, _SETTINGS)
