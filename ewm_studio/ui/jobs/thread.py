"""Jobs off the GUI thread: one thread that pulls a job's events, one for short background work."""

from __future__ import annotations

from collections import deque

from PySide6.QtCore import QObject, QThread

from ewm_studio.events import Event
from ewm_studio.jobs.failure import Failure, failure_of
from ewm_studio.jobs.runners.process import JobFailed
from ewm_studio.jobs.runners.thread import Source

WAIT_MILLISECONDS = 60_000  # the longest time between two safe points that closing waits for


class JobThread(QThread):
    """Runs one job to its end. Events wait in a buffer until the GUI drains it, so a fast job floods nothing."""

    def __init__(self, source: Source, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._source = source
        self._events: deque[Event] = deque()
        self.paused = False
        self.stopping = False
        self.failure: Failure | None = None  # set before `finished` is emitted

    def run(self) -> None:
        """Pull events until there are no more; an exception becomes `failure`."""
        try:
            for batch in self._source.batches():
                self._events.extend(batch)
        except JobFailed as error:
            self.failure = error.failure
        except BaseException as error:
            self.failure = failure_of(error)

    @property
    def pid(self) -> int:
        """The job's own process; 0 where it has none."""
        return self._source.pid

    def drain(self) -> list[Event]:
        """Everything said since the last call, in order."""
        events: list[Event] = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def pause(self) -> None:
        """Stop pulling: the job rests at its next event."""
        self.paused = True
        self._source.tell("pause")

    def resume(self) -> None:
        """Pull again."""
        self.paused = False
        self._source.tell("resume")

    def stop(self) -> None:
        """Ask the job to save and end; returns at once."""
        self.paused, self.stopping = False, True
        self._source.tell("stop")

    def end(self) -> bool:
        """Ask the job to stop and wait for it, then end its process; whether it ended."""
        self.stop()
        if self.wait(WAIT_MILLISECONDS):
            return True
        self._source.kill()
        return self.wait(WAIT_MILLISECONDS)
