"""Processes of jobs that say what a test has them say, and answer as it wants."""

from __future__ import annotations

import queue
from collections.abc import Iterator

from ewm_studio.events import Event, Finished
from ewm_studio.jobs.failure import Failure, JobFailed
from ewm_studio.jobs.runners.child import Order

_STOPPED = Finished("stop", {"seconds": 1.0})
_GONE = Failure("The job's process is gone", "it was ended by signal 9", "")


class ScriptedProcess:
    """A job's process, as `JobProcess` is one, without a process."""

    pid = 0
    alive = True

    def __init__(self, answers: bool) -> None:
        self._answers = answers
        self._said: queue.SimpleQueue[list[Event] | BaseException | None] = queue.SimpleQueue()
        self.orders: list[Order] = []
        self.killed = False

    def say(self, *events: Event) -> None:
        """What the job says next."""
        self._said.put(list(events))

    def finish(self, *events: Event) -> None:
        """Say the last, and end."""
        self._said.put([*events] or [_STOPPED])
        self._said.put(None)

    def fail(self, error: BaseException) -> None:
        """End by an exception."""
        self._said.put(error)

    def tell(self, order: Order) -> None:
        """Hear an order; who answers ends when it is to stop."""
        self.orders.append(order)
        if order == "stop" and self._answers:
            self.finish()

    def batches(self) -> Iterator[list[Event]]:
        """What it is to say, as it comes."""
        while (said := self._said.get()) is not None:
            if isinstance(said, BaseException):
                raise said
            yield said

    def kill(self) -> None:
        """End at once, as a process does by a signal."""
        self.killed = True
        self._said.put(JobFailed(_GONE))

    def end(self, seconds: float) -> None:
        """There is nothing to wait for."""


class ScriptedProcesses:
    """Gives jobs such processes; `answers` is whether they end when they are asked to."""

    def __init__(self, answers: bool = True) -> None:
        self._answers = answers
        self.taken: list[ScriptedProcess] = []

    @property
    def last(self) -> ScriptedProcess:
        """The one of the running job."""
        return self.taken[-1]

    def prepare(self) -> None:
        """All are ready."""

    def take(self) -> ScriptedProcess:
        """One for a job."""
        self.taken.append(ScriptedProcess(self._answers))
        return self.taken[-1]

    def end(self) -> None:
        """Nothing waits."""
