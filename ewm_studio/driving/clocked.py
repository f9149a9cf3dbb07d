"""Something that goes on in a thread of its own on a steady clock, and is told what to do by commands."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from ewm_studio.driving import commands
from ewm_studio.driving.step_clock import StepClock
from ewm_studio.errors import UserError

if TYPE_CHECKING:
    from ewm_studio.driving.controls import Controls
    from ewm_studio.driving.gamepad import Gamepad
    from ewm_studio.driving.schemes import Scheme

IDLE_SECONDS = 0.05  # between two looks at the gamepad while nothing moves
RATE_SECONDS = 1.0  # over which steps a second are counted
STOP_SECONDS = 30.0


class Steered(Protocol):
    """What is driven: an environment or a dream."""

    controls: Controls

    @property
    def usual(self) -> Scheme:
        """The moves by the keys that are usual."""

    @property
    def driver(self) -> str:
        """Who decides."""

    def take_over(self) -> None:
        """The person drives."""


Driven = TypeVar("Driven", bound=Steered)
Command = TypeVar("Command")
Told = TypeVar("Told")


class ClockedSession(ABC, Generic[Driven, Command, Told]):
    """Goes on until it is stopped.

    What is asked by a command is done between two steps, in the session's own thread; no method but `join` waits.
    `notify` is called from that thread whenever there is a new snapshot.

    Attributes:
        answers: the method that does what a command asks for, by the command's class.
        failure: what ended the session, where something did.
        clock: when the next step is due.
        scheme: the moves and their keys, once what is driven is there.
        usual: the same by the keys that are usual.
    """

    answers: ClassVar[dict[type, Callable[..., None]]]

    def __init__(self, name: str, notify: Callable[[], None]) -> None:
        self.failure: BaseException | None = None
        self.clock = StepClock(1.0)
        self.scheme: Scheme | None = None
        self.usual: Scheme | None = None
        self._speed = 1.0
        self._notify = notify
        self._asked: deque[Command] = deque()
        self._events: deque[Told | UserError] = deque()  # an error is a command that was refused
        self._done: deque[tuple[Callable[..., None], Any]] = deque()  # aside, to be taken in between two steps
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

    @property
    @abstractmethod
    def _moves(self) -> bool:
        """Whether steps are taken at present."""

    @abstractmethod
    def _tick(self, drive: Driven) -> None:
        """The clock's time has come."""

    @abstractmethod
    def _press(self, drive: Driven, command: commands.Press) -> None:
        """A key went down."""

    @abstractmethod
    def _rest(self, drive: Driven) -> None:
        """Take no more steps."""

    @abstractmethod
    def _set_pace(self, drive: Driven) -> None:
        """Have the clock go as `_speed` says."""

    @abstractmethod
    def _show(self, drive: Driven) -> None:
        """Tell how it stands after a command, while nothing moves."""

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.failure = error
        self._end()

    def _take_wheel(self, drive: Driven) -> None:
        """What is driven is there."""
        self.scheme, self.usual = drive.controls.scheme, drive.usual

    def _turn(self, drive: Driven, pad: Gamepad) -> None:
        """One round: commands, gamepad, and a tick where it is time for one."""
        asked = self._obey(drive)
        for key in pad.poll(drive.controls):
            self._press(drive, commands.Press(key))
        if not self._moves:
            if asked:
                self._show(drive)
            self._wait(IDLE_SECONDS)
            self.clock.restart()
        elif (wait := self.clock.wait) > 0:
            self._wait(wait)
        else:
            self._tick(drive)

    def _obey(self, drive: Driven) -> bool:
        """Do what was asked until now; whether anything was."""
        asked, done = len(self._asked), len(self._done)
        for _ in range(asked):
            command = self._asked.popleft()
            self._attempt(self.answers[type(command)], drive, command)
        for _ in range(done):
            answer, value = self._done.popleft()
            self._attempt(answer, drive, value)
        return bool(asked or done)

    def _aside(self, name: str, work: Callable[[], Any], answer: Callable[..., None]) -> None:
        """Do what takes many steps' time in a thread of its own; the session takes in what comes of it."""

        def run() -> None:
            try:
                self._done.append((answer, work()))
            except UserError as error:
                self._events.append(error)
            except Exception as error:
                self._events.append(UserError(f"{name}: {type(error).__name__}: {error}"))
            self._wake.set()

        threading.Thread(target=run, name=name).start()

    # Commands that are the same for whatever is driven

    def _release(self, drive: Driven, command: commands.Release) -> None:
        drive.controls.release(command.key)

    def _let_go(self, drive: Driven, _: commands.LetGo) -> None:
        drive.controls.clear()
        if drive.driver == "person":
            self._rest(drive)

    def _pause(self, drive: Driven, _: commands.Pause) -> None:
        self._rest(drive)

    def _set_speed(self, drive: Driven, command: commands.SetSpeed) -> None:
        self._speed = command.factor
        self._set_pace(drive)

    def _set_keys(self, drive: Driven, command: commands.SetKeys) -> None:
        drive.controls.use(command.keys)
        self.scheme = drive.controls.scheme

    def _take_over(self, drive: Driven, _: commands.TakeOver) -> None:
        drive.take_over()

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
