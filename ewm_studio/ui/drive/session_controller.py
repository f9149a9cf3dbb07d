"""Joins the Drive page to a session: keys and commands one way, snapshots and episodes the other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from ewm_studio import formatting as format
from ewm_studio.driving import commands
from ewm_studio.driving.session import DriveSession
from ewm_studio.driving.snapshot import EpisodeKept, EpisodeTakenBack, ModelOnBoard, Snapshot
from ewm_studio.errors import Untrusted, UserError
from ewm_studio.settings import Experiment
from ewm_studio.ui.drive.page import DrivePage
from ewm_studio.ui.kit.keys_dialog import chosen_keys
from ewm_studio.ui.kit.steering import SteeringController
from ewm_studio.ui.services import Services
from ewm_studio.workspace.pretrained import pretrained_models
from ewm_studio.workspace.workspace import safe_name

if TYPE_CHECKING:
    from ewm_studio.driving.decisions import OnDecision

WORDS_SECONDS = 0.2  # between two lines of words about the drive


@dataclass(frozen=True)
class DriveWords:
    """A drive in words, for the run bar and the status line."""

    line: str  # "Episode 5 · 318 of 1,000 frames"
    figures: str  # "recorded 3,214 frames in 4 episodes · 18.9 MB"
    share: float | None  # of the episode that is driven; None where no end is known
    recording: str  # the recording's name; empty while nothing is recorded
    recorded: int  # frames, in this drive
    pace: str  # "step 20.0 ms, latest 1.1 ms late"


class SessionController(SteeringController):
    """One drive at a time."""

    told = Signal(DriveWords)
    session: DriveSession | None
    page: DrivePage

    def __init__(
        self, page: DrivePage, services: Services, on_decision: OnDecision | None = None, parent: QObject | None = None
    ) -> None:
        """Join a page.

        Args:
            page: the view.
            services: the experiment whose environment is driven, and the workspace of its recordings and models.
            on_decision: told of every decision, in the session's thread.
            parent: owns this.
        """
        super().__init__(page, parent)
        self._services, self._on_decision = services, on_decision
        self.to_bin = False  # whether somebody moves what is discarded to a bin
        self._env = ""
        self._name = ""  # of the recording
        self._model = ""
        self._worded = 0.0  # when
        self._connect()

    def _connect(self) -> None:
        page = self.page
        page.drive_asked.connect(self.begin)
        page.record_toggled.connect(self.toggle_recording)
        page.model_toggled.connect(self.toggle_model)
        page.model_chosen.connect(self.choose_model)
        page.recording_named.connect(self._on_named)
        page.restart_asked.connect(lambda: self._ask(commands.Restart()))
        page.keep_asked.connect(lambda: self._ask(commands.Keep()))
        page.discard_asked.connect(lambda: self._ask(commands.Discard(self.to_bin)))

    # Beginning and ending

    @property
    def env(self) -> str:
        """The id of the environment that is driven."""
        return self._env

    @property
    def driving(self) -> bool:
        """Whether there is a session."""
        return self.session is not None

    @property
    def folder(self) -> Path:
        """The recording that episodes go to."""
        return self._services.workspace.recordings_folder / self._name

    def show_idle(self) -> None:
        """Show what could be driven, unless something is."""
        if self.session is None:
            self.page.show_idle(self._services.experiment.env.id, self._services.jobs.running)

    def begin(self, goal: int | None = None, recording: str = "") -> None:
        """Drive the experiment's environment; with a goal, or a recording's name, what is driven is recorded."""
        if self.session is not None:
            return
        experiment = self._services.experiment
        if experiment.env.id != self._env or recording:
            self._env, self._model = experiment.env.id, ""
            self._name = recording or f"drives-{safe_name(experiment.env.id)}"
        self.page.show_recording(self._name)
        self.page.show_models(self._models(), self._model)
        self.page.show_starting(self._env)
        self.page.speed.set_value("1")
        self.session = DriveSession(experiment, chosen_keys(self._env), self._on_notify, goal, self._on_decision)
        if goal is not None or recording:
            self._ask(commands.Record(self.folder))
        self.session.start()
        if self._model:
            self.choose_model(self._model)
        if self._services.jobs.running:
            self._say("A job is running: it and the drive slow each other down.")
        self.began.emit()

    def watch(self, experiment: Experiment, model: Path, name: str) -> None:
        """Have a model drive its environment, at once; any driving key takes over. What is driven now is ended."""
        if self.session is not None:
            self.end()
            self.ended.emit()
        self._env, self._model = experiment.env.id, name
        self._name = f"drives-{safe_name(experiment.env.id)}"
        self.page.show_recording(self._name)
        self.page.show_models(self._models(), name)
        self.page.show_starting(self._env)
        self.page.speed.set_value("1")
        keys = chosen_keys(self._env)
        self.session = DriveSession(experiment, keys, self._on_notify, None, self._on_decision, by_keys=False)
        self.session.start()
        self.follow(model, name, experiment.infer.greedy)
        self._say(f"{name} drives; any driving key takes over from it")
        self.began.emit()

    def follow(self, model: Path, name: str, greedy: bool = True) -> None:
        """Have a model drive, or take over from the one that drives when the next episode begins."""
        self._ask(commands.LoadModel(model, name, greedy, drives=True))

    # Commands

    def toggle_recording(self) -> None:
        """Begin or stop to record."""
        session = self.session
        if session is not None:
            session.ask(commands.Record(None if session.snapshot.recording else self.folder))

    def toggle_model(self) -> None:
        """The model drives, or the person takes over."""
        session = self.session
        if session is None:
            return
        if session.snapshot.driver == "model":
            session.ask(commands.TakeOver())
        elif session.snapshot.copilot:
            session.ask(commands.HandOver())
        else:
            self._say("There is no model on board: choose one below, of a run on this environment.")
        self.page.view.setFocus()

    def choose_model(self, run: str) -> None:
        """Take a run's best model along; an empty name leaves it behind."""
        self._model = run
        if not run:
            self._ask(commands.DropModel())
            return
        try:
            path = self._services.workspace.model_named(run)
        except UserError as error:
            self._on_refused(error, "")
            return
        self._say(f"Loading the model of {run}")
        self._ask(commands.LoadModel(path, run, self._services.experiment.infer.greedy))

    def _on_named(self, text: str) -> None:
        name = safe_name(text) if text.strip() else self._name
        self.page.show_recording(name)
        if name != self._name:
            self._name = name
            session = self.session
            if session is not None and session.snapshot.recording:
                session.ask(commands.Record(self.folder))

    def _on_refused(self, error: UserError, on_board: str) -> None:
        """A command was refused: the choice of models shows what is on board."""
        self._say(str(error))
        self._model = on_board
        self.page.show_models(self._models(), self._model)

    def _models(self) -> list[str]:
        """Models that drive this environment: of runs, the newest first, then those that come with the studio."""
        runs = [run.name for run in self._services.workspace.runs() if run.checkpoint and run.env == self._env]
        return [*runs, *(model.name for model in pretrained_models() if model.env == self._env)]

    # What the session says

    def _look(self, session: DriveSession, snapshot: Snapshot) -> None:
        if self.page.gauges.scheme is not session.scheme and session.scheme is not None:
            self.page.show_scheme(session.scheme)
        self.page.show_snapshot(snapshot)
        now = time.monotonic()
        if now - self._worded > WORDS_SECONDS or snapshot.state != "driving":
            self._worded = now
            self.told.emit(words_of(snapshot))

    def _take_events(self, session: DriveSession) -> None:
        for event in session.drain():
            if isinstance(event, EpisodeKept):
                self.page.episode_kept.emit(event.recording, event.path)
                self._say(f"{Path(event.path).name} of {event.recording} is kept")
            elif isinstance(event, EpisodeTakenBack):
                self.page.episode_taken_back.emit(event.recording, event.path)
                gone = "is in the bin" if self.to_bin else "was deleted"
                self._say(f"{Path(event.path).name} of {event.recording} {gone}")
            elif isinstance(event, ModelOnBoard):
                self.page.say("")
            else:
                self._on_refused(event, session.snapshot.copilot)

    def _on_over(self, session: DriveSession) -> None:
        session.join()
        self.session = None
        failure = self.failure = session.failure
        if isinstance(failure, UserError):
            self.page.show_refused(str(failure))
        else:
            self.show_idle()
        self.ended.emit()
        if failure is not None and (isinstance(failure, Untrusted) or not isinstance(failure, UserError)):
            self.failed.emit(failure)


def words_of(snapshot: Snapshot) -> DriveWords:
    """A snapshot in words."""
    steps, limit = snapshot.steps, snapshot.step_limit
    of = f" of {format.count(limit)}" if limit else ""
    figures = ""
    if snapshot.frames_recorded:
        episodes = "1 episode" if snapshot.episodes_kept == 1 else f"{format.count(snapshot.episodes_kept)} episodes"
        figures = f"recorded {format.count(snapshot.frames_recorded)} frames, {episodes} kept"
        if snapshot.bytes_kept:
            figures += f" · {format.size(snapshot.bytes_kept)}"
    return DriveWords(
        f"Episode {snapshot.episode} · {format.count(steps)}{of} frames",
        figures,
        min(1.0, steps / limit) if limit else None,
        snapshot.recording,
        snapshot.frames_recorded,
        f"step {snapshot.period * 1000:.1f} ms, latest {snapshot.late * 1000:.1f} ms late",
    )
