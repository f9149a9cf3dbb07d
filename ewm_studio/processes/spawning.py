"""Processes that begin with an interpreter of their own.

The standard library has a new process import the script of the old one, to find there what it is sent. What is sent
here lies in modules, and a script without the usual guard would start all over. So the script is left out, without
touching anything that another thread sees.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from functools import cache
from multiprocessing import spawn
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from ewm_studio.processes.endings import held_back, keep_the_tracker, leave_endings_to_the_run


class SpawnWithoutMain:
    """The module `multiprocessing.spawn`, but for what a new process is told of the script that runs here."""

    def __getattr__(self, name: str) -> Any:
        return getattr(spawn, name)

    def get_preparation_data(self, name: str) -> dict[str, Any]:
        """What the new process is told before it runs."""
        told = spawn.get_preparation_data(name)
        return {word: value for word, value in told.items() if not word.startswith("init_main_")}


def with_names(function: Callable[..., Any], **names: Any) -> Callable[..., Any]:
    """A function that finds these where its module has others of the same name."""
    return types.FunctionType(function.__code__, function.__globals__ | names, function.__name__, function.__defaults__)


@cache
def _popen() -> Callable[[Any], Any]:
    """The standard library's way to spawn a process, without the script."""
    if sys.platform == "win32":
        from multiprocessing.popen_spawn_win32 import Popen

        start = "__init__"
    else:
        from multiprocessing.popen_spawn_posix import Popen

        start = "_launch"
    made = {start: with_names(getattr(Popen, start), spawn=SpawnWithoutMain())}
    if sys.platform != "win32":  # there it is the same
        made["terminate"] = lambda popen: popen.kill()  # what ends daemons at exit asks here, and not the process
    return type("Popen", (Popen,), made)


class SpawnedProcess(SpawnProcess):
    """A process that begins with nothing imported, and leaves what ends a whole group to whoever made it."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with held_back():
            return _popen()(process_obj)

    def run(self) -> None:
        """What the process is for."""
        leave_endings_to_the_run()
        super().run()

    def terminate(self) -> None:
        """End it at once: it obeys no gentler signal."""
        self.kill()


class Spawning(SpawnContext):
    """A context of the standard library's kind, whose processes are spawned."""

    Process = SpawnedProcess

    def __init__(self) -> None:
        keep_the_tracker()

    def close(self) -> None:
        """Nothing waits to be ended."""
