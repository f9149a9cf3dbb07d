"""Jobs off the GUI thread: one thread that pulls a job's events, one for short background work."""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Qt, QThread, Signal, Slot

from ewm_studio.errors import JobError, UserError
from ewm_studio.training.events import Event, JobControl

# A job: given how it is asked to stop, a generator of events. What makes it may run in this thread or, since it and
# its events can be pickled, in another process.
Start = Callable[[JobControl], Generator[Event, None, None]]
WAIT_MILLISECONDS = 60_000  # the longest time between two safe points that closing waits for


@dataclass(frozen=True)
class Failure:
    """Why a job ended early, for a dialog."""

    title: str
    what: str
    details: str


def failure_of(error: BaseException) -> Failure:
    """An exception as something to show: the engine's own errors are one clear line already."""
    details = "".join(traceback.format_exception(error))
    if isinstance(error, UserError):
        return Failure("This cannot start", str(error), details)
    if isinstance(error, JobError):
        return Failure("The job could not go on", str(error), details)
    if isinstance(error, MemoryError):
        return Failure("Out of memory", "Lower the number of environments or the batch sizes.", details)
    reason = " ".join(str(error).split())[:400] or "no reason given"
    what = f"{type(error).__name__}: {reason}\n\nThe last saved checkpoint stands; the run can be resumed from it."
    return Failure("The job failed unexpectedly", what, details)


class JobThread(QThread):
    """Runs one job to its end. Events wait in a buffer until the GUI drains it, so a fast job floods nothing."""

    def __init__(self, start: Start, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._start = start
        self._control = JobControl()
        self._events: deque[Event] = deque()
        self._go = threading.Event()
        self._go.set()
        self.failure: Failure | None = None  # set before `finished` is emitted

    def run(self) -> None:
        """Pull events until there are no more; an exception becomes `failure`."""
        try:
            events = self._start(self._control)
            try:
                for event in events:
                    self._events.append(event)
                    self._go.wait()
            finally:
                events.close()
        except BaseException as error:
            self.failure = failure_of(error)

    def drain(self) -> list[Event]:
        """Everything said since the last call, in order."""
        events: list[Event] = []
        while self._events:
            events.append(self._events.popleft())
        return events

    @property
    def paused(self) -> bool:
        """Whether events are not being pulled."""
        return not self._go.is_set()

    def pause(self) -> None:
        """Stop pulling: the job rests at its next event."""
        self._go.clear()

    def resume(self) -> None:
        """Pull again."""
        self._go.set()

    @property
    def stopping(self) -> bool:
        """Whether the job was asked to stop."""
        return self._control.stop_requested

    def stop(self) -> None:
        """Ask the job to save and end; returns at once."""
        self._control.stop()
        self._go.set()

    def end(self) -> bool:
        """Ask the job to stop and wait for it; whether it ended in time."""
        self.stop()
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
