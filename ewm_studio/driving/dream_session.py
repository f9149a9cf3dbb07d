"""Driving in a dream, in a thread of its own: decisions at the true rate, and pictures between them.

The clock ticks once a frame of the environment. At every decision's first tick the person's action is read and the
dream takes its step; at each tick a picture is shown that is so much of the way to what the decision led to, so that
the first one that answers a key comes as soon as it is computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ewm_studio.driving import commands
from ewm_studio.driving import dream_commands as asked_for
from ewm_studio.driving.clocked import ClockedSession
from ewm_studio.driving.dream_commands import DreamCommand
from ewm_studio.driving.dream_snapshot import (
    DreamPath,
    DreamSaved,
    DreamSnapshot,
    DreamState,
    FanDrawn,
    ModelSwapped,
)
from ewm_studio.driving.dream_view import DreamView
from ewm_studio.driving.snapshot import EpisodeKept
from ewm_studio.driving.step_clock import StepClock
from ewm_studio.errors import UserError

if TYPE_CHECKING:
    # Imported by the session's thread, as `DriveSession` does.
    from ewm_studio.acting.agent import Agent
    from ewm_studio.driving.controls import KeyMap
    from ewm_studio.driving.dream_beginning import DreamBeginning
    from ewm_studio.driving.dream_drive import DreamDrive

DreamTold = EpisodeKept | FanDrawn | ModelSwapped | DreamSaved
HURRIED = 0.5  # of a frame's time: a tick that comes later shows no picture between


class DreamSession(ClockedSession["DreamDrive", DreamCommand, DreamTold]):
    """Drives in a dream until it is stopped.

    Attributes:
        snapshot: how things stand.
        decisions: a clock that keeps how late each decision came, `lateness`, in seconds.
    """

    def __init__(
        self,
        beginning: DreamBeginning,
        keys: KeyMap | None = None,
        notify: Callable[[], None] = lambda: None,
        between: bool = True,
    ) -> None:
        """Prepare a session; `start` begins it, and it waits for a key.

        Args:
            beginning: the model, and where it is to begin.
            keys: the person's own keys for some moves.
            notify: told of every snapshot, from the session's thread.
            between: draw pictures between two decisions.
        """
        super().__init__("dream", notify)
        self.snapshot = DreamSnapshot("starting")
        self.decisions = StepClock(1.0)
        self._beginning, self._keys, self._between = beginning, keys, between
        self._state: DreamState = "starting"
        self._ticks, self._once = 0, False
        self._view = DreamView(between)
        self._took = 0.0
        self._path: list[Any] = []
        self._swapping: object | None = None

    # In the session's own thread

    def _work(self) -> None:
        from ewm_studio.acting.agent import load_agent
        from ewm_studio.driving.dream_beginning import load_start
        from ewm_studio.driving.dream_drive import DreamDrive

        begun = self._beginning
        agent = load_agent(begun.model)
        start = load_start(agent, begun.source)
        drive = DreamDrive(
            agent,
            start,
            name=begun.name,
            seed=begun.seed,
            temperature=begun.temperature,
            beside=begun.beside,
            keys=self._keys,
            measure=begun.measure,
            live=True,
        )
        try:
            self._drive(drive)
        finally:
            drive.close()

    def _end(self) -> None:
        self._state = "over"
        self.snapshot = DreamSnapshot("over")
        self._notify()

    def _drive(self, drive: DreamDrive) -> None:
        from ewm_studio.driving.gamepad import Gamepad

        self._take_wheel(drive)
        pad = Gamepad()
        self._state = "paused"
        self._set_pace(drive)
        self._stand(drive)
        while not self._stop:
            self._turn(drive, pad)

    @property
    def _moves(self) -> bool:
        return self._state == "driving"

    def _show(self, drive: DreamDrive) -> None:
        self._publish(drive)

    def _tick(self, drive: DreamDrive) -> None:
        """A frame's time has come: a decision, or a picture between two."""
        late = max(0.0, -self.clock.wait)
        self.clock.tick()
        within = self._ticks % drive.repeat
        if within == 0 and not self._decide(drive, late):
            self._publish(drive)
            return
        self._ticks += 1
        if self._state == "ended" or (self._once and self._ticks % drive.repeat == 0):
            self._once = False
            self._rest(drive, self._state)
            return
        if within and (late > HURRIED * self.clock.period or not self._between):
            return
        self._view.draw(drive, within + 1)
        if within == 0:
            self._publish(drive)
        else:
            self._publish_picture(drive)

    def _decide(self, drive: DreamDrive, late: float) -> bool:
        """Take a decision; whether there was one."""
        began = time.monotonic()
        self._view.decide()
        step = drive.step()
        if step is None:
            if drive.driver == "recorded":  # nothing is left
                drive.take_over()
                self._rest(drive)
            return False
        self._took = time.monotonic() - began
        self.decisions.lateness.append(late)
        self._count_step()
        if self._path and len(self._path) == drive.tree.place.step - 1:
            self._path.append(step)
        else:
            self._path = drive.tree.path()
        self._view.judge(drive)
        if step.ended:
            self._state = "ended"
        return True

    # Commands, one method each

    def _press(self, drive: DreamDrive, command: commands.Press) -> None:
        if self._state == "starting" or not drive.controls.press(command.key):
            return
        self._view.press()
        drive.take_over()
        if self._state == "paused" and not drive.tree.place.step:  # the driver is ready
            self._go_on()

    def _resume(self, _: DreamDrive, __: commands.Resume) -> None:
        self._go_on()

    def _restart(self, drive: DreamDrive, _: commands.Restart) -> None:
        self._go_to(drive, asked_for.GoTo(0, 0))

    def _one_step(self, _: DreamDrive, __: asked_for.Step) -> None:
        self._go_on(once=True)

    def _rewind(self, drive: DreamDrive, command: asked_for.Rewind) -> None:
        drive.rewind(command.steps)
        self._stand(drive)

    def _go_to(self, drive: DreamDrive, command: asked_for.GoTo) -> None:
        from ewm_studio.dreams.branches import Place

        drive.go(Place(command.branch, command.step))
        self._stand(drive)

    def _fork(self, drive: DreamDrive, command: asked_for.Fork) -> None:
        drive.tree.fork("another turn" if command.seed is None else f"seed {command.seed}", command.seed)

    def _name_branch(self, drive: DreamDrive, command: asked_for.NameBranch) -> None:
        drive.tree.rename(command.branch, command.name)

    def _keep_branch(self, drive: DreamDrive, command: asked_for.KeepBranch) -> None:
        drive.tree.keep(command.branch, command.kept)

    def _delete_branch(self, drive: DreamDrive, command: asked_for.DeleteBranch) -> None:
        here = drive.tree.place
        drive.tree.delete(command.branch)
        if drive.tree.place != here:
            self._stand(drive)

    def _let_drive(self, drive: DreamDrive, command: asked_for.LetDrive) -> None:
        drive.hand_over(command.who)
        self._go_on()

    def _set_rival(self, drive: DreamDrive, command: asked_for.SetRival) -> None:
        drive.set_rival(command.on)
        self._redraw(drive)

    def _set_temperature(self, drive: DreamDrive, command: asked_for.SetTemperature) -> None:
        if not 0 <= command.value <= 10:
            raise UserError(f"temperature {command.value:g}: give one from 0 to 10")
        drive.tree.temperature = command.value

    def _draw_fan(self, drive: DreamDrive, command: asked_for.DrawFan) -> None:
        place = drive.tree.place

        def draw() -> FanDrawn:
            return FanDrawn(place, drive.fans(command.under, command.count, command.steps))

        self._aside("fan", draw, DreamSession._tell)

    def _edit(self, drive: DreamDrive, command: asked_for.EditLatents) -> None:
        drive.tree.edit(dict(command.values))
        self._redraw(drive)

    def _swap(self, drive: DreamDrive, command: asked_for.SwapModel) -> None:
        from ewm_studio.acting.agent import load_agent

        self._swapping = command
        self._aside("load model", lambda: (command, load_agent(command.path)), DreamSession._swapped)

    def _swapped(self, drive: DreamDrive, loaded: tuple[asked_for.SwapModel, Agent]) -> None:
        command, agent = loaded
        if command is not self._swapping:  # another was asked for meanwhile
            return
        self._swapping = None
        drive.swap(agent, command.name, command.parts)
        self._events.append(ModelSwapped(command.name, command.parts))
        self._redraw(drive)

    def _keep_recording(self, drive: DreamDrive, command: asked_for.KeepRecording) -> None:
        kept = drive.keep_recording(command.folder)
        if kept is None:
            raise UserError("nothing was driven yet, so there is nothing to keep")
        self._events.append(kept)
        self.clock.restart()  # a disk takes its time

    def _save(self, drive: DreamDrive, command: asked_for.SaveDream) -> None:
        from ewm_studio.dreams.kept_dream import save_dream

        save_dream(command.folder, drive.tree)
        self._events.append(DreamSaved(str(command.folder)))
        self.clock.restart()

    # What they come to

    def _tell(self, _: DreamDrive, event: DreamTold) -> None:
        self._events.append(event)

    def _go_on(self, once: bool = False) -> None:
        """Drive; also after an end, since memory may be wrong about it."""
        self._state, self._once, self._ticks = "driving", once, 0
        self.clock.restart()

    def _rest(self, drive: DreamDrive, state: DreamState = "paused") -> None:
        """Stay at what the last decision led to."""
        if self._state in ("driving", "ended"):
            self._state = "ended" if state == "ended" else "paused"
            self._ticks = 0
            self._redraw(drive)

    def _stand(self, drive: DreamDrive) -> None:
        """Show the place where the dream was put, and rest there."""
        self._path = drive.tree.path()
        self._ticks, self._once = 0, False
        self._view.judge(drive)
        self._state = "paused"
        self._redraw(drive)

    def _redraw(self, drive: DreamDrive) -> None:
        self._view.draw(drive, drive.repeat)
        self._publish(drive)

    def _set_pace(self, drive: DreamDrive) -> None:
        self.clock.period = drive.frame_seconds / self._speed
        self.clock.restart()

    def _publish(self, drive: DreamDrive) -> None:
        self.snapshot = self._view.snapshot(
            drive,
            state=self._state,
            path=DreamPath(self._path, len(self._path)),
            decisions_per_second=self._rate,
            period=drive.repeat * drive.frame_seconds / self._speed,
            decision_seconds=self._took,
            late=self.decisions.lateness,
        )
        self._notify()

    def _publish_picture(self, drive: DreamDrive) -> None:
        """Nothing has changed but the pictures and what is held."""
        self.snapshot = self._view.newer(self.snapshot, drive)
        self._notify()


DreamSession.answers = {
    commands.Press: DreamSession._press,
    commands.Release: DreamSession._release,
    commands.LetGo: DreamSession._let_go,
    commands.Pause: DreamSession._pause,
    commands.Resume: DreamSession._resume,
    commands.Restart: DreamSession._restart,
    commands.SetSpeed: DreamSession._set_speed,
    commands.SetKeys: DreamSession._set_keys,
    commands.TakeOver: DreamSession._take_over,
    asked_for.Step: DreamSession._one_step,
    asked_for.Rewind: DreamSession._rewind,
    asked_for.GoTo: DreamSession._go_to,
    asked_for.Fork: DreamSession._fork,
    asked_for.NameBranch: DreamSession._name_branch,
    asked_for.KeepBranch: DreamSession._keep_branch,
    asked_for.DeleteBranch: DreamSession._delete_branch,
    asked_for.LetDrive: DreamSession._let_drive,
    asked_for.SetRival: DreamSession._set_rival,
    asked_for.SetTemperature: DreamSession._set_temperature,
    asked_for.DrawFan: DreamSession._draw_fan,
    asked_for.EditLatents: DreamSession._edit,
    asked_for.SwapModel: DreamSession._swap,
    asked_for.KeepRecording: DreamSession._keep_recording,
    asked_for.SaveDream: DreamSession._save,
}
