"""What a run logs: in its own folder first, then in the database, of which a locked or damaged one costs nothing."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ewm_studio.errors import JobError, UserError
from ewm_studio.workspace.database import Behind, Busy, Database, Row
from ewm_studio.workspace.logbook import EPISODES, Logbook, row_count, row_counts
from ewm_studio.workspace.record import FIELDS, as_columns, describe, read_record, sensible

BEHIND = ".behind"  # lies in the folder of a run that holds more than the database
PATIENCE = 0.1  # seconds that a job waits for a locked database each time
RETRY_SECONDS = 1.0
END_SECONDS = 5.0  # that the end of a job waits for it
DEAREST = 50  # times as long as a write to the database took, until the next
LONGEST = 5.0  # seconds between two writes, however long one takes
MOST_WAITING = 20_000  # rows; beyond, they are read again from the folder


class History:
    """What one run logs and what the list says of it, as its writer keeps both."""

    def __init__(self, database: Database, name: str, folder: Path) -> None:
        self._database, self._name, self._folder = database, name, folder
        self._logbook = Logbook(folder)
        self._before: dict[str, int] = {}  # rows of each tag that the database holds
        self._waiting: dict[str, list[Row]] = {}
        self._differs = False  # the database does not hold what comes before those that wait
        self._due = float("-inf")
        self.behind = False

    def begin(self, values: Mapping[str, Any]) -> None:
        """Begin a new run: its row, and no rows.

        Raises:
            UserError or JobError: neither can be written.
        """
        self._logbook.write({})
        self._database.replace(self._name, {}, as_columns(values))

    def known(self) -> dict[str, Any]:
        """What the folder says of the run, or where it says nothing, the database."""
        found = describe(self._folder, self._logbook.read()) or {"title": "", "note": ""}
        if not read_record(self._folder) or "created" not in found:
            found |= stored_values(self._database, self._name)
        return found

    def go_on(self, step: int, values: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Forget what was logged after a step; gives the rows that are left, by tag.

        The folder and the database are brought to the one of the two that holds more.

        Raises:
            JobError: a run without rows in its folder, and the database is locked. UserError: nothing can be written.
        """
        logged, stored = self._logbook.read(), {}
        try:
            stored = self._database.logged(self._name, END_SECONDS if self._logbook.exists else None)
        except Busy:
            if not self._logbook.exists:
                raise
        except UserError:
            pass  # it is damaged; what the folder holds is all there is
        if not self._logbook.exists or row_count(stored) > row_count(logged):
            self._logbook.write(stored)
        self._logbook.cut(step)
        left = self._logbook.read()
        self._waiting, self._before = {}, {tag: len(array) for tag, array in left.items()}
        self._differs = not self._cut_alike(logged, stored, step)
        self.bring_up({**values, "episodes": len(left.get(EPISODES, ()))})
        return left

    def _cut_alike(self, logged: dict[str, np.ndarray], stored: dict[str, np.ndarray], step: int) -> bool:
        """Cut the database's rows too, where they are those of the folder; whether that was done."""
        if row_counts(logged) != row_counts(stored):
            return False
        try:
            self._database.cut(self._name, step, PATIENCE)
        except (JobError, UserError, Behind):
            return False
        return True

    def add(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Write rows to the folder; they wait for `bring_up`.

        Raises:
            JobError: the disk is full. UserError: the folder cannot be written.
        """
        self._logbook.append(rows)
        for tag, new in rows.items():
            self._waiting.setdefault(tag, []).extend(new)
        if self._differs or sum(map(len, self._waiting.values())) > MOST_WAITING:
            self._waiting, self._differs = {}, True

    def bring_up_in_time(self, values: Mapping[str, Any]) -> None:
        """`bring_up`, unless the last time is so short ago that the job would spend its time on it."""
        if time.monotonic() >= self._due:
            self.bring_up(values)

    def bring_up(self, values: Mapping[str, Any], patience: float = PATIENCE) -> None:
        """Bring the database to what the folder holds, if it can be had now; else it is tried again later."""
        began = time.monotonic()
        try:
            if not self._differs:
                try:
                    self._append(values, patience)
                except Behind:
                    self._differs = True
            if self._differs:
                self._replace(values, patience)
        except (JobError, UserError, sqlite3.IntegrityError):  # locked, full, damaged or gone: the folder holds it
            self._due = time.monotonic() + RETRY_SECONDS
            if not self.behind:
                with contextlib.suppress(OSError):
                    (self._folder / BEHIND).touch()
            self.behind = True
        else:
            if self.behind:
                (self._folder / BEHIND).unlink(missing_ok=True)
            self.behind = False
            self._due = time.monotonic() + min(DEAREST * (time.monotonic() - began), LONGEST)

    def end(self, values: Mapping[str, Any]) -> None:
        """`bring_up` for the last time, with more patience."""
        self.bring_up(values, END_SECONDS)

    def _append(self, values: Mapping[str, Any], patience: float) -> None:
        before = {tag: self._before.get(tag, 0) for tag in self._waiting}
        metrics = {tag: rows for tag, rows in self._waiting.items() if tag != EPISODES}
        episodes = self._waiting.get(EPISODES, [])
        self._database.append(self._name, metrics, episodes, _own(values), before, patience)
        for tag, rows in self._waiting.items():
            self._before[tag] = self._before.get(tag, 0) + len(rows)
        self._waiting = {}

    def _replace(self, values: Mapping[str, Any], patience: float) -> None:
        rows = self._logbook.read()
        notes = {"title": "", "note": "", **read_record(self._folder)}
        columns = {**as_columns({k: notes[k] for k in ("title", "note")}), **_own(values)}
        self._database.replace(self._name, rows, columns, patience)
        self._before = {tag: len(array) for tag, array in rows.items()}
        self._waiting, self._differs = {}, False


def stored_values(database: Database, name: str) -> dict[str, Any]:
    """What the database says of a run, as far as it makes sense; nothing where it cannot be read."""
    columns = ", ".join(FIELDS)
    try:
        rows = database.read(f"SELECT {columns} FROM runs WHERE name = ?", (name,))
        found = dict(zip(FIELDS, rows[0], strict=True)) if rows else {}
        return sensible({**found, "parts": json.loads(found["parts"])} if found else {})
    except (UserError, JobError, ValueError, TypeError):
        return {}


def _own(values: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that the run's writer sets."""
    return as_columns({k: v for k, v in values.items() if k not in ("title", "note")})
