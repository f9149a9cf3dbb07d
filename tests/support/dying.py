"""A process that dies at the n-th thing it does to the disk, as `kill -9` at that instant would have it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from ewm_studio.workspace import database

_EVENTS = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "sqlite3.connect"}
LIVED, DIED = 7, 9


def dies_at(instant: int, work: Callable[[], object]) -> bool:
    """Do `work` in a fork that dies just before its n-th call that touches files, or its n-th commit.

    Gives whether it died; else it came to its end before.
    """
    child = os.fork()
    if child == 0:
        try:
            _die_at(instant)
            work()
        finally:
            os._exit(LIVED)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == DIED


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
