"""A job in this process."""

from __future__ import annotations

import threading
from collections.abc import Generator

from ewm_studio.events import JobControl
from ewm_studio.jobs.runners.runner import Command, Events
from ewm_studio.jobs.spec import StartJob, new_job_id


class ThreadRunner:
    """Runs a job in the thread that asks for its events; there, what interrupts the thread interrupts the job."""

    pid = 0

    def __init__(self, start: StartJob, job_id: str = "") -> None:
        """`start` begins the job: the `events` of a `JobSpec`, or anything of its kind."""
        self._start = start
        self._job_id = job_id or new_job_id()
        self._control = JobControl()
        self._go = threading.Event()
        self._go.set()

    def events(self) -> Generator[Events, None, None]:
        """Each event as it comes.

        Raises:
            UserError: bad input. JobError: the job could not go on.
        """
        events = self._start(self._control)
        try:
            for event in events:
                yield [(self._job_id, event)]
                if not self._go.is_set():
                    self._go.wait()
        finally:
            events.close()  # at once, so that the job's environments end with it

    def tell(self, command: Command) -> None:
        """Pause, resume or stop; returns at once. May be called by a signal's handler to stop what was never paused."""
        if command == "stop":
            self._control.stop()
        if command == "pause":
            self._go.clear()
        elif not self._go.is_set():
            self._go.set()

    def kill(self) -> None:
        """A thread cannot be ended."""
