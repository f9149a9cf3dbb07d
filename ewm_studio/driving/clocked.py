"""Something that goes on in a thread of its own on a steady clock, and is told what to do by commands."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ewm_studio.driving.step_clock import StepClock
from ewm_studio.errors import UserError

IDLE_SECONDS = 0.05  # between two looks at the gamepad while nothing moves
RATE_SECONDS = 1.0  # over which steps a second are counted
STOP_SECONDS = 30.0

Command = TypeVar("Command")
Told = TypeVar("Told")


class ClockedSession(ABC, Generic[Command, Told]):
    """Goes on until it is stopped.

    What is asked by a command is done between two steps, in the session's own thread; no method but `join` waits.
    `notify` is called from that thread whenever there is a new snapshot.

    Attributes:
        failure: what ended the session, where something did.
        clock: when the next step is due.
    """

    def __init__(self, name: str, notify: Callable[[], None]) -> None:
        self.failure: BaseException | None = None
        self.clock = StepClock(1.0)
        self._notify = notify
        self._asked: deque[Command] = deque()
        self._events: deque[Told | UserError] = deque()  # an error is a command that was refused
        self._wake = threading.Event()
        self._stop = False
        self._stepped: deque[float] = deque()
        self._thread = threading.Thread(target=self._run, name=name)

    # Asked from outside

    def start(self) -> None:
        """Make what is needed and wait for the wheel to be taken."""
        self._thread.start()

    def stop(self) -> None:
        """Keep what was recorded, then end; returns at once."""
        self._stop = True
        self._wake.set()

    def join(self) -> bool:
        """Wait for the end; whether it came."""
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        return not self._thread.is_alive()

    def drain(self) -> list[Told | UserError]:
        """What happened, and commands that were refused, since the last call."""
        events: list[Told | UserError] = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def ask(self, command: Command) -> None:
        """Have something done between two steps."""
        self._asked.append(command)
        self._wake.set()

    # In the session's own thread

    @abstractmethod
    def _work(self) -> None:
        """All that the session does."""

    @abstractmethod
    def _end(self) -> None:
        """Say that it is over."""

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.failure = error
        self._end()

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _attempt(self, answer: Callable[..., None], *asked: Any) -> None:
        try:
            answer(self, *asked)
        except UserError as error:
            self._events.append(error)

    def _count_step(self) -> None:
        """A step was taken just now."""
        now = time.monotonic()
        self._stepped.append(now)
        while self._stepped and now - self._stepped[0] > RATE_SECONDS:
            self._stepped.popleft()

    @property
    def _rate(self) -> float:
        """Steps a second of late."""
        stepped = self._stepped
        return (len(stepped) - 1) / (stepped[-1] - stepped[0]) if len(stepped) > 1 else 0.0
