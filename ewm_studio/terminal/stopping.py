"""What a command does when it is asked to end: by a key, by a closed terminal, by the stop of a service."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from ewm_studio.processes.endings import Calls, console_closed, same_request, wanted

INTERRUPTED = 130
SAYING = "stopping: saving first; once more ends at once"

Handler = Callable[[int, FrameType | None], Any]


@contextlib.contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    """Within, what asks to end goes to a handler; in the main thread, others hear no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in wanted()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextlib.contextmanager
def interrupts() -> Iterator[list[int]]:
    """Within, each signal raises KeyboardInterrupt, as Ctrl-C does: nothing is to be saved.

    Gives a list that takes their numbers as they come: a library may swallow the exception, or turn it into another.
    """
    seen: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    with _handled(interrupt):
        yield seen


def end_at_signals() -> None:
    """From now on a signal ends the process at once: all is done but the interpreter's own end."""
    for number in wanted():
        signal.signal(number, lambda *_: os._exit(INTERRUPTED))


@contextlib.contextmanager
def stopping(stop: Callable[[], None], say: Callable[[str], None]) -> Iterator[list[int]]:
    """The first signal asks a job to stop, the second raises KeyboardInterrupt, the third ends the process.

    A terminal that closes is never the second: what was asked for before is still being saved.

    Args:
        stop: asks; called by a handler, so that it may wait for nothing.
        say: shows a line.

    Returns:
        A list that takes the signals' numbers as they come.
    """
    seen: list[int] = []
    calls, first = Calls(say), 0.0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if seen and same_request(number, time.monotonic() - first):
            return
        first = first or time.monotonic()
        seen.append(number)
        if len(seen) > 2:
            os._exit(INTERRUPTED)
        if len(seen) == 2:
            raise KeyboardInterrupt
        stop()
        calls.ask(SAYING)

    def closed() -> None:
        seen.append(signal.SIGTERM)
        stop()

    try:
        with console_closed(closed), _handled(ask):
            yield seen
    finally:
        calls.close()
