"""Jobs off the GUI thread: one thread that pulls a job's events, one for short background work."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol

from PySide6.QtCore import QObject, Qt, QThread, Signal, Slot

from ewm_studio.events import Event, JobControl
from ewm_studio.jobs.failure import Failure, failure_of
from ewm_studio.jobs.runners.child import Command
from ewm_studio.jobs.runners.process import JobFailed

# Given how it is asked to stop, a generator of events.
Start = Callable[[JobControl], Generator[Event, None, None]]
WAIT_MILLISECONDS = 60_000  # the longest time between two safe points that closing waits for


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


class Task(QThread):
    """A function run off the GUI thread; on it `then` gets the result, or `failed` the exception."""

    _done = Signal(object)
    _failed = Signal(object)

    def __init__(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        failed: Callable[[BaseException], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._work, self._then, self._on_error = work, then, failed
        # Slots of this object, which lives in the GUI thread: a plain function might be called in the other one.
        self._done.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._failed.connect(self._deliver_failure, Qt.ConnectionType.QueuedConnection)

    def run(self) -> None:
        """Do the work."""
        try:
            result = self._work()
        except BaseException as error:
            self._failed.emit(error)
        else:
            self._done.emit(result)

    @Slot(object)
    def _deliver(self, result: Any) -> None:
        self._then(result)

    @Slot(object)
    def _deliver_failure(self, error: BaseException) -> None:
        self._on_error(error)
