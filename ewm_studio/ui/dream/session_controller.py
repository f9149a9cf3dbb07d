"""Joins the Dream page to a session: keys and commands one way, snapshots and what was drawn the other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from ewm_studio import formatting as format
from ewm_studio.dreams.branches import Place
from ewm_studio.driving import commands
from ewm_studio.driving import dream_commands as asked_for
from ewm_studio.driving.dream_beginning import DreamBeginning, Source
from ewm_studio.driving.dream_session import DreamSession
from ewm_studio.driving.dream_snapshot import DreamSaved, DreamSnapshot, FanDrawn, ModelSwapped
from ewm_studio.driving.snapshot import EpisodeKept
from ewm_studio.errors import JobError, Untrusted, UserError
from ewm_studio.ui.dream.page import REWOUND, DreamPage
from ewm_studio.ui.dream.view import KEYS, join
from ewm_studio.ui.kit.keys_dialog import chosen_keys
from ewm_studio.ui.kit.steering import SteeringController
from ewm_studio.ui.page import Activity
from ewm_studio.ui.services import Services
from ewm_studio.workspace.workspace import safe_name

if TYPE_CHECKING:
    from ewm_studio.dreams.dream_models import DreamModel  # brings torch, for which a window does not wait

TOLD_SECONDS = 0.1  # between two looks at the tree, the lanes and the figures while it is driven
FAN_DRAWS, FAN_STEPS = 7, 16


@dataclass(frozen=True)
class _NextAsked:
    """The fan that was asked for without anybody's word: the next frame, where the dream rests."""

    place: Place
    z: bytes


class DreamSessionController(SteeringController):
    """One dream at a time."""

    told = Signal(Activity)
    saved = Signal(object)  # DreamSaved: the tree is on disk
    session: DreamSession | None
    page: DreamPage
    fixed_keys = KEYS

    def __init__(self, page: DreamPage, services: Services, parent: QObject | None = None) -> None:
        """Join a page."""
        super().__init__(page, parent)
        self._services = services
        self.models: list[DreamModel] = []
        self.model: DreamModel | None = None  # that the dream began with
        self._told = 0.0  # when
        self._state = ""
        self._next: _NextAsked | None = None
        self._connect()

    def _connect(self) -> None:
        page, strip = self.page, self.page.strip
        page.pause_asked.connect(lambda: self._ask(commands.Pause()))
        page.step_asked.connect(lambda: self._ask(asked_for.Step()))
        page.rewind_asked.connect(lambda: self._ask(asked_for.Rewind(REWOUND)))
        page.back_asked.connect(lambda: self._ask(commands.Restart()))
        page.hand_over_asked.connect(self.toggle_driver)
        strip.driver_chosen.connect(self.choose_driver)
        strip.temperature_chosen.connect(lambda value: self._ask(asked_for.SetTemperature(value)))
        strip.fork_asked.connect(self._fork)
        strip.fan_asked.connect(self._draw_fan)
        strip.edit_toggled.connect(self._on_edit)
        strip.rival_toggled.connect(lambda on: self._ask(asked_for.SetRival(on)))
        strip.swap_asked.connect(self.swap)
        strip.keep_asked.connect(self.keep)
        page.branches.went.connect(self.go)
        page.timeline.went.connect(self.go)
        page.branches.named.connect(lambda number, name: self._ask(asked_for.NameBranch(number, name)))
        page.branches.kept.connect(lambda number, kept: self._ask(asked_for.KeepBranch(number, kept)))
        page.branches.deleted.connect(lambda number: self._ask(asked_for.DeleteBranch(number)))
        page.edit.edited.connect(lambda values: self._ask(asked_for.EditLatents(values)))

    # Beginning and ending

    @property
    def env(self) -> str:
        """The id of the environment that is dreamt of."""
        return self.model.env if self.model is not None else ""

    @property
    def dreaming(self) -> bool:
        """Whether there is a session."""
        return self.session is not None

    @property
    def standing(self) -> DreamSnapshot | None:
        """How the dream stands, once it is there."""
        session = self.session
        if session is None or session.snapshot.state in ("starting", "over"):
            return None
        return session.snapshot

    def begin(self, model: DreamModel, source: Source, measure: dict[str, float] | None) -> None:
        """Dream from a source on; a dream that goes on is left."""
        self.end()
        self.model = model
        beginning = DreamBeginning(model.path, model.name, source, 0, self.page.strip.degrees, True, measure)
        self.page.show_starting(model.name)
        self.page.speed.set_value("1")
        self._state, self._next = "", None
        self.session = DreamSession(beginning, chosen_keys(model.env), self._on_notify)
        self.session.start()
        if self._services.jobs.running:
            self._say("A job is running: it and the dream slow each other down.")
        self.began.emit()

    def end(self) -> bool:
        """End the dream and wait for that; whether there was one."""
        there_was = super().end()
        if there_was:
            self.page.show_idle()
            self.page.edit.forget()
            self.ended.emit()
        return there_was

    # Commands

    def resume(self) -> None:
        """Dream on."""
        self._ask(commands.Resume())
        self.page.view.setFocus()

    def choose_driver(self, who: str) -> None:
        """Somebody else decides, or the person."""
        if who == "person":
            self._ask(commands.TakeOver())
        elif who in ("controller", "planner", "recorded"):
            self._ask(asked_for.LetDrive(who))  # type: ignore[arg-type]
        self.page.view.setFocus()

    def toggle_driver(self) -> None:
        """The controller drives, or the person takes over."""
        if (standing := self.standing) is not None:
            self.choose_driver("controller" if standing.driver == "person" else "person")

    def go(self, place: Place) -> None:
        """Stand at a place."""
        self._ask(asked_for.GoTo(place.branch, place.step))

    def swap(self, name: str, parts: str = "vm") -> None:
        """Let another model, or parts of it, take over."""
        found = next((model for model in self.models if model.name == name), None)
        if found is not None and self.session is not None:
            self._say(f"Loading {name}")
            self._ask(asked_for.SwapModel(found.path, name, parts))
            self.page.view.setFocus()

    def keep(self) -> None:
        """Keep the way to here as an episode of a recording."""
        if self.model is not None:
            folder = self._services.workspace.recordings_folder / f"dreams-{safe_name(self.model.env)}"
            self._ask(asked_for.KeepRecording(folder))

    def _fork(self) -> None:
        """Begin a branch here; its number is its seed, so that each draws another way."""
        if (standing := self.standing) is not None:
            self._ask(asked_for.Fork(1 + max(info.number for info in standing.branches)))
            self._say("Another turn from here: drive on, and memory draws it otherwise.")

    def _draw_fan(self, under: str) -> None:
        if self.standing is not None and under in ("action", "controller", "turns"):
            self._say("Drawing futures")
            self._next = None
            self._ask(asked_for.DrawFan(under, FAN_DRAWS, FAN_STEPS))  # type: ignore[arg-type]
            self.page.view.setFocus()

    def _on_edit(self, shown: bool) -> None:
        self.page.show_edit(shown)
        if shown and self.standing is not None:
            self.page.edit.show_snapshot(self.standing)

    # What the session says

    def _look(self, session: DreamSession, snapshot: DreamSnapshot) -> None:
        if snapshot.state == "starting":
            return
        if not self._state and session.scheme is not None:
            self.page.strip.caps.show_scheme(session.scheme)
            self.page.strip.caps.show()
        now = time.monotonic()
        if snapshot.state != "driving" or snapshot.state != self._state or now - self._told > TOLD_SECONDS:
            self._told, self._state = now, snapshot.state
            self.page.show_snapshot(snapshot)
            if self.page.strip.edit.isChecked():
                self.page.edit.show_snapshot(snapshot)
            self.told.emit(activity_of(snapshot))
            self._look_ahead(snapshot)
        else:
            self.page.show_frame(snapshot)

    def _look_ahead(self, snapshot: DreamSnapshot) -> None:
        """Where the dream rests, have the next frame drawn a few times."""
        if snapshot.state == "driving" or snapshot.z is None:
            return
        asked = _NextAsked(snapshot.place, snapshot.z.tobytes())
        if asked != self._next:
            self._next = asked
            self._ask(asked_for.DrawFan("action", FAN_DRAWS, 1))

    def _take_events(self, session: DreamSession) -> None:
        for event in session.drain():
            if isinstance(event, FanDrawn):
                self._show_fans(event)
            elif isinstance(event, EpisodeKept):
                self.page.dream_kept.emit(event.recording, event.path)
                self._say(f"{Path(event.path).name} of {event.recording} is kept, marked as dreamt")
            elif isinstance(event, ModelSwapped):
                what = {"m": "The memory", "v": "The vision"}.get(event.parts, "The model")
                self._say(f"{what} of {event.name} dreams from here on")
            elif isinstance(event, DreamSaved):
                self.saved.emit(event)
            else:
                self._say(str(event))
                if (standing := self.standing) is not None:  # a choice that was refused is taken back
                    self.page.strip.show_snapshot(standing)

    def _show_fans(self, drawn: FanDrawn) -> None:
        fans = drawn.fans
        if not fans:
            return
        if len(fans[0].spread) == 1:
            self.page.next.show_fan(fans[0], drawn.place.step)
        else:
            self.page.futures.show_fans(fans, drawn.place.step)
            self.page.show_futures()
            self.page.say("")

    def _on_over(self, session: DreamSession) -> None:
        session.join()
        self.session = None
        failure = self.failure = session.failure
        self.page.show_idle()
        self.page.edit.forget()
        self.ended.emit()
        if isinstance(failure, UserError | JobError) and not isinstance(failure, Untrusted):
            self.page.show_idle(str(failure))
            self.page.start.say(str(failure))
        elif failure is not None:
            self.failed.emit(failure)


def activity_of(snapshot: DreamSnapshot) -> Activity:
    """A dream in words, for the run bar and the status line."""
    trusted = snapshot.trusted_until
    line = join([f"Dreaming · step {format.count(snapshot.steps)}", f"{snapshot.seconds:.1f} s since the start"])
    figures = join(
        [
            f"{snapshot.decisions_per_second:.1f} decisions/s" if snapshot.state == "driving" else "resting",
            f"{snapshot.decision_seconds * 1000:.0f} ms a step" if snapshot.steps else "",
            f"trusted until about step {format.count(trusted)}" if trusted is not None else "",
        ]
    )
    share = min(1.0, snapshot.steps / trusted) if trusted else None
    pace = f"dream {snapshot.period * 1000:.0f} ms a decision, latest {snapshot.late * 1000:.1f} ms late"
    return Activity(line, figures, share, False, "", pace, dreamt=True)
