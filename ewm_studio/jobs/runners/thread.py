"""A job in a thread of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from typing import Protocol

from ewm_studio.events import Event, JobControl
from ewm_studio.jobs.runners.child import Command

# Given how it is asked to stop, a generator of events.
Start = Callable[[JobControl], Generator[Event, None, None]]


class Source(Protocol):
    """Where a job's events come from: its own process, or this one."""

    @property
    def pid(self) -> int:
        """The job's own process; 0 where it has none."""

    def batches(self) -> Iterator[list[Event]]:
        """Run the job and give its events as they come."""

    def tell(self, said: Command) -> None:
        """Pause, resume or stop; returns at once."""

    def kill(self) -> None:
        """End it at once, where that can be done."""


class ThreadJob:
    """A generator pulled in the thread that asks for its events."""

    pid = 0

    def __init__(self, start: Start) -> None:
        self._start = start
        self._control = JobControl()
        self._go = threading.Event()
        self._go.set()

    def batches(self) -> Iterator[list[Event]]:
        """Each event as it comes."""
        events = self._start(self._control)
        try:
            for event in events:
                yield [event]
                self._go.wait()
        finally:
            events.close()

    def tell(self, said: Command) -> None:
        """Pause, resume or stop; returns at once."""
        if said == "stop":
            self._control.stop()
        if said == "pause":
            self._go.clear()
        else:
            self._go.set()

    def kill(self) -> None:
        """A thread cannot be ended."""
