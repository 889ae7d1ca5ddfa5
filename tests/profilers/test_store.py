import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.errors import InputError
from hwnas.profilers import store as store_module
from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.measurement import Measurement
from hwnas.profilers.store import Store, default_store_path

FINGERPRINT = Fingerprint({"device": "fake", "threads": 1})
OTHER = Fingerprint({"device": "fake", "threads": 2})
ONE = Measurement(
    subject="a",
    device="fake",
    fingerprint=FINGERPRINT.digest,
    kind="measured",
    latency_ms=1.5,
    p95_ms=1.75,
    ci_low_ms=1.4,
    ci_high_ms=1.6,
    samples_ms=(1.5, 1.4, 1.6),
    reasons=("a reason",),
    verdict="unstable",
    canary_ms=(0.1, 0.2),
    conditions={"governor": "performance", "cores": [1]},
    time="2026-01-01T00:00:00+00:00",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "measurements.sqlite"


def test_what_is_added_is_found_again_whole(path: Path) -> None:
    with Store(path) as store:
        store.add([ONE], FINGERPRINT)
    with Store(path) as store:
        assert store.known(FINGERPRINT.digest, ["a", "b"]) == {"a": ONE}
        assert store.of_device(FINGERPRINT.digest) == [ONE]
        assert store.fingerprints() == [FINGERPRINT]


def test_the_newest_row_of_a_subject_counts_and_the_older_is_kept(path: Path) -> None:
    newer = replace(ONE, latency_ms=2.0)
    with Store(path) as store:
        store.add([ONE], FINGERPRINT)
        store.add([newer], FINGERPRINT)
        assert store.known(FINGERPRINT.digest, ["a"]) == {"a": newer}
        assert store.of_device(FINGERPRINT.digest) == [ONE, newer]


def test_devices_with_other_facts_do_not_share(path: Path) -> None:
    with Store(path) as store:
        store.add([ONE], FINGERPRINT)
        assert store.known(OTHER.digest, ["a"]) == {}


def test_more_subjects_than_one_query_holds(path: Path) -> None:
    many = [replace(ONE, subject=f"s{index}") for index in range(1201)]
    with Store(path) as store:
        store.add(many, FINGERPRINT)
        assert len(store.known(FINGERPRINT.digest, [one.subject for one in many])) == 1201


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"\x80\x04pickle"])
def test_a_file_of_another_kind_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or not one") as caught:
        Store(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_damaged_store_is_refused_and_left_alone(path: Path) -> None:
    with Store(path) as store:
        store.add([replace(ONE, subject=f"s{index}") for index in range(200)], FINGERPRINT)
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        Store(path)
    assert path.read_bytes() == content


def test_a_truncated_store_is_refused(path: Path) -> None:
    with Store(path) as store:
        store.add([replace(ONE, subject=f"s{index}") for index in range(200)], FINGERPRINT)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="damaged"):
        Store(path)


def test_somebody_elses_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(InputError, match="something else"):
        Store(path)
    assert path.read_bytes() == content


def test_a_store_of_a_newer_layout_is_refused(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InputError, match=r"layout 99.*update"):
        Store(path)


def as_first_layout(path: Path) -> None:
    """Makes the store what the first hwnas wrote."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE canaries")
        connection.execute("PRAGMA user_version = 1")
    connection.close()


def test_a_store_of_the_first_layout_is_brought_up_and_keeps_its_rows(path: Path) -> None:
    with Store(path) as store:
        store.add([ONE], FINGERPRINT)
    as_first_layout(path)
    with Store(path) as store:
        assert store.of_device(FINGERPRINT.digest) == [ONE]
        assert store.canary_reference_ms(FINGERPRINT.digest, "canary") is None
        store.keep_canary(FINGERPRINT.digest, "canary", 0.25)
    with Store(path) as store:
        assert store.canary_reference_ms(FINGERPRINT.digest, "canary") == 0.25


def test_a_bringing_up_that_fails_leaves_the_store_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store(path).close()
    as_first_layout(path)
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "_STEPS", {2: "CREATE TABLE measurements (x)"})
        with pytest.raises(InputError, match="already exists"):
            Store(path)
    Store(path).close()


def test_the_shortest_time_of_a_canary_is_kept(path: Path) -> None:
    with Store(path) as store:
        store.keep_canary(FINGERPRINT.digest, "canary", 0.25)
        store.keep_canary(FINGERPRINT.digest, "canary", 0.5)
        assert store.canary_reference_ms(FINGERPRINT.digest, "canary") == 0.25
        store.keep_canary(FINGERPRINT.digest, "canary", 0.2)
        assert store.canary_reference_ms(FINGERPRINT.digest, "canary") == 0.2
        assert store.canary_reference_ms(OTHER.digest, "canary") is None
        assert store.canary_reference_ms(FINGERPRINT.digest, "another") is None


def test_a_row_of_the_first_hwnas_is_read(path: Path) -> None:
    old = {
        name: value
        for name, value in ONE.to_json().items()
        if name not in ("raw_latency_ms", "raw_p95_ms", "canary_samples_ms", "left_out", "energy")
        and name != "canary_reference_ms"
    }
    assert Measurement.of_json(old) == ONE


def test_a_row_that_is_not_ours_is_an_error_of_one_line(path: Path) -> None:
    with Store(path) as store:
        store.add([ONE], FINGERPRINT)
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE measurements SET record = '{}'")
        connection.close()
        with pytest.raises(InputError, match="damaged"):
            store.known(FINGERPRINT.digest, ["a"])


def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot make the folder"):
        Store(tmp_path / "file" / "store.sqlite")
    with pytest.raises(InputError, match="cannot use the measurement store"):
        Store(tmp_path)


def test_the_default_place_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWNAS_HOME", "/h")
    assert default_store_path() == Path("/h/measurements.sqlite")
    monkeypatch.delenv("HWNAS_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", "/x")
    assert default_store_path() == Path("/x/hwnas/measurements.sqlite")


_WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from hwnas.profilers.store import Store
from test_store import FINGERPRINT, ONE
for index in range(20):
    with Store(Path(sys.argv[1])) as store:
        store.add([replace(ONE, subject=f"{sys.argv[2]}-{index}-{part}") for part in range(4)], FINGERPRINT)
"""


def test_several_processes_write_at_once_and_nothing_is_lost(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(number)], env=environment)
        for number in range(4)
    ]
    assert [writer.wait() for writer in writers] == [0] * 4
    with Store(path) as store:
        assert len({one.subject for one in store.of_device(FINGERPRINT.digest)}) == 4 * 20 * 4


def test_a_store_that_was_removed_is_not_written_to_in_silence(path: Path) -> None:
    with Store(path) as store:
        store.add([ONE], FINGERPRINT)
        path.unlink()
        with pytest.raises(InputError, match="removed or replaced while it was in use; repeat the command"):
            store.add([ONE], FINGERPRINT)


def test_a_full_disk_takes_nothing_of_what_is_stored(path: Path) -> None:
    with Store(path) as store:
        store.add([ONE], FINGERPRINT)
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        large = replace(ONE, samples_ms=(1.5,) * 10_000)
        with pytest.raises(InputError, match="full; make room and repeat the command"):
            store.add([large], FINGERPRINT)
        assert store.of_device(FINGERPRINT.digest) == [ONE]
        store._connection.execute("PRAGMA max_page_count = 100000")
        store.add([large], FINGERPRINT)
    with Store(path) as store:
        assert len(store.of_device(FINGERPRINT.digest)) == 2
