"""`workspace.sqlite`: the runs of a workspace, their metrics and episodes.

Write-ahead logging lets the window read while training processes write. Rows of `metrics` and `episodes` are plain,
for anyone with an SQL prompt; `blocks` repeats every full thousand of them packed, because turning 30,000 rows into
Python objects takes 20 ms and reading them packed about one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ewm_studio.errors import JobError, UserError
from ewm_studio.workspace.files import write_error
from ewm_studio.workspace.migrations import bring_up_to_date
from ewm_studio.workspace.sql import transaction

BUSY_SECONDS = 30.0
BLOCK = 1000  # rows of one packed block
EPISODES = 0  # the tag under which blocks of episodes stand

# One row of metrics or episodes: (step, epoch or length, seconds, value or reward).
ROW = np.dtype([("step", "<i8"), ("count", "<i8"), ("seconds", "<f8"), ("value", "<f8")])
Row = tuple[int, int, float, float]
_METRIC_COLUMNS = "step, epoch, seconds, value"
_EPISODE_COLUMNS = "step, length, seconds, reward"


class Database:
    """Connections to one `workspace.sqlite`, one for each thread that asks; the first thing written makes it.

    Where nothing can be written it is read as it lies there.

    Raises (every method):
        UserError: the file is damaged, of another program, of a newer version, or cannot be opened.
        JobError: the disk is full, or another process holds the file for longer than half a minute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        if self._exists():
            self._connection()

    def _exists(self) -> bool:
        return hasattr(self._local, "connection") or self.path.exists()

    @property
    def read_only(self) -> bool:
        """Whether it is there and nothing can be written."""
        return self.path.exists() and not all(os.access(p, os.W_OK) for p in (self.path, self.path.parent))

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of one query; none before anything was written."""
        if not self._exists():
            return []
        with self._translated():
            return self._connection().execute(sql, values).fetchall()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that writes: all of it lasts, or nothing."""
        with self._translated(), transaction(self._connection(), "IMMEDIATE") as connection:
            yield connection

    def append(self, run: int, metrics: dict[str, list[Row]], episodes: list[Row], counters: dict[str, int]) -> None:
        """Add rows and set the run's counters, all in one transaction."""
        with self.writing() as connection:
            for name, rows in metrics.items():
                _append(connection, run, _tag_id(connection, name), rows)
            if episodes:
                _append(connection, run, EPISODES, episodes)
            update(connection, run, counters)

    def points(self, run: int, tag: str) -> np.ndarray:
        """All rows of one tag as an array of `ROW`, in the order they were logged."""
        found = self.read("SELECT id FROM tags WHERE name = ? AND id <> 0", (tag,))
        return self._rows(run, found[0][0]) if found else np.empty(0, ROW)

    def episodes(self, run: int) -> np.ndarray:
        """All episodes as an array of `ROW`: `count` is the length, `value` the reward."""
        return self._rows(run, EPISODES)

    def tags(self, run: int) -> list[str]:
        """Names of what the run has logged, in alphabetical order."""
        # One index look-up a tag, where DISTINCT would walk every row.
        sql = "SELECT name FROM tags t WHERE id <> 0 AND EXISTS (SELECT 1 FROM metrics WHERE run = ? AND tag = t.id)"
        return sorted(row[0] for row in self.read(sql, (run,)))

    def cut(self, run: int, step: int) -> None:
        """Forget what the run logged after a step, because it goes on from there."""
        with self.writing() as connection:
            tags = connection.execute("SELECT id FROM tags WHERE id <> 0").fetchall()
            for (tag,) in [*tags, (EPISODES,)]:
                table, where, _ = _table(tag)
                first = connection.execute(
                    f"SELECT min(n) FROM {table} WHERE {where} AND step > ?", (*_key(run, tag), step)
                ).fetchone()[0]
                if first is not None:
                    connection.execute(f"DELETE FROM {table} WHERE {where} AND n >= ?", (*_key(run, tag), first))
                    connection.execute(
                        "DELETE FROM blocks WHERE run = ? AND tag = ? AND n + ? > ?", (run, tag, BLOCK, first)
                    )

    def close(self) -> None:
        """Close the connections of every thread; the database opens again when it is next used."""
        with self._lock:
            connections, self._all = self._all, []
            self._local = threading.local()
        for connection in connections:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _rows(self, run: int, tag: int) -> np.ndarray:
        if not self._exists():
            return np.empty(0, ROW)
        table, where, columns = _table(tag)
        connection = self._connection()
        with self._translated(), transaction(connection, "DEFERRED"):
            blocks = connection.execute(
                "SELECT data FROM blocks WHERE run = ? AND tag = ? ORDER BY n", (run, tag)
            ).fetchall()
            rest = connection.execute(
                f"SELECT {columns} FROM {table} WHERE {where} AND n >= ? ORDER BY n",
                (*_key(run, tag), len(blocks) * BLOCK),
            ).fetchall()
        return np.concatenate([np.frombuffer(b"".join(b[0] for b in blocks), ROW), _pack(rest)])

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with self._translated():
                connection = self._open()
            self._local.connection = connection
            with self._lock:
                self._all.append(connection)
        return connection

    def _open(self) -> sqlite3.Connection:
        # The lock on threads is lifted only so that `close` may be called from any of them.
        place, read_only = str(self.path), self.read_only
        if read_only:  # without the files that write-ahead logging keeps beside it
            place = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
        else:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise write_error(self.path.parent, error) from error
        connection = sqlite3.connect(
            place, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=read_only
        )
        try:
            if not read_only:
                _use_wal(connection)
            connection.execute("PRAGMA synchronous = NORMAL")
            bring_up_to_date(connection, self.path, writable=not read_only)
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's errors as one line for a person."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.OperationalError as error:
            code = (error.sqlite_errorcode or 0) & 0xFF if hasattr(error, "sqlite_errorcode") else 0
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise JobError(f"{self.path}: cannot be written ({error}); free some space, then resume") from error
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise JobError(f"{self.path}: another process has held it for {BUSY_SECONDS:.0f} s") from error
            raise UserError(f"{self.path}: expected a workspace that can be read and written, found: {error}") from None
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.path}: expected a workspace database, found: {error}") from None


def update(connection: sqlite3.Connection, run: int, values: dict[str, Any]) -> None:
    """Set columns of a run; the names come from our own code."""
    if values:
        columns = ", ".join(f"{name} = ?" for name in values)
        connection.execute(f"UPDATE runs SET {columns} WHERE id = ?", (*values.values(), run))


def _append(connection: sqlite3.Connection, run: int, tag: int, rows: list[Row]) -> None:
    """Add rows at the end of one tag, and pack the blocks they fill."""
    table, where, columns = _table(tag)
    key = _key(run, tag)
    last = connection.execute(f"SELECT max(n) FROM {table} WHERE {where}", key).fetchone()[0]
    first = 0 if last is None else last + 1
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
        data = _pack(full).tobytes()
        connection.execute("INSERT INTO blocks (run, tag, n, data) VALUES (?, ?, ?, ?)", (run, tag, start, data))


def _table(tag: int) -> tuple[str, str, str]:
    """The table a tag's rows stand in, how to find them, and the columns in the order of `ROW`."""
    if tag == EPISODES:
        return "episodes", "run = ?", _EPISODE_COLUMNS
    return "metrics", "run = ? AND tag = ?", _METRIC_COLUMNS


def _key(run: int, tag: int) -> tuple[int, ...]:
    return (run,) if tag == EPISODES else (run, tag)


def _pack(rows: list[Any]) -> np.ndarray:
    """Rows as an array; SQLite keeps NaN as NULL."""
    return np.array([(s, c, t, np.nan if v is None else v) for s, c, t, v in rows], ROW)


def _tag_id(connection: sqlite3.Connection, name: str) -> int:
    connection.execute("INSERT OR IGNORE INTO tags (name) VALUES (?)", (name,))
    return connection.execute("SELECT id FROM tags WHERE name = ?", (name,)).fetchone()[0]


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn on write-ahead logging; the switch does not wait for other processes by itself."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
