"""Files without a seal, as earlier versions wrote them, are first read in a process of their own.

Where damage has HDF5 crash or run in circles, that happens there: the process is ended after a while, and the file is
refused. What was read there once is not read there again while it stays the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.processes.spawning import Spawning

Read = Callable[[Path, bool], None]  # a file, all of it or only what a list shows; raises a UserError

SECONDS = 10.0  # for what a list shows; reading everything takes as much more as there is
BYTES_A_SECOND = 2**20  # of a file, at the very slowest
START_SECONDS = 60.0  # for the process to begin, on a busy machine


class Vetting:
    """Asks a process of its own, one file at a time, whoever asks."""

    def __init__(self, read: Read) -> None:
        """`read` reads a file there; it is found in its module by its name."""
        self._read = read
        self._lock = threading.Lock()
        self._process: Any = None
        self._pipe: Any = None  # its type differs by system
        self._known: dict[tuple[str, bool], tuple[tuple[int, int, int], str]] = {}

    def complaint(self, path: Path, whole: bool) -> str:
        """Why a file cannot be read, in a few words; empty if it can.

        Args:
            path: the file.
            whole: all of it is to be read, not only what a list shows.

        Raises:
            OSError: it is not there.
        """
        found = os.stat(path)
        state, key = (found.st_ino, found.st_size, found.st_mtime_ns), (str(path), whole)
        with self._lock:
            known = self._known.get(key)
            if known is None or known[0] != state:
                seconds = SECONDS + (found.st_size / BYTES_A_SECOND if whole else 0)
                answer = self._ask(path, whole, seconds)
                if answer is None:
                    answer = self._ask(path, whole, seconds) or ""
                known = self._known[key] = state, answer
            return known[1]

    def _ask(self, path: Path, whole: bool, seconds: float) -> str | None:
        """The process's answer; None where it had to be started anew and did not answer."""
        fresh = self._process is None
        try:
            if self._pipe is None:
                self._begin()
            assert self._pipe is not None
            self._pipe.send((str(path), whole))
            if self._pipe.poll(seconds):
                return str(self._pipe.recv())
            self.close()
            return f"reading it takes more than {seconds:.0f} s"
        except (EOFError, OSError):
            self.close()
            return "reading it ends the process that does" if fresh else None

    def _begin(self) -> None:
        context = Spawning()
        pipe, theirs = context.Pipe()
        self._pipe = pipe
        self._process = context.Process(
            target=_serve, args=(theirs, self._read), daemon=True, name="ewm-studio-vetting"
        )
        self._process.start()
        theirs.close()
        if not pipe.poll(START_SECONDS):
            raise EOFError
        pipe.recv()

    def close(self) -> None:
        """End the process; the next question starts another."""
        process, pipe, self._process, self._pipe = self._process, self._pipe, None, None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.kill()
            process.join()


@cache
def vetting(read: Read) -> Vetting:
    """The one of this process."""
    return Vetting(read)


def _serve(pipe: Connection, read: Read) -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        pipe.send("ready")
        while True:
            path, whole = pipe.recv()
            try:
                read(Path(path), whole)
                answer = ""
            except UserError as error:
                answer = str(error).removeprefix(f"{path}: ")
            except Exception as error:
                answer = f"{type(error).__name__}: {error}"
            pipe.send(answer)
