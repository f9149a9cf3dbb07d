"""A process that dies at the n-th thing it does to the disk, as `kill -9` at that instant would have it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ewm_studio.workspace import Workspace, database
from tests.support.warm import WarmProcesses

_EVENTS = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "sqlite3.connect"}
LIVED, DIED = 7, 9

CHANGES: dict[str, Callable[[Workspace, str, str], object]] = {
    "rename": lambda workspace, name, new: workspace.rename_run(name, new),
    "delete": lambda workspace, name, _: workspace.delete_run(name),
    "restore": lambda workspace, name, _: workspace.restore_run(name),
    "note": lambda workspace, name, _: workspace.describe_run(name, note="kept"),
    "create": lambda workspace, _, new: workspace.create_run(f"{new}-v0", "train", "").finish("finished"),
}


def dies_at(instant: int, warm: WarmProcesses, home: Path, change: str, name: str, new: str) -> bool:
    """Change the list of runs in a process that dies just before its n-th call that touches files, or n-th commit.

    Gives whether it died; else it came to its end before.

    Args:
        instant: n.
        warm: makes the process.
        home: the workspace's folder.
        change: one of `CHANGES`.
        name: the run's.
        new: the one it gets, or that of the environment of a new run.
    """
    process = warm.start(_change, instant, home, change, name, new)
    process.join()
    assert process.exitcode in (LIVED, DIED), f"the process ended by itself with {process.exitcode}"
    return process.exitcode == DIED


def _change(instant: int, home: Path, change: str, name: str, new: str) -> None:
    workspace = Workspace(home)
    _die_at(instant)
    CHANGES[change](workspace, name, new)
    os._exit(LIVED)


def _die_at(instant: int) -> None:
    left = [instant]

    def tick() -> None:
        if left[0] == 0:
            os._exit(DIED)
        left[0] -= 1

    sys.addaudithook(lambda event, _: tick() if event in _EVENTS else None)
    committing = database.transaction

    @contextlib.contextmanager
    def transaction(connection, kind) -> Iterator:
        with committing(connection, kind) as inside:
            yield inside
            tick()

    database.transaction = transaction
