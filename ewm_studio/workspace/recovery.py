"""Bringing the list of runs in line with the run folders, which hold the truth.

Whatever was killed between a folder and its row, copied in by hand, or logged while the database could not be had, is
taken up when the list is next read. A database that is no longer one is put aside and made again from the folders.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ewm_studio.errors import JobError, UserError
from ewm_studio.workspace.database import SIDE_FILES, Database, put_run, update
from ewm_studio.workspace.files import write_error
from ewm_studio.workspace.history import BEHIND
from ewm_studio.workspace.lock import RunLock
from ewm_studio.workspace.logbook import Logbook, row_count
from ewm_studio.workspace.record import RECORD, as_columns, describe, is_name, is_run, read_record, write_record
from ewm_studio.workspace.salvage import salvage

_UNTAKEN = (UserError, JobError, sqlite3.IntegrityError, OSError)  # left as it is; the rest of the list goes on


@dataclass(frozen=True)
class _Row:
    """What the database says of where a run lies."""

    id: int
    created: float
    binned: bool
    running: bool


class Recovery:
    """The rows and the folders of one workspace."""

    def __init__(self, database: Database, runs: Path, bin: Path) -> None:
        self._database, self._runs, self._bin = database, runs, bin

    def take_up(self) -> None:
        """Bring rows in line with folders, as far as can be written now."""
        if self._database.read_only:
            return
        runs, binned = folders_in(self._runs), folders_in(self._bin)
        rows = {
            name: _Row(id, created, deleted is not None, state == "running")
            for id, name, created, deleted, state in self._database.read(
                "SELECT id, name, created, deleted, state FROM runs"
            )
            if is_name(name)
        }
        for name in runs | binned:
            with contextlib.suppress(*_UNTAKEN):
                folder = (self._runs if name in runs else self._bin) / name
                row = rows.get(name)
                if row is None:
                    self._take(folder, name in runs, rows, runs | binned)
                elif row.binned == (name in runs):
                    self._set(row.id, deleted=None if name in runs else time.time())
                elif (row.running or os.path.exists(folder / BEHIND)) and not RunLock(folder).alive():
                    self._end(folder)

    def _take(self, folder: Path, listed: bool, rows: Mapping[str, _Row], there: set[str]) -> None:
        """A folder that no row names: of a run that was moved, copied in by hand, or forgotten with the database."""
        if not is_run(folder) or (not (folder / RECORD).is_file() and RunLock(folder).alive()):
            return  # no run, or one that is just being made
        deleted = None if listed else time.time()
        record = read_record(folder)
        moved = rows.get(record.get("name", ""))
        if moved is not None and record["name"] not in there and moved.created == record.get("created"):
            self._set(moved.id, name=folder.name, deleted=deleted)
            write_record(folder, folder.name, record)
            return
        self._put(folder, {"deleted": deleted})

    def _end(self, folder: Path) -> None:
        """A run whose process died, or ended or went on while the database could not be had."""
        if not (folder / RECORD).is_file():
            return  # of version 0.1.0: the database knows more
        lock = RunLock(folder)
        if not lock.acquire():
            return
        try:
            self._put(folder, {})
            (folder / BEHIND).unlink(missing_ok=True)
        finally:
            lock.release()

    def take_in(self, folder: Path) -> None:
        """Bring a run that is under way to what its folder holds, as far as can be written now."""
        with contextlib.suppress(*_UNTAKEN):
            self._put(folder, {"state": "running", "finished": None})

    def _put(self, folder: Path, more: Mapping[str, Any]) -> None:
        """Put into the database what a folder holds; rows of which the database has more stay."""
        logged, name = Logbook(folder).read(), folder.name
        stored = self._database.logged(name)
        values = describe(folder, logged if row_count(logged) >= row_count(stored) else stored)
        if values is None:
            return
        columns = {**as_columns(values), **more}
        with self._database.writing(make=True) as connection:
            row = connection.execute("SELECT id FROM runs WHERE name = ?", (name,)).fetchone()
            if row is not None and row_count(stored) >= row_count(logged):
                update(connection, row[0], columns)
            else:
                put_run(connection, name, logged, columns)

    def _set(self, id: int, **values: Any) -> None:
        with self._database.writing() as connection:
            update(connection, id, values)


def rebuild(database: Database, runs: Path, bin: Path) -> Path | None:
    """Put a database aside and make the list again from the run folders; gives where the old one is kept.

    What can still be read of it that a folder lacks, such as the curves of version 0.1.0, is written there first.

    Raises:
        Busy: another process holds it. JobError or UserError: it cannot be moved or made.
    """
    aside = None
    with database.alone():
        if database.exists:
            places = ((runs, folders_in(runs)), (bin, folders_in(bin)))
            salvage(database.path, [place / name for place, names in places for name in sorted(names)])
            aside = _put_aside(database.path)
    Recovery(database, runs, bin).take_up()
    return aside


def folders_in(folder: Path) -> set[str]:
    """Names of the folders in a folder; none where it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_dir()}
    return set()


def _put_aside(database: Path) -> Path:
    """Rename a database and what belongs to it; gives its new place."""
    aside, number = database.with_name(f"{database.name}.{datetime.now():%Y-%m-%d-%H%M%S}"), 1
    while aside.exists():
        number += 1
        aside = database.with_name(f"{database.name}.{datetime.now():%Y-%m-%d-%H%M%S}-{number}")
    try:
        for end in SIDE_FILES:
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{database}{end}", f"{aside}{end}")
        os.replace(database, aside)
    except OSError as error:
        raise write_error(database, error) from error
    return aside
