"""What asks a process to end: a key, a closed terminal or console, the stop of a service."""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

ENDINGS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
# A service manager, a shell that closes and `timeout` send a signal to a process and to its group as well: what comes
# again so soon is the same request.
AGAIN_SECONDS = 0.5
CONSOLE_SECONDS = 20.0  # for saving when a console is closed; Windows may end the process sooner


def of_the_terminal(number: int) -> bool:
    """Whether a signal says that the terminal is gone, which may be said more than once."""
    return number == getattr(signal, "SIGHUP", None)


def same_request(number: int, seconds: float) -> bool:
    """Whether a signal asks for no more than the first, which came so many seconds before.

    A terminal that closes never does: what was asked for before is still being saved.
    """
    return of_the_terminal(number) or seconds < AGAIN_SECONDS


def wanted() -> list[signal.Signals]:
    """The signals to obey: all but the hang-up that whoever started this process had it ignore, as `nohup` does."""
    return [n for n in ENDINGS if not (of_the_terminal(n) and signal.getsignal(n) is signal.SIG_IGN)]


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Within, this thread and the processes that it starts keep these signals waiting; where the system can."""
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import resource_tracker  # only now: help is there at once

    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    try:
        # The standard library's own process, which cleans up what others leave. Who starts it first lets some of the
        # signals through again afterwards.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def keep_the_tracker() -> None:
    """Have the standard library's process that cleans up survive what ends the group, and so come before any use."""
    with held_back():
        pass


def leave_endings_to_the_run() -> None:
    """A process that another one ends: what is sent to a whole group is for that one to obey, which saves first.

    Handlers that do nothing, in place of ignoring: a program that is started from here would go on ignoring.
    """
    for number in ENDINGS:
        signal.signal(number, _nothing)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Obey nothing."""


class Calls:
    """Does what a signal asks for on a thread of its own: a handler interrupts whatever holds the locks."""

    def __init__(self, act: Callable[[Any], None]) -> None:
        self._act = act
        self._asked: queue.SimpleQueue[Any] = queue.SimpleQueue()  # the one queue that a handler may put into
        self._thread = threading.Thread(target=self._serve, daemon=True, name="signals")
        self._thread.start()

    def ask(self, what: Any) -> None:
        """Have it done soon; for handlers."""
        self._asked.put((what,))

    def close(self) -> None:
        """Do what is asked for, then no more."""
        self._asked.put(())
        self._thread.join()

    def _serve(self) -> None:
        while asked := self._asked.get():
            self._act(*asked)


@contextlib.contextmanager
def console_closed(act: Callable[[], None]) -> Iterator[None]:
    """On Windows, `act` is called when the console is closed or the user logs off; the end of the block is waited for.

    Windows ends the process as soon as the handler returns, which Python's own does at once.
    """
    if sys.platform != "win32":
        yield
        return
    import ctypes

    over = threading.Event()
    handler = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(lambda event: closing(event, act, over))
    kernel = ctypes.windll.kernel32
    kernel.SetConsoleCtrlHandler(handler, True)
    try:
        yield
    finally:
        over.set()
        kernel.SetConsoleCtrlHandler(handler, False)


_CLOSE_EVENTS = (2, 5, 6)  # CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT


def closing(event: int, act: Callable[[], None], over: threading.Event) -> bool:
    """Windows' handler of console events: whether this one was dealt with, once all is `over`."""
    if event not in _CLOSE_EVENTS:
        return False
    act()
    over.wait(CONSOLE_SECONDS)
    return True
