"""Processes made by a fork server, which has imported already what they need; where the system has `fork`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from multiprocessing import forkserver, popen_forkserver, util
from pathlib import Path
from typing import Any

from ewm_studio.processes.endings import held_back, keep_the_tracker, leave_endings_to_the_run
from ewm_studio.processes.living import owner
from ewm_studio.processes.spawning import SpawnWithoutMain, with_names

assert sys.platform != "win32"
from multiprocessing.context import ForkServerContext, ForkServerProcess  # noqa: E402  there are none elsewhere

_MARK = "ewm-studio-"  # begins a name that says whose a folder is
_Server: Any = forkserver.ForkServer  # its fields are the standard library's own affair, and not described
_Popen: Any = popen_forkserver.Popen


def _mark_temporary_folder() -> None:
    """Say in the standard library's temporary folder whose it is, so that it can be removed after a kill."""
    folder = Path(util.get_temp_dir())
    with contextlib.suppress(OSError):
        if not any(name.startswith(f"{_MARK}{os.getpid()}-") for name in os.listdir(folder)):
            (folder / f"{_MARK}{owner()}").touch()


class ForkServer(_Server):
    """A fork server that outlives a signal to its group, and ends when all that it made have ended."""

    read_signed = staticmethod(forkserver.read_signed)
    _forkserver_pid: int | None

    def ensure_running(self) -> None:
        """Start it, if it does not run; returns before it is ready."""
        with held_back():
            super().ensure_running()
        _mark_temporary_folder()

    def close(self) -> None:
        """End it at once."""
        with self._lock:
            pid, self._forkserver_pid = self._forkserver_pid, None
            if pid is not None:
                os.close(self._forkserver_alive_fd)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


class ForkedProcess(ForkServerProcess):
    """A process made by a fork server. What is sent to a whole group to end it is left to whoever made the process."""

    server: ForkServer

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        server = process_obj.__dict__.pop("server")  # it stays here
        launch = with_names(_Popen._launch, spawn=SpawnWithoutMain(), forkserver=server)
        return type("Popen", (_Popen,), {"_launch": launch})(process_obj)

    def run(self) -> None:
        """What the process is for."""
        leave_endings_to_the_run()
        super().run()

    def terminate(self) -> None:
        """End it at once: it obeys no gentler signal."""
        self.kill()


class Forking(ForkServerContext):
    """A context of the standard library's kind, with a fork server of its own.

    The server must have no threads of its own when it forks: what it imports may start none.
    """

    def __init__(self, preload: tuple[str, ...]) -> None:
        keep_the_tracker()
        self._server = ForkServer()
        self._server.set_forkserver_preload(list(preload))

    @property
    def server(self) -> int | None:
        """The id of the fork server's process; None where it has not been needed yet."""
        return self._server._forkserver_pid

    def Process(self, *args: Any, **kwargs: Any) -> ForkedProcess:  # type: ignore[override]
        """A process, not started yet."""
        process = ForkedProcess(*args, **kwargs)
        process.server = self._server
        return process

    def close(self) -> None:
        """End the fork server at once; what it made has ended before."""
        self._server.close()
