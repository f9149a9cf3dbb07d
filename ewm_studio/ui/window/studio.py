"""Joins the window to the engine: the document, the workspace, jobs and their events."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QCloseEvent

from ewm_studio.analysis.history import RunHistory
from ewm_studio.errors import UserError
from ewm_studio.events import Event
from ewm_studio.jobs.failure import Failure, failure_of
from ewm_studio.jobs.kinds import job_kind
from ewm_studio.jobs.runners.process import JobProcesses
from ewm_studio.jobs.spec import JobSpec, Start
from ewm_studio.settings import Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.drive.controller import DriveController
from ewm_studio.ui.drive.side import DriveSide
from ewm_studio.ui.jobs.runner import JobRunner
from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.kit.dialogs import FailureDialog, Question
from ewm_studio.ui.kit.machine import device_words, short_path
from ewm_studio.ui.replay.controller import ReplayController
from ewm_studio.ui.replay.latent_controller import LatentController
from ewm_studio.ui.vision.inspector import VisionInspector
from ewm_studio.ui.window import session
from ewm_studio.ui.window.commands import Commands
from ewm_studio.ui.window.drive_dressing import DriveDressing
from ewm_studio.ui.window.feed import Feed
from ewm_studio.ui.window.fitting import Fitting
from ewm_studio.ui.window.main_window import MainWindow
from ewm_studio.ui.window.run_view import RunView
from ewm_studio.workspace import Workspace

TICK_MILLISECONDS = 50
WATCH_MILLISECONDS = 2000
LATENESS_SECONDS = 5.0
SIDE_SECONDS = 0.5


class Studio(QObject):
    """One window on one workspace."""

    def __init__(self, workspace: Workspace, processes: JobProcesses | None = None) -> None:
        """Join a new window to a workspace.

        Args:
            workspace: where runs are kept.
            processes: gives jobs their processes; several studios of one program may share one, which outlives them.
        """
        super().__init__()
        self._processes = processes or JobProcesses()
        self._owns_processes = processes is None
        self.workspace = workspace
        self.document = ExperimentDocument()
        self.window = MainWindow(self.document)
        self.in_background = Background(self.show_failure, self)
        self.jobs = JobRunner(self._processes, self)
        self.view = RunView(self.window, self.in_background, self)
        self.fitting = Fitting(self.document, self.window, self.in_background, self)
        self.replays = ReplayController(self.window.replay_page, self.in_background, lambda: self.workspace, self)
        self.latents = LatentController(self.window.replay_page, self.replays, self.in_background, self)
        self._feed = Feed(self.window, self.view, self)
        self.drive = DriveController(
            self.window.drive_page,
            lambda: self.document.experiment,
            lambda: self.workspace,
            lambda: self.jobs.running,
            self.in_background,
            self,
        )
        self._dressing = DriveDressing(self.drive, self.window, self.jobs)
        self.drive_side = DriveSide(
            self.drive,
            self._processes,
            lambda: self.document.experiment,
            lambda: self.workspace,
            self.in_background,
            self,
        )
        self._closing = False
        self._side_drawn = 0.0
        self._ticked = time.monotonic()
        self._late: deque[tuple[float, float]] = deque()
        self._tick = self._timer(TICK_MILLISECONDS, self._on_tick)
        self._watch = self._timer(WATCH_MILLISECONDS, self._on_watch)
        self._connect()
        self.commands = Commands(self)
        self.show_workspace()

    def _timer(self, milliseconds: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer

    def _connect(self) -> None:
        window, jobs = self.window, self.jobs
        window.bar.asked.connect(self.start)
        window.bar.pause_toggled.connect(jobs.toggle_pause)
        window.bar.stop_asked.connect(jobs.stop)
        window.space_pressed.connect(jobs.toggle_pause)
        window.vision_page.pretrain_asked.connect(lambda: self.start("pretrain"))
        window.vision_page.pixels_asked.connect(self._observe_pictures)
        window.runs_page.asked.connect(self._on_run_asked)
        window.train_page.train_asked.connect(lambda: self.start("train"))
        window.runs_page.train_asked.connect(lambda: self.start("train"))
        window.replay_page.evaluate_asked.connect(lambda: self.start("infer"))
        window.side.watch_asked.connect(lambda: window.show_page("replay"))
        self._feed.evaluation_kept.connect(self.replays.show)
        self.replays.failed.connect(self.show_failure)
        self.latents.failed.connect(self.show_failure)
        window.page_shown.connect(self._on_page)
        window.close_asked.connect(self._on_close)
        for name in ("pretrain", "train", "infer"):
            window.actions_by_name[name].triggered.connect(lambda _=False, name=name: self.start(name))
        window.actions_by_name["pause"].triggered.connect(jobs.toggle_pause)
        window.actions_by_name["stop"].triggered.connect(jobs.stop)
        window.actions_by_name["quit"].triggered.connect(window.close)
        jobs.started.connect(self._on_started)
        jobs.events.connect(self._on_events)
        jobs.paused.connect(window.bar.show_paused)
        jobs.stopping.connect(window.bar.show_stopping)
        jobs.ended.connect(self._on_ended)
        jobs.queue_changed.connect(lambda: window.bar.show_waiting(jobs.waiting))
        window.bar.queue_menu.asked.connect(self.enqueue)
        window.bar.queue_menu.removed.connect(jobs.remove)
        window.bar.queue_menu.cleared.connect(jobs.clear)
        self.fitting.ready.connect(self._show_last_run)
        self.drive.failed.connect(self.show_failure)
        self.drive_side.live.failed.connect(self._show_failure)
        self.drive_side.pretrain_asked.connect(self._pretrain_on)
        self.document.subscribe(lambda _: self.drive.show_idle())

    def begin(self) -> None:
        """After the window is shown: load what takes time."""
        self._tick.start()
        self._watch.start()
        self.window.panel.build_in_idle_time()
        self._processes.prepare()
        self.fitting.begin()

    @property
    def busy(self) -> bool:
        """Whether something is still being found out in the background."""
        return self.fitting.busy or self.in_background.busy

    @property
    def history(self) -> RunHistory:
        """The run on the plots."""
        return self.view.history

    @property
    def inspector(self) -> VisionInspector:
        """What looks into saved models for the Vision page."""
        return self.view.inspector

    # Jobs

    def start(self, kind: str) -> None:
        """Start a job with the settings as they are now, unless one runs: a second click asks for no second job."""
        if not self.jobs.running:
            self.enqueue(kind)

    def enqueue(self, kind: str) -> None:
        """Run a job with the settings as they are now, after those that were asked for before."""
        experiment, model = self.document.experiment, ""
        if job_kind(kind).plays:
            model = experiment.start.load_path or self._model_to_play()
            if not model:
                self.show_failure(
                    UserError("There is no model to play yet: train one, or choose one on the Runs page.")
                )
                return
        what = model or f"{experiment.env.id}, seed {experiment.run.seed}"
        job = self._job(kind, experiment=experiment.model_dump(mode="json"), model=model)
        self.submit(kind, job, f"{job_kind(kind).title} {what}")

    def submit(self, kind: str, job: JobSpec | Start, words: str = "") -> None:
        """Run a job in a process of its own; or, in a thread, any function that gives a generator of events."""
        self.jobs.submit(kind, job, words)

    def resume(self, name: str) -> None:
        """Go on with a run where it was stopped, after the jobs that were asked for before."""
        info = self.workspace.info(name)
        self.submit(info.job, self._job(info.job, resume=name), f"Resume {name}")

    def _job(self, kind: Any, experiment: dict[str, Any] | None = None, resume: str = "", model: str = "") -> JobSpec:
        return JobSpec(kind, str(self.workspace.path.resolve()), experiment or {}, resume, model)

    def _model_to_play(self) -> str:
        shown = self.view.run
        if shown is not None and (self.jobs.kind == "train" or shown.best_checkpoint() is not None):
            return shown.name
        return next((r.name for r in self.workspace.runs() if r.checkpoint and r.job == "train"), "")

    def _on_started(self, kind: str) -> None:
        self.window.bar.show_running(kind)
        self.window.panel.show_running(True)
        self._feed.begin(kind)
        if self.jobs.resumes:
            self.view.show_before_resuming(self.workspace, self.jobs.resumes)
        if job_kind(kind).makes_run and self.window.page == "runs":
            self.window.show_page("train")

    def _on_events(self, events: list[Event]) -> None:
        self._feed.take(events, self.workspace)

    def _on_ended(self, kind: str, failure: Failure | None) -> None:
        self.window.panel.show_running(False)
        self.window.side.show_ended()
        self.window.bar.show_idle("" if failure else self._feed.last_result)
        self._on_watch()
        if self._closing:
            self.window.close()
            return
        if failure is not None:
            self._show_failure(failure)

    def show_failure(self, error: BaseException) -> None:
        """A dialog about what went wrong outside a job."""
        self._show_failure(failure_of(error))

    def _show_failure(self, failure: Failure) -> None:
        self.window.train_page.log.add(f"{failure.title}: {failure.what}", "error")
        FailureDialog(failure, self.window).open()

    # The workspace and its runs

    def show_workspace(self) -> None:
        """Name the workspace and list its runs."""
        self.window.workspace_label.setText(short_path(self.workspace.path))
        self.window.runs_page.show_runs(self.workspace.runs())

    def open_workspace(self, path: Path) -> None:
        """Work in another workspace.

        Raises:
            UserError: a job runs, or the folder cannot be one.
        """
        if self.jobs.running:
            raise UserError("Stop the run before you open another workspace.")
        opened = Workspace(path)
        self.drive.leave()
        self.remember()
        self.workspace.close()
        self.workspace = opened
        self.window.train_page.options.compared.clear()
        self.window.train_page.show_legend()
        self.view.clear()
        self.replays.forget()
        self.drive_side.show_workspace()
        self.document.replace(Experiment())
        self._take_up_settings()
        self.show_workspace()
        self.commands.show_places()
        self._show_last_run()

    def show_run(self, name: str) -> None:
        """Put a run of the workspace on the plots, from its database."""
        self.view.show(self.workspace, name)

    def follow(self, name: str, renamed: str) -> None:
        """A run was renamed, or deleted where there is no new name."""
        self.view.follow(self.workspace, name, renamed)

    def _show_last_run(self) -> None:
        if not self.jobs.running:
            self.view.show_last(self.workspace)

    def _on_run_asked(self, what: str, name: str) -> None:
        if what == "load" and not self.jobs.running:
            self.view.look_into(self.workspace.run(name))

    def _observe_pictures(self) -> None:
        """Have the environment's picture observed in place of its numbers, by a vision that sees pictures."""
        self.document.set("env.pixels", True)
        if self.document.experiment.vision.name == "Identity":
            self.document.set("vision.name", "auto")
        if not self.jobs.running:
            self.view.clear_vision()

    def _pretrain_on(self, recordings: str, random_share: float) -> None:
        """Pretrain on recordings, with a share of random frames among them."""
        self.document.set("data.recording", recordings)
        self.document.set("data.random_share", random_share)
        self.window.show_page("vision")
        self.start("pretrain")

    # Time

    def _on_tick(self) -> None:
        now = time.monotonic()
        self._late.append((now, max(0.0, now - self._ticked - TICK_MILLISECONDS / 1000)))
        self._ticked = now
        while self._late and now - self._late[0][0] > LATENESS_SECONDS:
            self._late.popleft()
        drawn = self.window.train_page.redraw_one() or self.window.vision_page.redraw_one()
        if not drawn or now - self._side_drawn > SIDE_SECONDS:
            self._side_drawn = now
            self.view.redraw_side()

    def _on_watch(self) -> None:
        late = max((seconds for _, seconds in self._late), default=0.0)
        self.window.late_label.setText(f"window {late * 1000:.0f} ms late at most")
        self.window.bar.chip.show()
        self.window.bar.chip.setText(device_words(self.document.experiment.run.device, self.jobs.pid))
        if self.window.page == "runs":
            self.window.runs_page.show_runs(self.workspace.runs())
        if not self.jobs.running:
            self.view.watch()

    def _on_page(self, page: str) -> None:
        if page == "runs":
            self.window.runs_page.show_runs(self.workspace.runs())

    # The beginning and the end

    def restore(self) -> None:
        """Take up size, layout and unsaved settings from last time."""
        session.restore_layout(self.window)
        self._take_up_settings()

    def _take_up_settings(self) -> None:
        try:
            session.restore_settings(self.document, self.workspace.path)
        except UserError as error:
            self.window.train_page.log.add(str(error), "error")

    def remember(self) -> None:
        """Keep size, layout and unsaved settings for next time."""
        session.remember(self.window, self.document, self.workspace.path)

    def _on_close(self, event: QCloseEvent) -> None:
        if self.jobs.running:
            event.ignore()
            if not self._closing:
                words = "The run is saved at its next safe point and can be resumed later."
                if self.jobs.waiting:
                    words += f" What waits in the queue ({len(self.jobs.waiting)}) is forgotten."
                Question(
                    "Stop the run and close?", words, "Stop and close", "Keep running", self.window, self.leave
                ).open()
            return
        self._silence()
        self.remember()
        event.accept()
        self.end()

    def leave(self) -> None:
        """Stop what runs, then close, without asking."""
        self._silence()
        self.jobs.clear()
        self.jobs.stop()
        if not self.jobs.running:
            self.window.close()

    def _silence(self) -> None:
        self._closing = True
        self.in_background.silence()

    def end(self) -> None:
        """Leave nothing running."""
        self._silence()
        for timer in (self._tick, self._watch):
            timer.stop()
        self.fitting.end()
        self.replays.end()
        self.jobs.end()
        self.drive.end()
        self.drive_side.end()
        self.in_background.end()
        if self._owns_processes:
            self._processes.end()
        self.workspace.close()
