"""The measurement store: an SQLite file that several processes may use at once and no kill tears."""

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType

from hwnas.errors import InputError
from hwnas.files import checked, parse_json
from hwnas.line_file import check_still_there
from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.machine.folders import data_home
from hwnas.profilers.measurement import Measurement

# "hwnm", so that a file tells whose it is.
_APPLICATION_ID = 0x68776E6D
_SCHEMA_VERSION = 2
_BUSY_S = 60.0
_KEYS_A_QUERY = 500

_SCHEMA = """
CREATE TABLE fingerprints (
    digest TEXT PRIMARY KEY,
    facts TEXT NOT NULL
);
CREATE TABLE measurements (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL REFERENCES fingerprints (digest),
    subject TEXT NOT NULL,
    device TEXT NOT NULL,
    kind TEXT NOT NULL,
    verdict TEXT NOT NULL,
    latency_ms REAL NOT NULL,
    p95_ms REAL NOT NULL,
    energy_mj REAL,
    time TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX by_subject ON measurements (fingerprint, subject, id)
"""

_OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT 100"

# What each layout added; a store of an older one takes the steps it lacks when it is opened.
_STEPS = {
    2: """
CREATE TABLE canaries (
    fingerprint TEXT NOT NULL,
    subject TEXT NOT NULL,
    reference_ms REAL NOT NULL,
    time TEXT NOT NULL,
    PRIMARY KEY (fingerprint, subject)
)
"""
}


def default_store_path() -> Path:
    """Returns where measurements are kept: in $HWNAS_HOME, else in the user's data folder."""
    return data_home() / "measurements.sqlite"


class Store:
    """Measurements by device fingerprint and subject; rows are added, never changed.

    Use it as a context manager, or `close` it. Each thread needs a store of its own.
    """

    def __init__(self, path: Path) -> None:
        """Opens the store, made if there is none.

        Raises:
            InputError: the file is corrupt, is something else (it is left as it is), is of a newer
                hwnas, or cannot be written.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot make the folder of the measurement store {path}: {error.strerror}"
            ) from error
        self._connection = self._opened()
        self._opened_as = path.stat()

    def close(self) -> None:
        """Closes the file; what was added is there already."""
        self._connection.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, measurements: Iterable[Measurement], fingerprint: Fingerprint) -> None:
        """Adds measurements of one device: all of them or, after a kill, none.

        Raises:
            InputError: the store cannot be written.
        """
        rows = [_row(one) for one in measurements]
        assert all(row[0] == fingerprint.digest for row in rows)
        facts = json.dumps(dict(fingerprint.facts), sort_keys=True)
        with self._translated(), self._transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO fingerprints VALUES (?, ?)", (fingerprint.digest, facts)
            )
            connection.executemany(
                "INSERT INTO measurements (fingerprint, subject, device, kind, verdict, latency_ms, p95_ms,"
                " energy_mj, time, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def known(self, fingerprint: str, subjects: Sequence[str]) -> dict[str, Measurement]:
        """Returns the newest measurement of each subject that has one on this device.

        Raises:
            InputError: the store cannot be read.
        """
        found: dict[str, Measurement] = {}
        for start in range(0, len(subjects), _KEYS_A_QUERY):
            keys = subjects[start : start + _KEYS_A_QUERY]
            marks = ",".join("?" * len(keys))
            for one in self._select(
                f"WHERE fingerprint = ? AND subject IN ({marks}) ORDER BY id", (fingerprint, *keys)
            ):
                found[one.subject] = one
        return found

    def of_device(self, fingerprint: str) -> list[Measurement]:
        """Returns every measurement of a device, oldest first; errors as `known`."""
        return list(self._select("WHERE fingerprint = ? ORDER BY id", (fingerprint,)))

    def fingerprints(self) -> list[Fingerprint]:
        """Returns the fingerprints of all devices with measurements here; errors as `known`."""
        with self._translated():
            rows = self._connection.execute("SELECT facts FROM fingerprints ORDER BY digest").fetchall()
            return [checked(Fingerprint, {"facts": parse_json(facts)}) for (facts,) in rows]

    def canary_reference_ms(self, fingerprint: str, canary: str) -> float | None:
        """Returns the canary's time on a device at full speed; None where it was never measured.

        Args:
            fingerprint: of the device.
            canary: its subject key.

        Raises:
            InputError: the store cannot be read.
        """
        with self._translated():
            row = self._connection.execute(
                "SELECT reference_ms FROM canaries WHERE fingerprint = ? AND subject = ?",
                (fingerprint, canary),
            ).fetchone()
            if row is not None and not (isinstance(row[0], float) and 0 < row[0] < math.inf):
                raise ValueError(f"the canary's time is {str(row[0])[:40]!r}")
        return None if row is None else float(row[0])

    def keep_canary(self, fingerprint: str, canary: str, reference_ms: float) -> None:
        """Keeps the canary's time on a device, unless a shorter one is known.

        Raises:
            InputError: the store cannot be written.
        """
        with self._translated(), self._transaction() as connection:
            connection.execute(
                "INSERT INTO canaries VALUES (?, ?, ?, datetime('now')) ON CONFLICT DO UPDATE SET "
                "reference_ms = excluded.reference_ms WHERE excluded.reference_ms < reference_ms",
                (fingerprint, canary, reference_ms),
            )

    def _select(self, where: str, values: tuple[str, ...]) -> Iterator[Measurement]:
        with self._translated():
            rows = self._connection.execute(f"SELECT record FROM measurements {where}", values).fetchall()
            for (record,) in rows:
                try:
                    yield Measurement.of_json(parse_json(record))
                except InputError as error:
                    raise ValueError(error) from error

    def _opened(self) -> sqlite3.Connection:
        with self._translated():
            # Transactions are begun by hand: Python's own way commits behind one's back.
            connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
            try:
                self._check_or_create(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _check_or_create(self, connection: sqlite3.Connection) -> None:
        if _number(connection, "application_id") != _APPLICATION_ID:
            self._create(connection)
        self._check_schema(connection)
        version = _number(connection, "user_version")
        if version > _SCHEMA_VERSION:
            raise InputError(
                f"the measurement store {self.path} has layout {version}, but this hwnas reads "
                f"{_SCHEMA_VERSION}; update hwnas or name another file"
            )
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        if version < _SCHEMA_VERSION:
            self._bring_up(connection)
        connection.execute("PRAGMA journal_mode = WAL")

    def _check_schema(self, connection: sqlite3.Connection) -> None:
        """Refuses tables, views and triggers that are not ours: reading them may run without end."""
        with closing(sqlite3.connect(":memory:")) as ours:
            for statement in (*_SCHEMA.split(";"), *_STEPS.values()):
                ours.execute(statement)
            known = set(ours.execute(_OBJECTS).fetchall())
        others = [row for row in connection.execute(_OBJECTS) if row not in known]
        if others:
            raise sqlite3.DatabaseError(f"its {others[0][0]} {str(others[0][1])[:40]!r} is not ours")

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have made it while this one waited for the lock.
        if _number(connection, "application_id") != _APPLICATION_ID:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables or _number(connection, "application_id"):
                connection.execute("ROLLBACK")
                raise InputError(
                    f"{self.path} is an SQLite file of something else; name another measurement store"
                )
            for statement in (*_SCHEMA.split(";"), *_STEPS.values()):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        connection.execute("COMMIT")

    def _bring_up(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have done it while this one waited for the lock.
            for version in range(_number(connection, "user_version") + 1, _SCHEMA_VERSION + 1):
                connection.execute(_STEPS[version])
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        check_still_there(self.path, self._opened_as)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            # On a full disk SQLite has rolled back by itself.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns SQLite's errors, and rows that are not ours, into one line."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise InputError(
                f"cannot use the measurement store {self.path}: {error}; {_advice(str(error))}"
            ) from error
        except OSError as error:
            raise InputError(
                f"cannot use the measurement store {self.path}: {error.strerror}; repeat the command, which "
                "measures what the store then lacks"
            ) from error
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"the measurement store {self.path} is damaged or not one ({error}); "
                "it was left as it is: move it away or name another"
            ) from error


def _advice(message: str) -> str:
    """What to do about an error of SQLite's."""
    if "locked" in message:
        return (
            "another process holds it: repeat the command when that has ended, or name another with --store"
        )
    if "full" in message:
        return "make room and repeat the command"
    return "name one that can be written to with --store, or set HWNAS_HOME"


def _row(one: Measurement) -> tuple[str | float | None, ...]:
    record = json.dumps(one.to_json(), separators=(",", ":"))
    return (
        *(one.fingerprint, one.subject, one.device, one.kind, one.verdict),
        *(one.latency_ms, one.p95_ms, one.energy_mj, one.time, record),
    )


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
