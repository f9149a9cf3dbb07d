"""Locks that live as long as their process, and that no stranger's closing of a file can drop.

The operating system lets go of them at any kind of end, `kill -9` included. `flock` belongs to the open file that took
it; SQLite's own locks belong to the process, and are gone as soon as anything in it closes the database's file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_NAME = ".lock"
_PATIENCE = 0.5  # seconds; a look from outside holds the lock for microseconds
_BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}


class RunLock:
    """The lock of a run's folder: how others see that a run's process has died.

    It does not mistake a paused run for a dead one as a heartbeat would.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._file: IO[bytes] | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._file is not None

    @property
    def in_place(self) -> bool:
        """Whether the lock that is held is still the one in the folder: not where that was moved or removed."""
        if self._file is None:
            return False
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno()))
        except OSError:
            return False

    def acquire(self) -> bool:
        """Take the lock; False if another holder, here or in another process, has it.

        Raises:
            OSError: the folder cannot be written.
        """
        if self._file is not None:
            return True
        file = open(self._path, "ab")  # noqa: SIM115 - open as long as the lock is held
        deadline = time.monotonic() + _PATIENCE
        while not _taken(file, exclusive=True):
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
                return not _taken(file, exclusive=False)
        except OSError:
            return False


@contextlib.contextmanager
def locked(path: Path, exclusive: bool, patience: float) -> Iterator[bool]:
    """Hold a file's lock, with others who only read or alone, among threads as among processes.

    Where the file cannot be opened (nothing can be written there) or the file system has no locks, there is none to
    hold; whoever needs one has to look at what that place allows.

    Args:
        path: the file; it is made where it is missing.
        exclusive: alone.
        patience: seconds to wait for it.

    Yields:
        Whether it is held or needless; False where another has had it all the time.
    """
    try:
        file = _opened(path)
    except OSError:
        yield True
        return
    with file:
        held = _waited(file, exclusive, patience)
        try:
            yield held is not False
        finally:
            if held:  # not only by closing: a process forked meanwhile shares the open file
                _unlock(file)


def _opened(path: Path) -> IO[bytes]:
    try:
        return open(path, "ab")
    except OSError:
        return open(path, "rb")  # enough to lock where nothing can be written


def _waited(file: IO[bytes], exclusive: bool, patience: float) -> bool | None:
    """Whether the lock was had within the patience; None where the file system has no locks."""
    deadline, pause = time.monotonic() + patience, 0.0005
    while True:
        try:
            _lock(file, exclusive)
            return True
        except OSError as error:
            if error.errno not in _BUSY:
                return None
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.01)


def _taken(file: IO[bytes], exclusive: bool) -> bool:
    """Whether the lock was free, and is now held."""
    with contextlib.suppress(OSError):
        _lock(file, exclusive)
        return True
    return False


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes], exclusive: bool) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: IO[bytes]) -> None:
        file.seek(0)
        with contextlib.suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: IO[bytes], exclusive: bool) -> None:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)

    def _unlock(file: IO[bytes]) -> None:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
