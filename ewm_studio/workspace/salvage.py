"""What can still be read of a damaged database and lies in no folder: titles, notes and curves of version 0.1.0."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ewm_studio.errors import JobError, UserError
from ewm_studio.workspace.database import pack_rows
from ewm_studio.workspace.lock import RunLock
from ewm_studio.workspace.logbook import EPISODES, Logbook, row_count
from ewm_studio.workspace.record import FIELDS, NOTE, RECORD, describe, is_name, sensible, write_note, write_record

_UNREADABLE = (sqlite3.Error, ValueError)  # an error that quotes bytes which are no text is the latter


def salvage(database: Path, folders: Sequence[Path]) -> None:
    """Write into the runs' folders what they lack; whoever calls it holds the database's lock.

    Args:
        database: the file, in whatever state.
        folders: of the runs that there are.
    """
    with contextlib.suppress(*_UNREADABLE), contextlib.closing(sqlite3.connect(database)) as connection:
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        connection.execute("PRAGMA writable_schema = ON")  # reads on where a part of the schema makes no sense
        runs = _runs(connection)
        tags = {id: name for id, name in _rows(connection, "SELECT id, name FROM tags", ()) if id != 0}
        for folder in folders:
            if folder.name in runs and not RunLock(folder).alive():
                id, values = runs[folder.name]
                with contextlib.suppress(UserError, JobError, OSError):
                    _complete(folder, values, _logged(connection, id, tags))


def _complete(folder: Path, values: dict[str, Any], stored: dict[str, np.ndarray]) -> None:
    """Write what a folder lacks; what it has is newer than any row."""
    logbook = Logbook(folder)
    if row_count(stored) > row_count(logbook.read()):
        logbook.write(stored)
    if not (folder / RECORD).is_file() and (found := describe(folder, stored)) is not None:
        write_record(folder, folder.name, {**found, **values})
    if not (folder / NOTE).is_file() and (values.get("title") or values.get("note")):
        write_note(folder, values.get("title", ""), values.get("note", ""))


def _runs(connection: sqlite3.Connection) -> dict[str, tuple[int, dict[str, Any]]]:
    """Ids and values of the runs by name; from both ends, since damage in the middle ends the reading."""
    found = {}
    for order in ("ASC", "DESC"):
        sql = f"SELECT id, name, {', '.join(FIELDS)} FROM runs ORDER BY id {order}"
        for id, name, *row in _rows(connection, sql, ()):
            if is_name(name):
                values = dict(zip(FIELDS, row, strict=True))
                with contextlib.suppress(ValueError, TypeError, RecursionError):
                    values["parts"] = json.loads(values["parts"])
                found[name] = (id, sensible(values))
    return found


def _logged(connection: sqlite3.Connection, run: int, tags: dict[int, str]) -> dict[str, np.ndarray]:
    """The rows of a run by tag, each until the first that cannot be read."""
    episodes = "SELECT step, length, seconds, reward FROM episodes WHERE run = ? ORDER BY n"
    metrics = "SELECT step, epoch, seconds, value FROM metrics WHERE run = ? AND tag = ? ORDER BY n"
    found = {EPISODES: list(_rows(connection, episodes, (run,)))}
    found |= {name: list(_rows(connection, metrics, (run, id))) for id, name in tags.items()}
    return {tag: pack_rows(rows) for tag, rows in found.items() if rows}


def _rows(connection: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> Iterator[Any]:
    """The rows of a query until it fails."""
    with contextlib.suppress(*_UNREADABLE):
        yield from connection.execute(sql, values)
