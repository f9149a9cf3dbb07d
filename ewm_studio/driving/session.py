"""Driving in a thread of its own: steps on a steady clock, commands from outside, and snapshots for whoever looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ewm_studio.driving import commands
from ewm_studio.driving.clocked import ClockedSession
from ewm_studio.driving.commands import Command
from ewm_studio.driving.snapshot import DriveState, EpisodeKept, EpisodeTakenBack, ModelOnBoard, Snapshot
from ewm_studio.errors import UserError
from ewm_studio.settings import Experiment

if TYPE_CHECKING:
    # Imported by the session's thread: environments take their time, and whoever starts a session must not wait.
    from ewm_studio.acting.copilot import Copilot
    from ewm_studio.driving.controls import KeyMap
    from ewm_studio.driving.decisions import OnDecision
    from ewm_studio.driving.drive import Drive

Told = EpisodeKept | EpisodeTakenBack | ModelOnBoard
FRAME_SECONDS = 0.015  # least time between two pictures: at 50 steps a second, each has one, also after a late one
STALE_SECONDS = 0.1  # a picture is drawn this often even where steps are late
LATE_STEPS = 100  # steps over which the worst lateness is told
CALM_SECONDS = 0.5  # after an episode's end, in which a key pressed in the heat begins nothing


class DriveSession(ClockedSession["Drive", Command, Told]):
    """Drives until it is stopped.

    Attributes:
        snapshot: how things stand.
    """

    def __init__(
        self,
        experiment: Experiment,
        keys: KeyMap | None = None,
        notify: Callable[[], None] = lambda: None,
        goal: int | None = None,
        on_decision: OnDecision | None = None,
        by_keys: bool = True,
    ) -> None:
        """Prepare a session; `start` begins it.

        Args:
            experiment: the environment, the first seed and the seconds between two steps.
            keys: the person's own keys for some moves.
            notify: told of every snapshot.
            goal: frames to record, after which the session is over by itself.
            on_decision: told of every decision from the session's thread, and must return at once.
            by_keys: refuse what cannot be driven by keys; else a model may still drive it.
        """
        super().__init__("drive", notify)
        self.snapshot = Snapshot("starting")
        self._experiment, self._keys = experiment, keys
        self._goal, self._on_decision, self._by_keys = goal, on_decision, by_keys
        self._relief: Copilot | None = None  # takes the wheel from another model when the next episode begins
        self._loading: commands.LoadModel | None = None  # the model that is wanted and not there yet
        self._state: DriveState = "starting"
        self._kept_last = False  # the present episode is on disk
        self._ended_at = 0.0
        self._frame: np.ndarray | None = None
        self._frame_at = 0.0  # when it was finished
        self._drew_at = 0.0  # when the step was taken that it shows

    # In the session's own thread

    def _work(self) -> None:
        from ewm_studio.driving.drive import Drive

        drive = Drive(self._experiment, self._keys, by_keys=self._by_keys)
        try:
            self._drive(drive)
        finally:
            drive.close()

    def _end(self) -> None:
        self._state = "over"
        self.snapshot = Snapshot("over")
        self._notify()

    def _drive(self, drive: Drive) -> None:
        from ewm_studio.driving.gamepad import Gamepad

        self._take_wheel(drive)
        drive.tell(self._on_decision)
        self._obey(drive)  # what was asked before: whether to record decides about the first seed
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

    @property
    def _moves(self) -> bool:
        return self._state == "driving"

    def _show(self, drive: Drive) -> None:
        self._publish(drive, draw=True)

    def _tick(self, drive: Drive) -> None:
        self.clock.tick()
        if not drive.step():  # the environment waits for a key
            self._publish(drive, draw=False)
            return
        now = time.monotonic()
        self._count_step()
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

    # Commands, one method each

    def _press(self, drive: Drive, command: commands.Press) -> None:
        if self._state == "starting" or not drive.controls.press(command.key):
            return
        drive.take_over()
        ready = self._state == "paused" and drive.steps == 0
        calm = time.monotonic() - self._ended_at > CALM_SECONDS
        if ready or (self._state == "ended" and calm):
            self._go_on(drive)

    def _resume(self, drive: Drive, _: commands.Resume) -> None:
        self._go_on(drive)

    def _restart(self, drive: Drive, _: commands.Restart) -> None:
        self._begin(drive, another=False)

    def _keep_and_begin(self, drive: Drive, _: commands.Keep) -> None:
        self._keep(drive)
        self._begin(drive)

    def _discard(self, drive: Drive, command: commands.Discard) -> None:
        if command.to_bin:
            self._keep(drive)
        if self._kept_last and (drive.over or command.to_bin):
            self._events.append(drive.take_back(delete=not command.to_bin))
        self._begin(drive)

    def _record(self, drive: Drive, command: commands.Record) -> None:
        self._keep(drive)
        drive.recorder = None
        if command.folder is not None:
            drive.record(command.folder)

    def _load_model(self, _: Drive, command: commands.LoadModel) -> None:
        self._loading = command
        self._aside("load model", lambda: self._load(command), DriveSession._take_along)

    def _load(self, command: commands.LoadModel) -> tuple[commands.LoadModel, Copilot | UserError]:
        """In a thread of its own: reading a model, and PyTorch with it, takes many steps' time."""
        from ewm_studio.acting.copilot import load_copilot

        loaded: Copilot | UserError
        try:
            loaded = load_copilot(command.path, command.name, command.greedy)
        except UserError as error:
            loaded = error
        except Exception as error:
            loaded = UserError(f"the model of {command.name} cannot be loaded: {type(error).__name__}: {error}")
        return command, loaded

    def _take_along(self, drive: Drive, loaded: tuple[commands.LoadModel, Copilot | UserError]) -> None:
        command, copilot = loaded
        if command is not self._loading:
            return
        self._loading = None
        if isinstance(copilot, UserError):
            raise copilot
        if command.drives and drive.driver == "model" and self._state == "driving" and not drive.over:
            self._relief = copilot
            return
        drive.take_along(copilot)
        self._events.append(ModelOnBoard(command.name))
        if command.drives:
            drive.hand_over()
            self._go_on(drive)

    def _drop_model(self, drive: Drive, _: commands.DropModel) -> None:
        self._loading = self._relief = None
        drive.take_along(None)

    def _hand_over(self, drive: Drive, _: commands.HandOver) -> None:
        drive.hand_over()
        if drive.driver == "model":
            self._go_on(drive)

    # What they come to

    def _go_on(self, drive: Drive) -> None:
        if drive.over:
            self._begin(drive)
        self._state = "driving"
        self.clock.restart()

    def _begin(self, drive: Drive, another: bool = True) -> None:
        """Begin an episode; with a rest where the last one had ended or rested, or a person is recorded."""
        if self._relief is not None:
            relief, self._relief = self._relief, None
            by_model = drive.driver == "model"
            drive.take_along(relief)
            self._events.append(ModelOnBoard(relief.name))
            if by_model:
                drive.hand_over()
        drive.begin(another)
        self._kept_last = False
        recorded = drive.recorder is not None and drive.driver == "person"
        if self._state != "driving" or recorded:
            self._state = "paused"
        self.clock.restart()

    def _rest(self, _: Drive) -> None:
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

    def _axes(self, drive: Drive) -> tuple[float, ...]:
        if drive.driver == "model" and drive.action is not None and drive.controls.values:
            return tuple(float(value) for value in drive.action)
        return drive.controls.values


DriveSession.answers = {
    commands.Press: DriveSession._press,
    commands.Release: DriveSession._release,
    commands.LetGo: DriveSession._let_go,
    commands.Pause: DriveSession._pause,
    commands.Resume: DriveSession._resume,
    commands.Restart: DriveSession._restart,
    commands.Keep: DriveSession._keep_and_begin,
    commands.Discard: DriveSession._discard,
    commands.Record: DriveSession._record,
    commands.SetSpeed: DriveSession._set_speed,
    commands.SetKeys: DriveSession._set_keys,
    commands.LoadModel: DriveSession._load_model,
    commands.DropModel: DriveSession._drop_model,
    commands.HandOver: DriveSession._hand_over,
    commands.TakeOver: DriveSession._take_over,
}
