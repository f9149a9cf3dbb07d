"""A thread that pulls a job's events."""

from __future__ import annotations

from collections import deque

from PySide6.QtCore import QObject, QThread

from ewm_studio.events import Event
from ewm_studio.jobs.failure import Failure, failure_of
from ewm_studio.jobs.runners.runner import Events, Runner

WAIT_MILLISECONDS = 60_000  # the longest time between two safe points that closing waits for


class JobThread(QThread):
    """Runs one job to its end. Events wait in a buffer until the GUI drains it, so a fast job floods nothing."""

    def __init__(self, runner: Runner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._events: deque[tuple[str, Event]] = deque()
        self.paused = False
        self.stopping = False
        self.killed = False  # somebody wanted that: it is no failure
        self.failure: Failure | None = None  # set before `finished` is emitted

    def run(self) -> None:
        """Pull events until there are no more; an exception becomes `failure`."""
        try:
            for batch in self._runner.events():
                self._events.extend(batch)
        except BaseException as error:
            self.failure = None if self.killed else failure_of(error)

    @property
    def pid(self) -> int:
        """The job's own process; 0 where it has none."""
        return self._runner.pid

    def drain(self) -> Events:
        """Everything said since the last call, in order."""
        events: Events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def pause(self) -> None:
        """Stop pulling: the job rests at its next event."""
        self.paused = True
        self._runner.tell("pause")

    def resume(self) -> None:
        """Pull again."""
        self.paused = False
        self._runner.tell("resume")

    def stop(self) -> None:
        """Ask the job to save and end; returns at once."""
        self.paused, self.stopping = False, True
        self._runner.tell("stop")

    def kill(self) -> None:
        """End the job's process at once; it saves nothing."""
        self.killed = True
        self._runner.kill()

    def end(self) -> bool:
        """Ask the job to stop and wait for it, then end its process; whether it ended."""
        self.stop()
        if self.wait(WAIT_MILLISECONDS):
            return True
        self.kill()
        return self.wait(WAIT_MILLISECONDS)
