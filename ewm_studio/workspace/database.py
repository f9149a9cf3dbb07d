"""`workspace.sqlite`: the runs of a workspace, their metrics and episodes.

SQLite's own locks on the file are the process's, and the system drops them as soon as anything in the process, a file
dialog say, opens and closes that file. So nothing rests on them: every query and every transaction holds a lock on a
file of its own beside the database, its connection ends with it, and there is no write-ahead log that could outlive
the one or the other.

Rows of `metrics` and `episodes` are plain, for anyone with an SQL prompt; `blocks` repeats every full thousand of them
packed, because turning 30,000 rows into Python objects takes 20 ms and reading them packed about one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ewm_studio.errors import JobError, Misfortune, NoRoom, UserError
from ewm_studio.workspace.files import write_error
from ewm_studio.workspace.lock import locked
from ewm_studio.workspace.migrations import bring_up_to_date, is_up_to_date
from ewm_studio.workspace.sql import transaction

BUSY_SECONDS = 30.0
BLOCK = 1000  # rows of one packed block
EPISODES = 0  # the tag under which blocks of episodes stand
SIDE_FILES = ("-journal", "-wal", "-shm")
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}

# One row of metrics or episodes: (step, epoch or length, seconds, value or reward).
ROW = np.dtype([("step", "<i8"), ("count", "<i8"), ("seconds", "<f8"), ("value", "<f8")])
Row = tuple[int, int, float, float]
_METRIC_COLUMNS = "step, epoch, seconds, value"
_EPISODE_COLUMNS = "step, length, seconds, reward"


class Damaged(UserError, Misfortune):
    """The database is no longer one; the run folders still hold what it knew. `reason` is SQLite's."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path}: expected a workspace database, found: {reason}; bring it back from the run folders with "
            f"ewm-studio runs --rebuild --workspace {path.parent}"
        )
        self.reason = reason


class Busy(JobError, Misfortune):
    """Another process has held the database for longer than one waits."""


class Behind(Exception):
    """The database does not hold the rows that come before those to be added."""


class Database:
    """One `workspace.sqlite`; the first thing that `make` allows to be written makes it.

    Where nothing can be written it is read as it lies there.

    Raises (every method):
        Damaged: the file is no database any more. UserError: it is of another program, of a newer version, or cannot
            be opened. Busy: another process holds it for longer than `BUSY_SECONDS`. JobError: the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._settled: tuple[int, int] | None = None  # the file that was found to be ours, and up to date

    @property
    def exists(self) -> bool:
        """Whether it is there."""
        try:
            return self.path.exists()
        except OSError as error:  # of a folder that may not be looked into
            raise UserError(f"{self.path}: cannot be read ({error.strerror}); choose another workspace") from None

    @property
    def lock(self) -> Path:
        """The file whose lock is held while the database is used."""
        return self.path.with_name(f"{self.path.name}-lock")

    @property
    def read_only(self) -> bool:
        """Whether it is there and nothing can be written."""
        return self.exists and not all(os.access(p, os.W_OK) for p in (self.path, self.path.parent))

    def check(self) -> None:
        """Look whether it is one of ours; an older one is brought up to date."""
        self.read("SELECT 1")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep everyone else from the file, to do with it what SQLite cannot."""
        with locked(self.lock, exclusive=True, patience=BUSY_SECONDS) as held:
            if not held:
                raise Busy(self._busy(BUSY_SECONDS))
            yield

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of one query; none before anything was written."""
        if not self.exists:
            return []
        with self._connected() as connection:
            try:
                return connection.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                if "decode" not in str(error):
                    raise
                connection.text_factory = _text
                return connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def writing(self, make: bool = False, patience: float | None = None) -> Iterator[sqlite3.Connection]:
        """One transaction that writes: all of it lasts, or nothing.

        Args:
            make: make the database where there is none; else that is an error.
            patience: seconds to wait for others, `BUSY_SECONDS` by default.
        """
        if make:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise write_error(self.path.parent, error) from error
        elif not self.exists:
            raise UserError(f"{self.path}: expected a workspace database, found none")
        with self._connected(alone=True, patience=patience) as connection, transaction(connection, "IMMEDIATE"):
            yield connection

    def append(
        self,
        run: str,
        metrics: Mapping[str, Sequence[Row]],
        episodes: Sequence[Row],
        values: Mapping[str, Any],
        before: Mapping[str, int] | None = None,
        patience: float | None = None,
    ) -> None:
        """Add rows and set columns of the run, all in one transaction.

        Args:
            run: its name.
            metrics, episodes: rows in the order they were logged.
            values: columns of its row.
            before: how many rows of each tag, and of episodes under "", come before these.
            patience: as `writing` takes it.

        Raises:
            Behind: the run is not known, or another number of rows is there.
        """
        with self.writing(patience=patience) as connection:
            id = _run_id(connection, run)
            for name, rows in metrics.items():
                _append(connection, id, _tag_id(connection, name), rows, None if before is None else before[name])
            if episodes:
                _append(connection, id, EPISODES, episodes, None if before is None else before[""])
            update(connection, id, values)

    def replace(
        self, run: str, rows: Mapping[str, np.ndarray], values: Mapping[str, Any], patience: float | None = None
    ) -> None:
        """Put a run's row and all that it logged in the place of what there is, in one transaction.

        Args:
            run: its name.
            rows: `ROW` arrays by tag, episodes under "".
            values: columns of its row; all that must have a value, where the run is not known yet.
            patience: as `writing` takes it.
        """
        with self.writing(make=True, patience=patience) as connection:
            put_run(connection, run, rows, values)

    def points(self, run: str, tag: str, patience: float | None = None) -> np.ndarray:
        """All rows of one tag as an array of `ROW`, in the order they were logged."""
        return self._logged(run, "SELECT id FROM tags WHERE name = ? AND id <> 0", tag, patience)

    def episodes(self, run: str, patience: float | None = None) -> np.ndarray:
        """All episodes as an array of `ROW`: `count` is the length, `value` the reward."""
        return self._logged(run, "SELECT ?", EPISODES, patience)

    def tags(self, run: str) -> list[str]:
        """Names of what the run has logged, in alphabetical order."""
        # One index look-up a tag, where DISTINCT would walk every row.
        sql = (
            "SELECT t.name FROM runs r, tags t WHERE r.name = ? AND t.id <> 0 "
            "AND EXISTS (SELECT 1 FROM metrics WHERE run = r.id AND tag = t.id)"
        )
        return sorted(str(row[0]) for row in self.read(sql, (run,)))

    def logged(self, run: str, patience: float | None = None) -> dict[str, np.ndarray]:
        """All that a run has logged: `ROW` arrays by tag, episodes under ""; `patience` as `writing` takes it."""
        episodes = self.episodes(run, patience)
        return {"": episodes, **{tag: self.points(run, tag, patience) for tag in self.tags(run)}}

    def cut(self, run: str, step: int, patience: float | None = None) -> None:
        """Forget what the run logged after a step, because it goes on from there; `patience` as `writing` takes it."""
        with self.writing(patience=patience) as connection:
            id = _run_id(connection, run)
            tags = connection.execute("SELECT id FROM tags WHERE id <> 0").fetchall()
            for (tag,) in [*tags, (EPISODES,)]:
                table, where, _ = _table(tag)
                first = connection.execute(
                    f"SELECT min(n) FROM {table} WHERE {where} AND step > ?", (*_key(id, tag), step)
                ).fetchone()[0]
                if first is not None:
                    connection.execute(f"DELETE FROM {table} WHERE {where} AND n >= ?", (*_key(id, tag), first))
                    connection.execute(
                        "DELETE FROM blocks WHERE run = ? AND tag = ? AND n + ? > ?", (id, tag, BLOCK, first)
                    )

    def _logged(self, run: str, tag_query: str, tag: str | int, patience: float | None) -> np.ndarray:
        """The rows of one tag of a run, by the query that gives the tag's id."""
        if not self.exists:
            return np.empty(0, ROW)
        with self._connected(patience=patience) as connection, transaction(connection, "DEFERRED"):
            found = connection.execute("SELECT id FROM runs WHERE name = ?", (run,)).fetchone()
            of_tag = connection.execute(tag_query, (tag,)).fetchone()
            if found is None or of_tag is None:
                return np.empty(0, ROW)
            return _stored(connection, found[0], of_tag[0])

    @contextlib.contextmanager
    def _connected(self, alone: bool = False, patience: float | None = None) -> Iterator[sqlite3.Connection]:
        """A connection that lives as long as the lock on the file beside the database.

        Readers share it; what a killed process or an earlier version left is put right alone.
        """
        patience, read_only = BUSY_SECONDS if patience is None else patience, self.read_only
        with self._translated(patience), contextlib.ExitStack() as stack:
            for exclusive in (True,) if alone else (False, True):
                if not stack.enter_context(locked(self.lock, exclusive, patience)):
                    raise Busy(self._busy(patience))
                if exclusive or read_only or not self._unfinished():
                    connection = stack.enter_context(contextlib.closing(self._open(patience, read_only)))
                    if exclusive or read_only or self._is_settled(connection):
                        break
                stack.close()
            if alone or self._settled is None:
                if not read_only:
                    _leave_wal(connection, patience)
                bring_up_to_date(connection, self.path, writable=not read_only)
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA foreign_keys = ON")
                self._settled = self._identity()
            yield connection

    def _is_settled(self, connection: sqlite3.Connection) -> bool:
        """Whether nothing has to be changed before it is read."""
        if self._settled is not None and self._settled == self._identity():
            return True
        self._settled = None
        return _journal(connection) == "delete" and is_up_to_date(connection)

    def _identity(self) -> tuple[int, int] | None:
        """The file that lies there now."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _unfinished(self) -> bool:
        """Whether a killed process may have left something that is to be rolled back or folded in."""
        return any(os.path.exists(f"{self.path}{end}") for end in SIDE_FILES)

    def _open(self, patience: float, read_only: bool) -> sqlite3.Connection:
        place = str(self.path)
        if read_only:  # nobody else writes it either, as far as this process can see
            place = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        return sqlite3.connect(place, timeout=patience, isolation_level=None, uri=read_only)

    def _busy(self, patience: float) -> str:
        return (
            f"{self.path}: another process has held it for {patience:.0f} s; close programs that have it open, such as "
            "an older EWM Studio"
        )

    @contextlib.contextmanager
    def _translated(self, patience: float) -> Iterator[None]:
        """SQLite's errors as one line for a person."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.OperationalError as error:
            code = _code(error)
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise NoRoom(f"{self.path}: cannot be written ({error}); free some space, then resume") from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise Busy(self._busy(patience)) from error
            if code in _DAMAGE or "no such table" in str(error) or "no such column" in str(error):
                raise self._damaged(error) from None
            raise UserError(f"{self.path}: expected a workspace that can be read and written, found: {error}") from None
        except sqlite3.DatabaseError as error:
            if _code(error) in _DAMAGE:
                raise self._damaged(error) from None
            raise UserError(f"{self.path}: expected a workspace database, found: {error}") from None
        except UnicodeDecodeError as error:  # SQLite quotes what it found
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> Damaged:
        return Damaged(self.path, str(error))


def put_run(
    connection: sqlite3.Connection, run: str, rows: Mapping[str, np.ndarray], values: Mapping[str, Any]
) -> None:
    """Put a run's row and all that it logged in the place of what there is: see `Database.replace`."""
    if connection.execute("SELECT 1 FROM runs WHERE name = ?", (run,)).fetchone() is None:
        given = {"name": run, **values}
        columns, marks = ", ".join(given), ", ".join("?" * len(given))
        connection.execute(f"INSERT INTO runs ({columns}) VALUES ({marks})", tuple(given.values()))
    id = _run_id(connection, run)
    update(connection, id, values)
    for table in ("metrics", "episodes", "blocks"):
        connection.execute(f"DELETE FROM {table} WHERE run = ?", (id,))
    for name, array in rows.items():
        if len(array):
            _append(connection, id, _tag_id(connection, name) if name else EPISODES, array.tolist())


def update(connection: sqlite3.Connection, run: int, values: Mapping[str, Any]) -> None:
    """Set columns of a run; the names come from our own code."""
    if values:
        columns = ", ".join(f"{name} = ?" for name in values)
        connection.execute(f"UPDATE runs SET {columns} WHERE id = ?", (*values.values(), run))


def _run_id(connection: sqlite3.Connection, run: str) -> int:
    found = connection.execute("SELECT id FROM runs WHERE name = ?", (run,)).fetchone()
    if found is None:
        raise Behind(run)
    return found[0]


def _append(connection: sqlite3.Connection, run: int, tag: int, rows: Sequence[Row], before: int | None = None) -> None:
    """Add rows at the end of one tag, after so many others where that is known, and pack the blocks they fill."""
    table, where, columns = _table(tag)
    key = _key(run, tag)
    last = connection.execute(f"SELECT max(n) FROM {table} WHERE {where}", key).fetchone()[0]
    first = 0 if last is None else last + 1
    if before not in (None, first):
        raise Behind(run)
    marks = ", ".join("?" * (len(key) + 5))
    names = "run, tag, n" if tag != EPISODES else "run, n"
    connection.executemany(
        f"INSERT INTO {table} ({names}, {columns}) VALUES ({marks})",
        [(*key, first + i, *row) for i, row in enumerate(rows)],
    )
    for start in range(first // BLOCK * BLOCK, (first + len(rows)) // BLOCK * BLOCK, BLOCK):
        full = connection.execute(
            f"SELECT {columns} FROM {table} WHERE {where} AND n >= ? AND n < ? ORDER BY n", (*key, start, start + BLOCK)
        ).fetchall()
        data = pack_rows(full).tobytes()
        connection.execute("INSERT INTO blocks (run, tag, n, data) VALUES (?, ?, ?, ?)", (run, tag, start, data))


def _table(tag: int) -> tuple[str, str, str]:
    """The table a tag's rows stand in, how to find them, and the columns in the order of `ROW`."""
    if tag == EPISODES:
        return "episodes", "run = ?", _EPISODE_COLUMNS
    return "metrics", "run = ? AND tag = ?", _METRIC_COLUMNS


def _key(run: int, tag: int) -> tuple[int, ...]:
    return (run,) if tag == EPISODES else (run, tag)


def _stored(connection: sqlite3.Connection, run: int, tag: int) -> np.ndarray:
    """The rows of one tag: whole blocks packed, the rest row by row. Blocks that make no sense are not needed."""
    table, where, columns = _table(tag)
    packed = connection.execute(
        "SELECT n, data FROM blocks WHERE run = ? AND tag = ? ORDER BY n", (run, tag)
    ).fetchall()
    blocks: list[bytes] = []
    for n, data in packed:
        if n != len(blocks) * BLOCK or not isinstance(data, bytes) or len(data) != BLOCK * ROW.itemsize:
            break
        blocks.append(data)
    rest = connection.execute(
        f"SELECT {columns} FROM {table} WHERE {where} AND n >= ? ORDER BY n", (*_key(run, tag), len(blocks) * BLOCK)
    ).fetchall()
    return np.concatenate([np.frombuffer(b"".join(blocks), ROW), pack_rows(rest)])


def pack_rows(rows: list[Any]) -> np.ndarray:
    """Rows as an array; SQLite keeps NaN as NULL. Rows that are no numbers are left out."""
    try:
        return np.array([(s, c, t, np.nan if v is None else v) for s, c, t, v in rows], ROW)
    except (OverflowError, TypeError, ValueError):
        return np.array([row for row in rows if _is_row(row)], ROW)


def _is_row(row: Any) -> bool:
    whole = all(isinstance(value, int) and abs(value) < 2**63 for value in row[:2])
    return whole and all(isinstance(value, int | float) for value in row[2:])


def _tag_id(connection: sqlite3.Connection, name: str) -> int:
    connection.execute("INSERT OR IGNORE INTO tags (name) VALUES (?)", (name,))
    return connection.execute("SELECT id FROM tags WHERE name = ?", (name,)).fetchone()[0]


def _text(data: bytes) -> str:
    """Text as it is kept; a byte that is none costs itself, not the query."""
    return data.decode("utf-8", "replace")


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _journal(connection: sqlite3.Connection) -> str:
    return connection.execute("PRAGMA journal_mode").fetchone()[0]


def _leave_wal(connection: sqlite3.Connection, patience: float) -> None:
    """Fold in and turn off the write-ahead log of earlier versions; the switch does not wait for others by itself."""
    if _journal(connection) == "delete":
        return
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
