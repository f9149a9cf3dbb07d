"""Joins the window to the engine: the document, the workspace, jobs and their events."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QObject, QTimer
from PySide6.QtGui import QCloseEvent

from ewm_studio.errors import UserError
from ewm_studio.settings import Experiment
from ewm_studio.training.events import (
    CheckpointSaved,
    EpisodeFinished,
    Event,
    Finished,
    Images,
    Message,
    Metrics,
    Progress,
    RunStarted,
)
from ewm_studio.ui import format, store
from ewm_studio.ui.commands import Commands
from ewm_studio.ui.dialogs import FailureDialog, Question
from ewm_studio.ui.failure import Failure, failure_of
from ewm_studio.ui.images import difference
from ewm_studio.ui.job_child import Job
from ewm_studio.ui.job_process import Spares
from ewm_studio.ui.jobs import JobRunner
from ewm_studio.ui.main_window import MainWindow
from ewm_studio.ui.models.document import ExperimentDocument
from ewm_studio.ui.models.history import REWARD, RunHistory
from ewm_studio.ui.models.inspection import Catalog, EnvironmentInfo, Inspection
from ewm_studio.ui.vision_inspector import VisionInspector
from ewm_studio.ui.worker import Start, Task
from ewm_studio.workspace import Run, Workspace

TICK_MILLISECONDS = 50
WATCH_MILLISECONDS = 2000
LATENESS_SECONDS = 5.0
SIDE_SECONDS = 0.5


class Studio(QObject):
    """One window on one workspace."""

    def __init__(self, workspace: Workspace, spares: Spares | None = None) -> None:
        """Join a new window to a workspace.

        Args:
            workspace: where runs are kept.
            spares: gives jobs their processes; several studios of one program may share one, which outlives them.
        """
        super().__init__()
        self._spares = spares or Spares()
        self._owns_spares = spares is None
        self.workspace = workspace
        self.document = ExperimentDocument()
        self.window = MainWindow(self.document)
        self.jobs = JobRunner(self._spares, self)
        self.inspector = VisionInspector(self.window.vision_page, self.in_background, self)
        self.history = RunHistory()
        self._shown: Run | None = None  # the run on the plots, once it is in the workspace
        self._epoch = 0
        self._tasks: set[Task] = set()
        self._environments: dict[str, EnvironmentInfo] = {}
        self._ready = False  # the catalog is there: inspections may be made
        self._closing = False
        self._last_result = ""
        self._stale_side = True
        self._side_drawn = 0.0
        self._ticked = time.monotonic()
        self._late: deque[tuple[float, float]] = deque()
        self._tick = self._timer(TICK_MILLISECONDS, self._on_tick)
        self._watch = self._timer(WATCH_MILLISECONDS, self._on_watch)
        self._inspect_later = self._timer(250, self._inspect, single=True)
        self._connect()
        self.commands = Commands(self)
        self.show_workspace()

    def _timer(self, milliseconds: int, slot: Callable[[], None], single: bool = False) -> QTimer:
        timer = QTimer(self)
        timer.setInterval(milliseconds)
        timer.setSingleShot(single)
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
        window.panel.inspection_wanted.connect(self._inspect_later.start)
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

    def begin(self) -> None:
        """After the window is shown: load what takes time."""
        self._tick.start()
        self._watch.start()
        self.window.panel.build_in_idle_time()
        self._spares.prepare()
        self.in_background(_load_catalog, self._on_catalog)

    def in_background(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Run a function off the GUI thread; `then` gets its result on this one."""

        def deliver(result: Any) -> None:
            self._tasks.discard(task)
            if not self._closing:
                then(result)

        def fail(error: BaseException) -> None:
            self._tasks.discard(task)
            if not self._closing:
                (failed or self.show_failure)(error)

        task = Task(work, deliver, fail, self)
        self._tasks.add(task)
        task.finished.connect(task.deleteLater)
        task.start()

    @property
    def busy(self) -> bool:
        """Whether something is still being found out in the background."""
        return not self._ready or bool(self._tasks) or self._inspect_later.isActive()

    # Jobs

    def start(self, kind: str) -> None:
        """Start a job with the settings as they are now."""
        if self.jobs.running:
            return
        experiment, model = self.document.experiment, ""
        if kind == "infer":
            model = experiment.start.load_path or self._model_to_play()
            if not model:
                self.show_failure(
                    UserError("There is no model to play yet: train one, or choose one on the Runs page.")
                )
                return
        self.submit(kind, self._job(kind, experiment=experiment.model_dump(mode="json"), model=model))

    def submit(self, kind: str, job: Job | Start) -> None:
        """Run a job in a process of its own; or, in a thread, any function that gives a generator of events."""
        self.jobs.submit(kind, job)

    def resume(self, name: str) -> None:
        """Go on with a run where it was stopped."""
        if self.jobs.running:
            return
        info = self.workspace.info(name)
        self.show_run(name)
        self.submit(info.job, self._job(info.job, resume=name))

    def _job(self, kind: Any, experiment: dict[str, Any] | None = None, resume: str = "", model: str = "") -> Job:
        return Job(kind, str(self.workspace.path.resolve()), experiment or {}, resume, model)

    def _model_to_play(self) -> str:
        shown = self._shown
        if shown is not None and shown.best_checkpoint() is not None:
            return shown.name
        return next((r.name for r in self.workspace.runs() if r.checkpoint and r.job == "train"), "")

    def _on_started(self, kind: str) -> None:
        self.window.bar.show_running(kind)
        self.window.panel.lock(True)
        self._epoch = 0
        self._last_result = ""
        if kind != "infer" and self.window.page == "runs":
            self.window.show_page("train")

    def _on_events(self, events: list[Event]) -> None:
        changed: set[str] = set()
        latest: dict[type, Event] = {}
        for event in events:
            if isinstance(event, Progress | Images):
                latest[type(event)] = event
            else:
                changed.update(self._take(event))
        progress, images = latest.get(Progress), latest.get(Images)
        if isinstance(progress, Progress):
            self.window.bar.show_progress(progress, self._epoch)
        if isinstance(images, Images):
            self._show_images(images)
        if changed:
            self._stale_side = True
            self.window.train_page.mark(tuple(changed))
            self.window.vision_page.mark(tuple(changed))

    def _take(self, event: Event) -> tuple[str, ...]:
        """One event that must not be skipped; gives the tags that changed."""
        log = self.window.train_page.log
        playing = self.jobs.kind == "infer"
        if isinstance(event, EpisodeFinished):
            if not playing:
                return self.history.add_episode(event)
            words = f"seed {event.seed}: reward {format.significant(event.reward)}, {format.count(event.length)} steps"
            log.add(words)
        elif isinstance(event, Metrics):
            self._epoch = event.epoch
            return self.history.add_metrics(event)
        elif isinstance(event, RunStarted):
            log.add(f"{event.job} started: {event.summary}", good=True)
            if event.run:
                self._begin_run(event)
        elif isinstance(event, CheckpointSaved):
            self.inspector.show_model(event.path)
            mean = f" (best mean {format.significant(event.mean_reward)})" if event.best and event.mean_reward else ""
            log.add(f"checkpoint at {format.count(event.step)} steps saved{mean}", good=True)
        elif isinstance(event, Message):
            log.add(event.text, event.level)
        elif isinstance(event, Finished):
            self._show_finished(event)
        return ()

    def _begin_run(self, event: RunStarted) -> None:
        self._shown = self.workspace.run(event.run)
        if self.history.name != event.run:  # a resumed run goes on with its curves
            self.show_history(RunHistory(event.run, event.job))
            self.window.side.clear()
            self._clear_vision()
        self.window.run_label.setText(f"run {event.run}")
        count = self.document.experiment.env.batch_size
        words = f"{count} environments" if event.job == "train" and isinstance(count, int) else ""
        self.window.environments_label.setText(words)

    def _show_images(self, event: Images) -> None:
        original, made = event.pictures.get("original"), event.pictures.get("reconstruction")
        apart = difference(original[0], made[0]) if original is not None and made is not None else None
        self.window.side.show_pictures(event.pictures, apart)
        self.window.vision_page.show_pictures(event.pictures, event.step)
        self.inspector.frames_changed()

    def _show_finished(self, event: Finished) -> None:
        result = event.result
        if self.jobs.kind == "infer":
            count = len(result.get("episodes", []))
            title = f"{format.significant(result.get('mean'))} ± {format.significant(result.get('std'))}"
            low, high = format.significant(result.get("min")), format.significant(result.get("max"))
            words = f"evaluation over {count} episodes, from {low} to {high}"
            self._last_result = f"Evaluated: {title} over {count} episodes"
            self.window.side.show_result(title, words)
        else:
            seconds = format.duration(result.get("seconds"))
            mean = result.get("mean_reward")
            reward = f", mean reward {format.significant(mean)}" if mean is not None else ""
            how = "Stopped" if event.stopped_by == "stop" else "Finished"
            self._last_result = f"{how} after {seconds}{reward}"
        self.window.train_page.log.add(self._last_result, good=True)

    def _on_ended(self, kind: str, failure: Failure | None) -> None:
        self.window.panel.lock(False)
        self.window.side.show_ended()
        self.window.bar.show_idle("" if failure else self._last_result)
        self._on_watch()
        if self._closing:
            self.window.close()
            return
        if failure is not None:
            self.window.train_page.log.add(f"{failure.title}: {failure.what}", "error")
            FailureDialog(failure, self.window).open()

    # What is shown

    def show_workspace(self) -> None:
        """Name the workspace and list its runs."""
        self.window.workspace_label.setText(_short_path(self.workspace.path))
        self.window.runs_page.show_runs(self.workspace.runs())

    def open_workspace(self, path: Path) -> None:
        """Work in another workspace.

        Raises:
            UserError: a job runs, or the folder cannot be one.
        """
        if self.jobs.running:
            raise UserError("Stop the run before you open another workspace.")
        opened = Workspace(path)
        self.remember()
        self.workspace.close()
        self.workspace = opened
        self._shown = None
        self.window.train_page.options.compared.clear()
        self.window.train_page.show_legend()
        self.show_history(RunHistory())
        self.window.side.clear()
        self._clear_vision()
        self.window.run_label.setText("")
        self.document.replace(Experiment())
        self._take_up_settings()
        self.show_workspace()
        self.commands.show_places()
        self._show_last_run()

    def show_history(self, history: RunHistory) -> None:
        """Put a run on the plots."""
        self.history = history
        self.window.train_page.show_history(history)
        self.window.vision_page.show_history(history)
        self._stale_side = True

    def show_run(self, name: str) -> None:
        """Put a run of the workspace on the plots, from its database."""
        run = self.workspace.run(name)
        self._shown = run
        self.show_history(RunHistory.load(run, self.workspace.info(name).job))
        self._look_into(run)
        self.window.run_label.setText(f"run {name}")
        self.window.show_page("train")

    def _show_last_run(self) -> None:
        """Begin with the plots of the newest run, where there is one."""
        last = next(iter(self.workspace.runs()), None)
        if last is None or self.history.name or self.jobs.running:
            return
        run = self.workspace.run(last.name)

        def show(history: RunHistory) -> None:
            if not self.history.name and not self.jobs.running:
                self._shown = run
                self.show_history(history)
                self._look_into(run)
                self.window.run_label.setText(f"run {run.name}")

        self.in_background(lambda: RunHistory.load(run, last.job), show)

    def follow(self, name: str, renamed: str) -> None:
        """A run was renamed, or deleted where there is no new name: the plots stay, joined to what is there."""
        if self._shown is None or self._shown.name != name:
            return
        self._shown = self.workspace.run(renamed) if renamed else None
        self.window.run_label.setText(f"run {renamed}" if renamed else f"{name} (deleted)")

    def _look_into(self, run: Run) -> None:
        """Show a run's model on the Vision page."""
        self._clear_vision()
        self.inspector.show_run(run)

    def _clear_vision(self) -> None:
        self.window.vision_page.clear()
        self.inspector.forget()

    def _on_run_asked(self, what: str, name: str) -> None:
        if what == "load" and not self.jobs.running:
            self._look_into(self.workspace.run(name))

    def _observe_pictures(self) -> None:
        """Have the environment's picture observed in place of its numbers, by a vision that sees pictures."""
        if self.jobs.running:
            return
        self.document.set("env.pixels", True)
        if self.document.experiment.vision.name == "Identity":
            self.document.set("vision.name", "auto")
        self._clear_vision()

    def show_failure(self, error: BaseException) -> None:
        """A dialog about what went wrong outside a job."""
        failure = failure_of(error)
        self.window.train_page.log.add(f"{failure.title}: {failure.what}", "error")
        FailureDialog(failure, self.window).open()

    def _on_tick(self) -> None:
        now = time.monotonic()
        self._late.append((now, max(0.0, now - self._ticked - TICK_MILLISECONDS / 1000)))
        self._ticked = now
        while self._late and now - self._late[0][0] > LATENESS_SECONDS:
            self._late.popleft()
        window = self.window
        drawn = window.train_page.redraw_one() or window.vision_page.redraw_one()
        if self._stale_side and (not drawn or now - self._side_drawn > SIDE_SECONDS):
            self._stale_side, self._side_drawn = False, now
            window.side.show_history(self.history)

    def _on_watch(self) -> None:
        late = max((seconds for _, seconds in self._late), default=0.0)
        self.window.late_label.setText(f"window {late * 1000:.0f} ms late at most")
        self.window.bar.chip.show()
        self.window.bar.chip.setText(_device_words(self.document.experiment.run.device, self.jobs.pid))
        if self.window.page == "runs":
            self.window.runs_page.show_runs(self.workspace.runs())
        elsewhere, job = self._shown, self.history.job
        if elsewhere is not None and not self.jobs.running and elsewhere.alive:
            self.in_background(lambda: RunHistory.load(elsewhere, job), self.show_history)
            self.inspector.frames_changed()

    def _on_page(self, page: str) -> None:
        if page == "runs":
            self.window.runs_page.show_runs(self.workspace.runs())

    # What fits

    def _on_catalog(self, catalog: Catalog) -> None:
        self._ready = True
        self.window.panel.show_catalog(catalog)
        self._inspect()
        self._show_last_run()

    def _inspect(self) -> None:
        """Find out what the choices come to. Not while a job runs: it would take its time from it."""
        if not self._ready or self.jobs.running:
            return
        experiment = self.document.experiment
        known = self._environments.get(experiment.env.id)
        self.in_background(lambda: _inspect(experiment), self._on_inspection)
        if known is not None:
            self._on_environment(known)
        else:
            id = experiment.env.id
            self.in_background(lambda: _describe(id), self._on_environment, self._on_no_environment)

    def _on_inspection(self, inspection: Inspection) -> None:
        self.window.panel.show_inspection(inspection)
        self.window.vision_page.show_numbers(inspection.chosen.get("vision") == "Identity")

    def _on_environment(self, info: EnvironmentInfo) -> None:
        self._environments[info.id] = info
        self.window.panel.show_environment(info)
        if info.id == self.document.experiment.env.id and not self.history[REWARD].value.size:
            self.window.train_page.set_threshold(info.reward_threshold)

    def _on_no_environment(self, error: BaseException) -> None:
        self.window.panel.environment.show_problem(str(error))

    # What is remembered

    def restore(self) -> None:
        """Take up size, layout and unsaved settings from last time."""
        remembered = store.store()
        store.place(self.window, remembered.value("geometry"))
        layout = remembered.value("layout")
        if isinstance(layout, QByteArray):
            self.window.split.restoreState(layout)
        self._take_up_settings()

    def _take_up_settings(self) -> None:
        """The workspace's unsaved settings of last time, or else its `experiment.toml`."""
        draft = store.text(self._draft_key)
        own = self.workspace.path / "experiment.toml"
        if draft:
            self.document.restore_draft(draft, own)
        elif own.is_file():
            try:
                self.document.open(own)
            except UserError as error:
                self.window.train_page.log.add(str(error), "error")

    def remember(self) -> None:
        """Keep size, layout and unsaved settings for next time."""
        remembered = store.store()
        if not self.window.isMaximized():
            remembered.setValue("geometry", self.window.geometry())
        remembered.setValue("layout", self.window.split.saveState())
        remembered.setValue("workspace", str(self.workspace.path.resolve()))
        remembered.setValue(self._draft_key, self.document.draft())
        store.remember_recent("recent", str(self.workspace.path.resolve()))
        remembered.sync()

    @property
    def _draft_key(self) -> str:
        return "drafts/" + str(self.workspace.path.resolve()).replace("/", "|")

    # The end

    def _on_close(self, event: QCloseEvent) -> None:
        if self.jobs.running:
            event.ignore()
            if not self._closing:
                words = "The run is saved at its next safe point and can be resumed later."
                Question(
                    "Stop the run and close?", words, "Stop and close", "Keep running", self.window, self.leave
                ).open()
            return
        self._closing = True
        self.remember()
        event.accept()
        self.end()

    def leave(self) -> None:
        """Stop what runs, then close, without asking."""
        self._closing = True
        self.jobs.stop()
        if not self.jobs.running:
            self.window.close()

    def end(self) -> None:
        """Leave nothing running."""
        self._closing = True
        for timer in (self._tick, self._watch, self._inspect_later):
            timer.stop()
        self.jobs.end()
        for task in list(self._tasks):
            task.wait()
        if self._owns_spares:
            self._spares.end()
        self.workspace.close()


def _load_catalog() -> Catalog:
    from ewm_studio.ui.models.inspection import load_catalog

    return load_catalog()


def _inspect(experiment: Experiment) -> Inspection:
    from ewm_studio.ui.models.inspection import inspect

    return inspect(experiment)


def _describe(id: str) -> EnvironmentInfo:
    from ewm_studio.ui.models.inspection import describe_environment

    return describe_environment(id)


def _device_words(device: str, job: int) -> str:
    """Device, cores and memory in use by the window and the job's process: CPU · 2 cores · 1.1 GB."""
    import sys

    name = device.upper()
    if device == "auto":
        torch = sys.modules.get("torch")
        name = "CUDA" if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_available() else "CPU"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [name, f"{cores} cores" if cores > 1 else "1 core"]
    memory = _memory("self") + (_memory(str(job)) if job else 0)
    return " · ".join([*parts, f"{memory / 1e9:.1f} GB"] if memory else parts)


def _memory(process: str) -> int:
    """Bytes a process has in memory; 0 where that cannot be found out."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _short_path(path: Path) -> str:
    for base, mark in ((Path.cwd(), ""), (Path.home(), "~/")):
        try:
            return mark + str(path.resolve().relative_to(base.resolve()))
        except (ValueError, OSError):
            continue
    return str(path)
