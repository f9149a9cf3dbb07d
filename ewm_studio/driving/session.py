"""Driving in a thread of its own: steps on a steady clock, wishes from outside, and snapshots for whoever looks."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ewm_studio.driving.snapshot import EpisodeKept, EpisodeTakenBack, Snapshot, State
from ewm_studio.driving.step_clock import StepClock
from ewm_studio.errors import UserError
from ewm_studio.settings import Experiment

if TYPE_CHECKING:
    # Imported by the session's thread: environments take their time, and whoever starts a session must not wait.
    from ewm_studio.acting.copilot import Copilot
    from ewm_studio.driving.controls import KeyMap, Scheme
    from ewm_studio.driving.decisions import OnDecision
    from ewm_studio.driving.drive import Drive
    from ewm_studio.driving.gamepad import Gamepad

Told = EpisodeKept | EpisodeTakenBack | UserError  # an error is a wish that was refused
IDLE_SECONDS = 0.05  # between two looks at the gamepad while nothing moves
FRAME_SECONDS = 0.015  # least time between two pictures: at 50 steps a second, each has one, also after a late one
STALE_SECONDS = 0.1  # a picture is drawn this often even where steps are late
RATE_SECONDS = 1.0  # over which steps a second are counted
LATE_STEPS = 100  # steps over which the worst lateness is told
CALM_SECONDS = 0.5  # after an episode's end, in which a key pressed in the heat begins nothing
STOP_SECONDS = 30.0


class DriveSession:
    """Drives until it is stopped.

    Whatever is asked is done between two steps, in the session's own thread; no method but `join` waits. `notify` is
    called from that thread whenever there is a new snapshot.

    Attributes:
        snapshot: how things stand.
        failure: what ended the session, where something did.
        scheme: the moves and their keys, once the environment is there.
        usual: the same by the keys that are usual.
    """

    def __init__(
        self,
        experiment: Experiment,
        keys: KeyMap | None = None,
        notify: Callable[[], None] = lambda: None,
        goal: int | None = None,
    ) -> None:
        """Prepare a session; `start` begins it.

        Args:
            experiment: the environment, the first seed and the seconds between two steps.
            keys: the person's own keys for some moves.
            notify: told of every snapshot.
            goal: frames to record, after which the session is over by itself.
        """
        self.snapshot = Snapshot("starting")
        self.failure: BaseException | None = None
        self.scheme: Scheme | None = None
        self.usual: Scheme | None = None
        self.clock = StepClock(1.0)
        self._experiment, self._keys, self._notify = experiment, keys, notify
        self._goal = goal
        self._wishes: deque[Callable[[Drive], None]] = deque()
        self._events: deque[Told] = deque()
        self._wake = threading.Event()
        self._stop = False
        self._state: State = "starting"
        self._speed = 1.0
        self._controls: Any = None
        self._kept_last = False  # the present episode is on disk
        self._ended_at = 0.0
        self._stepped: deque[float] = deque()
        self._frame: np.ndarray | None = None
        self._frame_at = 0.0  # when it was finished
        self._drew_at = 0.0  # when the step was taken that it shows
        self._thread = threading.Thread(target=self._run, name="drive")

    # Asked from outside

    def start(self) -> None:
        """Make the environment and wait for the wheel to be taken."""
        self._thread.start()

    def stop(self) -> None:
        """Keep what was recorded of the present episode, then end; returns at once."""
        self._stop = True
        self._wake.set()

    def join(self) -> bool:
        """Wait for the end; whether it came."""
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def drain(self) -> list[Told]:
        """What happened to the recording, and wishes that were refused, since the last call."""
        events: list[Told] = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def press(self, key: str) -> None:
        """A key goes down: it moves, takes over from the model, and begins an episode where one waits."""
        if self._controls is not None and self._controls.press(key):
            self._ask(self._set_out)

    def release(self, key: str) -> None:
        """A key goes up."""
        if self._controls is not None:
            self._controls.release(key)

    def let_go(self) -> None:
        """Nobody watches the keys any more: all go up, axes go back to zero, and a person's driving rests."""
        if self._controls is not None:
            self._controls.clear()
        self._ask(lambda drive: self._rest() if drive.driver == "person" else None)

    def pause(self) -> None:
        """Rest."""
        self._ask(lambda _: self._rest())

    def resume(self) -> None:
        """Go on; after an episode's end, with the next one."""
        self._ask(self._go_on)

    def restart(self) -> None:
        """Begin the episode again, on the same seed; what was recorded of it is forgotten."""
        self._ask(lambda drive: self._begin(drive, another=False))

    def keep(self) -> None:
        """End the episode here, keep what was recorded of it, and begin another."""

        def end(drive: Drive) -> None:
            self._keep(drive)
            self._begin(drive)

        self._ask(end)

    def discard(self) -> None:
        """Forget the episode, also one that has just ended and was kept, and begin another."""

        def forget(drive: Drive) -> None:
            if drive.over and self._kept_last:
                self._events.append(drive.take_back())
            self._begin(drive)

        self._ask(forget)

    def record(self, folder: Path | None) -> None:
        """Record into a folder from now on; None: no more, and what was recorded of the episode is kept."""

        def change(drive: Drive) -> None:
            self._keep(drive)
            drive.recorder = None
            if folder is not None:
                drive.record(folder)

        self._ask(change)

    def set_speed(self, factor: float) -> None:
        """Slow motion: 0.25 is a quarter of the true pace."""

        def change(drive: Drive) -> None:
            self._speed = factor
            self._set_pace(drive)

        self._ask(change)

    def set_keys(self, keys: KeyMap) -> None:
        """Drive by other keys, at once."""
        if self._controls is not None:
            self._controls.use(keys)
            self.scheme = self._controls.scheme

    def tell(self, on_decision: OnDecision | None) -> None:
        """Have somebody told of every decision, who must return at once; None: nobody any more."""
        self._ask(lambda drive: drive.tell(on_decision))

    def seat(self, copilot: Copilot | None) -> None:
        """Take a model along, or leave it behind."""
        self._ask(lambda drive: drive.seat(copilot))

    def hand_over(self) -> None:
        """The model on board drives, until a key is pressed."""

        def hand(drive: Drive) -> None:
            drive.hand_over()
            if drive.driver == "model":
                self._go_on(drive)

        self._ask(hand)

    def take_over(self) -> None:
        """The person drives."""
        self._ask(lambda drive: drive.take_over())

    def _ask(self, wish: Callable[[Drive], None]) -> None:
        self._wishes.append(wish)
        self._wake.set()

    # In the session's own thread

    def _run(self) -> None:
        from ewm_studio.driving.drive import Drive

        try:
            drive = Drive(self._experiment, self._keys)
            try:
                self._drive(drive)
            finally:
                drive.close()
        except BaseException as error:
            self.failure = error
        self._state = "over"
        self.snapshot = Snapshot("over")
        self._notify()

    def _drive(self, drive: Drive) -> None:
        from ewm_studio.driving.gamepad import Gamepad

        self._controls, self.scheme, self.usual = drive.controls, drive.controls.scheme, drive.usual
        self._fulfil(drive)  # what was asked before: whether to record decides about the first seed
        drive.begin()
        pad = Gamepad()
        self._state = "paused"
        self._set_pace(drive)
        self._publish(drive, draw=True)
        try:
            while not self._stop:
                self._turn(drive, pad)
        finally:
            self._keep(drive)

    def _turn(self, drive: Drive, pad: Gamepad) -> None:
        """One round: wishes, gamepad, and a step where it is time for one."""
        asked = self._fulfil(drive)
        for key in pad.poll(self._controls):
            self.press(key)
        if self._state != "driving":
            if asked:
                self._publish(drive, draw=True)
            self._wait(IDLE_SECONDS)
            self.clock.restart()
        elif (wait := self.clock.wait) > 0:
            self._wait(wait)
        else:
            self._step(drive)

    def _wait(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _fulfil(self, drive: Drive) -> bool:
        """Do what was asked; whether anything was."""
        asked = bool(self._wishes)
        while self._wishes:
            try:
                self._wishes.popleft()(drive)
            except UserError as error:
                self._events.append(error)
        return asked

    def _step(self, drive: Drive) -> None:
        self.clock.tick()
        if not drive.step():  # the environment waits for a key
            self._publish(drive, draw=False)
            return
        now = time.monotonic()
        self._stepped.append(now)
        while self._stepped and now - self._stepped[0] > RATE_SECONDS:
            self._stepped.popleft()
        if drive.over:
            self._keep(drive)
            if drive.driver == "model":
                self._begin(drive)
            else:
                self._state, self._ended_at = "ended", time.monotonic()
        if self._goal is not None and drive.frames_recorded >= self._goal:
            self._stop = True
        since = now - self._drew_at
        hurried = self.clock.wait <= 0 and since < STALE_SECONDS
        draw = drive.over or (since > FRAME_SECONDS and not hurried)
        self._drew_at = now if draw else self._drew_at
        self._publish(drive, draw)

    def _set_out(self, drive: Drive) -> None:
        """A key was pressed."""
        drive.take_over()
        ready = self._state == "paused" and drive.steps == 0
        calm = time.monotonic() - self._ended_at > CALM_SECONDS
        if ready or (self._state == "ended" and calm):
            self._go_on(drive)

    def _go_on(self, drive: Drive) -> None:
        if drive.over:
            self._begin(drive)
        self._state = "driving"
        self.clock.restart()

    def _begin(self, drive: Drive, another: bool = True) -> None:
        """Begin an episode; where the last one had ended or rested, with a rest."""
        drive.begin(another)
        self._kept_last = False
        if self._state != "driving":
            self._state = "paused"
        self.clock.restart()

    def _rest(self) -> None:
        if self._state == "driving":
            self._state = "paused"

    def _keep(self, drive: Drive) -> None:
        kept = drive.keep()
        self._kept_last = self._kept_last or kept is not None
        if kept is not None:
            self._events.append(kept)
        self.clock.restart()  # a disk takes its time

    def _set_pace(self, drive: Drive) -> None:
        self.clock.period = drive.period / self._speed
        self.clock.restart()

    def _publish(self, drive: Drive, draw: bool) -> None:
        if draw:
            self._frame = drive.picture()
            self._frame_at = time.monotonic()
        recorder, late = drive.recorder, self.clock.lateness
        self.snapshot = Snapshot(
            state=self._state,
            frame=self._frame,
            drawn_at=self._frame_at,
            driver=drive.driver,
            episode=drive.episode,
            steps=drive.steps,
            step_limit=drive.step_limit,
            reward=drive.reward,
            seconds=drive.seconds,
            speed=drive.speed,
            held=drive.controls.held,
            values=self._axes(drive),
            action=drive.action,
            steps_per_second=self._rate,
            period=self.clock.period,
            late=late[-1] if late else 0.0,
            worst=max(list(late)[-LATE_STEPS:], default=0.0),
            recording=recorder.name if recorder is not None else "",
            episode_recorded=recorder.length if recorder is not None else 0,
            frames_recorded=drive.frames_recorded,
            episodes_kept=len(drive.kept),
            bytes_kept=sum(episode.bytes for episode in drive.kept),
            copilot=drive.copilot.name if drive.copilot is not None else "",
        )
        self._notify()

    @property
    def _rate(self) -> float:
        """Steps a second of late."""
        stepped = self._stepped
        return (len(stepped) - 1) / (stepped[-1] - stepped[0]) if len(stepped) > 1 else 0.0

    def _axes(self, drive: Drive) -> tuple[float, ...]:
        if drive.driver == "model" and drive.action is not None and drive.controls.values:
            return tuple(float(value) for value in drive.action)
        return drive.controls.values
