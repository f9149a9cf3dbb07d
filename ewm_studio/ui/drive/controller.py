"""Joins the Drive page to everything around a drive: its session, the column beside it, the window's bar and panel."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ewm_studio.data.episode_file import open_episode
from ewm_studio.driving.dream_beginning import FromRecording
from ewm_studio.errors import UserError
from ewm_studio.events import CheckpointSaved, Event
from ewm_studio.settings import Experiment
from ewm_studio.ui.drive.page import DrivePage
from ewm_studio.ui.drive.session_controller import DriveWords, SessionController
from ewm_studio.ui.live.controller import LiveController
from ewm_studio.ui.page import Activity, Page, PageAction, PageController
from ewm_studio.ui.recordings.controller import RecordingsController
from ewm_studio.ui.recordings.panel import RecordingsPanel
from ewm_studio.ui.services import Services

_WATCH = "watch it play"


class DriveController(PageController):
    """The drive, the recordings beside it, and learning from what is driven."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._services = services
        self.page, self.panel = DrivePage(), RecordingsPanel()
        self.page.set_side(self.panel)
        self.recordings = RecordingsController(self.panel, services, self)
        self.live = LiveController(self.panel.live, services, self)
        self.drive = SessionController(self.page, services, self.live.on_decision, self)
        self._followed: Path | None = None  # the folder of the run whose newest model is watched
        self._dreams = False  # the episode that is kept next is dreamt on from
        self._connect()

    def _connect(self) -> None:
        services, drive = self._services, self.drive
        self.page.environment_asked.connect(services.environment_asked)
        self.page.episode_kept.connect(self.recordings.episode_kept)
        self.page.episode_kept.connect(self._on_kept)
        self.page.dream_asked.connect(self._dream_on)
        self.drive.to_bin = True
        self.page.episode_taken_back.connect(lambda _, path: self.recordings.discard(Path(path)))
        self.recordings.pretrain_asked.connect(self._pretrain_on)
        drive.began.connect(self._on_began)
        drive.told.connect(self._on_told)
        drive.ended.connect(self._on_ended)
        drive.failed.connect(partial(services.notices.fail, doing="drive"))
        services.watch_asked.connect(self._watch)
        services.newest_asked.connect(services.notices.guarded(self.watch_live, _WATCH))
        services.jobs.events.connect(self._on_events)
        services.jobs.started.connect(lambda _: drive.show_idle())
        services.jobs.ended.connect(lambda *_: drive.show_idle())
        services.document.subscribe(lambda _: drive.show_idle())

    def shown(self) -> None:
        """Show what could be driven, and what was recorded."""
        if self.drive.driving:
            self.room_wanted.emit(True)  # it is the room of the page alone, and was given back with it
        self.drive.show_idle()
        self.recordings.refresh()

    def show_workspace(self) -> None:
        """Show its recordings; a drive that goes on belonged to another one."""
        self.drive.leave()
        self.recordings.show_workspace()
        if self.page.isVisible():
            self.shown()

    def end(self) -> None:
        """End the drive; waits for what was recorded and learned to be saved."""
        self.drive.end()
        self.live.end()

    def _on_began(self) -> None:
        self.room_wanted.emit(True)
        self.live.begin_driving()

    def _on_told(self, words: DriveWords) -> None:
        status = f"recording {words.recording}" if words.recording else ""
        told = Activity(words.line, words.figures, words.share, bool(words.recording), status, words.pace)
        self.activity.emit(told)

    def watch_live(self) -> None:
        """Have the newest model of the run in training drive, and each after it as soon as it is saved.

        Raises:
            UserError: nothing trains, or it has saved no model yet.
        """
        run = self._services.shown.run
        newest = run.newest_model() if run is not None else None
        if run is None or newest is None:
            raise UserError("there is no model to watch yet: the run that is shown has saved none")
        experiment = Experiment.from_toml(run.folder / "experiment.toml")
        self._watch(experiment, newest, run.name)
        self._followed = run.folder if self._services.shown.live else None

    def _watch(self, experiment: Experiment, model: Path, name: str) -> None:
        """Turn to the page, and have a model drive."""
        self._followed = None
        self._services.turn_to("drive")
        self.drive.watch(experiment, model, name)

    def _on_events(self, events: list[Event]) -> None:
        """Let a model that was just saved take over from the one before, where that is watched."""
        saved = [Path(event.path) for event in events if isinstance(event, CheckpointSaved)]
        if saved and self._followed is not None and self._followed in saved[-1].parents:
            self.drive.follow(saved[-1], self._followed.name)

    def _dream_on(self) -> None:
        """End the episode here, and dream on from its last frame once it is kept."""
        session = self.drive.session
        if session is not None and session.snapshot.episode_recorded > 0:
            self._dreams = True
            self.page.keep_asked.emit()
        else:
            self.page.say("A dream begins at frames that were recorded: press Record, drive, then dream on.")

    def _on_kept(self, _: str, path: str) -> None:
        session = self.drive.session
        if self._dreams and session is not None:
            self._dreams = False
            session.stop()
            model = session.snapshot.copilot

            def dream(length: int) -> None:
                self._services.dream_from.emit(FromRecording(Path(path), length - 1), model)

            self._services.background(lambda: _length(Path(path)), dream)

    def _on_ended(self) -> None:
        self._followed = None
        self.live.end_driving()
        self.room_wanted.emit(False)
        self.activity.emit(None)

    def _pretrain_on(self, recordings: str, random_share: float) -> None:
        """Pretrain on recordings, with a share of random frames among them."""
        services = self._services
        services.document.set("data.recording", recordings)
        services.document.set("data.random_share", random_share)
        if not services.jobs.running:
            services.turn_to("vision")
        services.start("pretrain")


def _length(path: Path) -> int:
    """Steps of a recorded episode."""
    with open_episode(path) as episode:
        return episode.length


def make_page(services: Services) -> Page:
    """The page of driving by hand."""
    controller = DriveController(services)
    shortcuts = (
        ("Arrows, WASD", "Drive"),
        ("R", "Restart the drive"),
        ("M", "Let the model drive"),
        ("Esc", "Leave the drive"),
    )
    watch = services.notices.guarded(controller.watch_live, _WATCH)
    live = PageAction("watch_live", "Watch live", "Run", "Ctrl+W", run=watch)
    return Page("drive", "Drive", "drive", controller.page, controller, actions=(live,), shortcuts=shortcuts)
