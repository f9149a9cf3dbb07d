"""A run that is computed elsewhere, as it comes to the workspace: saved there, saved here."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ewm_studio.errors import JobError
from ewm_studio.events import Event, Images
from ewm_studio.jobs.cluster.parcels import Piece
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.files import write_error
from ewm_studio.workspace.history import BEHIND
from ewm_studio.workspace.lock import RunLock
from ewm_studio.workspace.record import RECORD, SETTINGS, is_run

ARRIVING = ".arriving"  # in the run's folder: what has come in part
LIST_SECONDS = 5.0  # between two times that the list of runs is told
_LAST = (".safetensors", RECORD)  # put in place last: what they speak of is there by then


class Mirror:
    """Takes a run's files, and is its writer here meanwhile; a name that is taken here is changed for a free one."""

    def __init__(self, workspace: Workspace, resume: str, models: dict[str, str]) -> None:
        """Args:
        workspace: takes the run.
        resume: the run that is gone on with; empty for a new one.
        models: places of model files on the other machine, in its workspace, with what the settings said for them.
        """
        self._workspace, self._resume, self._models = workspace, resume, models
        self._folder: Path | None = None
        self._lock: RunLock | None = None
        self._there: tuple[str, str] = ("", "")  # the run's name on the other machine, and its workspace
        self._listed = float("-inf")

    def begin(self, name: str, there: str) -> None:
        """A run begins on the other machine, by a name and in a workspace of that machine.

        Raises:
            UserError or JobError: it cannot be written here, or somebody else writes it.
        """
        folder = self._workspace.runs_folder / self._resume if self._resume else self._workspace.claim_run(name)
        lock = RunLock(folder)
        try:
            if not lock.acquire():
                raise JobError(f"run {folder.name} is being trained already; stop that first")
            shutil.rmtree(folder / ARRIVING, ignore_errors=True)
            (folder / ARRIVING).mkdir()
        except OSError as error:
            raise write_error(folder, error) from error
        self._folder, self._lock, self._there = folder, lock, (name, there)

    def take(self, piece: Piece) -> None:
        """Take a part of a file.

        Raises:
            UserError or JobError: it cannot be written.
        """
        place = self._arriving / _inside(piece.path)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with open(place, "wb" if piece.begins else "ab") as file:
                file.write(piece.data)
        except OSError as error:
            raise write_error(place, error) from error

    def settle(self, gone: Sequence[str]) -> None:
        """All that was saved has come: put it in place, and take away what is gone there.

        Raises:
            UserError or JobError: it cannot be written.
        """
        folder = self._arriving.parent
        came = [path for path in self._arriving.rglob("*") if path.is_file()]
        try:
            (folder / BEHIND).touch()
            for path in sorted(came, key=lambda path: (path.name == RECORD, path.name.endswith(_LAST), path.name)):
                self._reword(path)
                self._put(path, folder / path.relative_to(self._arriving))
            for name in gone:
                (folder / _inside(name)).unlink(missing_ok=True)
        except OSError as error:
            raise write_error(folder, error) from error
        if time.monotonic() - self._listed >= LIST_SECONDS:
            self._listed = time.monotonic()
            self._workspace.take_in(folder.name)

    def close(self) -> None:
        """Be its writer no more."""
        if self._folder is not None and self._lock is not None:
            shutil.rmtree(self._folder / ARRIVING, ignore_errors=True)
            if not is_run(self._folder):
                with contextlib.suppress(OSError):  # nothing has come of it
                    (self._folder / ".lock").unlink()
                    (self._folder / BEHIND).unlink(missing_ok=True)
                    self._folder.rmdir()
            self._lock.release()

    def here(self, event: Event) -> Event:
        """An event with the places and the name that the run has here."""
        if self._folder is None or isinstance(event, Images):
            return event
        return replace(event, **{f.name: self._reworded(getattr(event, f.name)) for f in fields(event)})

    @property
    def _arriving(self) -> Path:
        if self._folder is None:
            raise JobError("files of a run came from the cluster before its name")
        return self._folder / ARRIVING

    def _put(self, path: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(path, target)

    def _reword(self, path: Path) -> None:
        """Its record and its settings speak of places, and of its name."""
        if path.name in (RECORD, SETTINGS) and path.parent == self._arriving:
            text = path.read_text("utf-8")
            path.write_text(
                self._replaced(text).replace(f'"{self._there[0]}"', f'"{self._arriving.parent.name}"'), "utf-8"
            )

    def _reworded(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._arriving.parent.name if value == self._there[0] else self._replaced(value)
        if isinstance(value, dict):
            return {key: self._reworded(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [self._reworded(entry) for entry in value]
        return value

    def _replaced(self, text: str) -> str:
        name, there = self._there
        for place, said in self._models.items():
            text = text.replace(f"{there}/{place}", said)
        text = text.replace(f"{there}/runs/{name}", str(self._arriving.parent))
        return text.replace(there, str(self._workspace.path)) if there else text


def _inside(path: str) -> Path:
    """A path of another machine, if it stays in the folder.

    Raises:
        JobError: it does not.
    """
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise JobError(f"the cluster sent a file for {path!r:.80}, outside of its run's folder")
    return Path(*parts)
