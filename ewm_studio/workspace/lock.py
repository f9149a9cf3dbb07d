"""A lock that lives as long as its process: how others see that a run's process has died.

The operating system lets go of it at any kind of end, `kill -9` included, and it does not mistake a paused run for a
dead one as a heartbeat would.
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import IO

_NAME = ".lock"
_PATIENCE = 0.5  # seconds; a look from outside holds the lock for microseconds


class RunLock:
    """The lock of a run's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._file: IO[bytes] | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._file is not None

    def acquire(self) -> bool:
        """Take the lock; False if another holder, here or in another process, has it.

        Raises:
            OSError: the folder cannot be written.
        """
        if self._file is not None:
            return True
        file = open(self._path, "ab")  # noqa: SIM115 - open as long as the lock is held
        deadline = time.monotonic() + _PATIENCE
        while not _try_lock(file, exclusive=True):
            if time.monotonic() > deadline:
                file.close()
                return False
            time.sleep(0.01)
        self._file = file
        return True

    def release(self) -> None:
        """Let go of it, if it is held."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def alive(self) -> bool:
        """Whether anybody holds it now."""
        if self._file is not None:
            return True
        try:
            with open(self._path, "rb") as file:
                return not _try_lock(file, exclusive=False)
        except OSError:
            return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes], exclusive: bool) -> bool:
        file.seek(0)
        with contextlib.suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            return True
        return False

else:
    import fcntl

    def _try_lock(file: IO[bytes], exclusive: bool) -> bool:
        with contextlib.suppress(OSError):
            fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            return True
        return False
