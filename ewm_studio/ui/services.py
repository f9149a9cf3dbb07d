"""What a page is given of the program: what is edited, where it is kept, what runs, and whom to tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QGuiApplication

from ewm_studio.errors import Untrusted, UserError
from ewm_studio.jobs.kinds import job_kind
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.settings import Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.fitting import Fitting
from ewm_studio.ui.jobs.runner import JobRunner, Queued
from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.notices import Notices
from ewm_studio.ui.shown_run import ShownRun
from ewm_studio.workspace import Workspace

_NO_MODEL = "There is no model to play yet: train one, or choose one on the Runs page."
_NO_NAME = "The run that starts has no name yet: ask for its evaluation again as soon as it trains."


class Services(QObject):
    """One document, one workspace at a time, and the jobs that join them.

    Attributes:
        document: the experiment that is edited.
        jobs: runs what is started.
        background: runs a function off this thread.
        notices: takes what is to be said.
        shown: the run that the pages look at.
        fitting: finds out what can be chosen and what fits.
        all_taken: whether the document has every value that is typed; the window goes to one that is wrong.
    """

    page_asked = Signal(str)  # a page, by its key
    environment_asked = Signal()  # another environment is to be chosen
    run_asked = Signal(str)  # a run is to be seen among all, by its name
    evaluation_asked = Signal(object)  # an evaluation is to be watched, by its folder
    watch_asked = Signal(object, object, str)  # an Experiment, a model's file and its name: have it drive, at once
    models_changed = Signal()  # runs were renamed, deleted or brought back
    newest_asked = Signal()  # have the newest model of the run that is shown drive
    dream_from = Signal(object, str)  # dream on from a source, in the model of this name where it can dream

    def __init__(
        self,
        document: ExperimentDocument,
        workspace: Workspace,
        jobs: JobRunner,
        background: Background,
        notices: Notices,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.document, self.jobs, self.background, self.notices = document, jobs, background, notices
        self._workspace = workspace
        self._asked_for: tuple[str, JobSpec, str] | None = None  # waits for the person's word about its environment
        self._click = ("", 0.0)  # what was asked for by the last one, and when
        self.shown = ShownRun(background, self)
        self.fitting = Fitting(document, background, self)
        self.all_taken: Callable[[], bool] = lambda: True
        jobs.started.connect(self._on_started)
        notices.agreed.connect(self._on_agreed)
        jobs.events.connect(lambda events: self.shown.take(events, self._workspace))
        jobs.ended.connect(lambda *_: self.shown.end_job())

    @property
    def workspace(self) -> Workspace:
        """The present one; another after `change_workspace`."""
        return self._workspace

    @property
    def experiment(self) -> Experiment:
        """The settings as they are now."""
        return self.document.experiment

    @property
    def busy(self) -> bool:
        """Whether something is still being found out in the background."""
        return self.fitting.busy or self.background.busy

    def change_workspace(self, workspace: Workspace) -> None:
        """Work in another workspace from now on; the one before is closed, and nothing of it is shown any more."""
        self._workspace.close()
        self._workspace, self._asked_for = workspace, None
        self.shown.clear()

    def turn_to(self, page: str) -> None:
        """Have a page shown, by its key; where there is none, nothing happens."""
        self.page_asked.emit(page)

    # Runs

    def show_run(self, name: str) -> None:
        """Look at a run of the workspace, from its database."""
        self.shown.show(self._workspace.run(name), self._workspace.info(name).job)
        self.turn_to("train")

    def has_model(self, name: str) -> bool:
        """Whether there is a model by that name."""
        try:
            self._workspace.resolve_model(name)
        except UserError:
            return False
        return True

    def show_last_run(self) -> None:
        """Begin with the newest run, where there is one, none runs and nothing is shown yet."""
        last = next(iter(self._workspace.runs()), None)
        if last is not None and not self.jobs.running:
            self.shown.show_first(self._workspace.run(last.name), last.job)

    # Jobs

    def start(self, kind: str) -> None:
        """Start a job with the settings as they are now, or have it follow what runs; a double click asks for one."""
        if not self._asked_just_now(kind):
            self.enqueue(kind)

    def _asked_just_now(self, what: str) -> bool:
        """Whether the same was asked for by the click before, a moment ago, and runs or waits since."""
        soon = QGuiApplication.styleHints().mouseDoubleClickInterval() / 1000
        (last, when), now = self._click, time.monotonic()
        self._click = (what, now)
        return self.jobs.running and what == last and now - when < soon

    def enqueue(self, kind: str) -> None:
        """Run a job with the settings as they are now, after those that were asked for before.

        Where a value that is typed could not be taken nothing is run: the settings are not what they look like.
        """
        if not self.all_taken():
            return
        experiment, model, job = self.experiment, "", job_kind(kind)
        if job.plays:
            model = experiment.start.load_path or self._model_to_play()
            if not model:
                starts = self.jobs.kind == "train" and self.shown.written is None
                self.notices.fail(UserError(_NO_NAME if starts else _NO_MODEL))
                return
        what = model or f"{experiment.env.id}, seed {experiment.run.seed}"
        self._submit(kind, f"{job.title} {what}", experiment=experiment.model_dump(mode="json"), model=model)

    def play(self, experiment: Experiment, model: str, words: str, kind: str = "infer") -> None:
        """Have a model play, by settings of its own, as a kind of job does that plays."""
        if self._asked_just_now(words):
            return
        self._submit(kind, words, experiment=experiment.model_dump(mode="json"), model=model)

    def resume(self, name: str) -> None:
        """Go on with a run where it was stopped, after the jobs that were asked for before."""
        self._submit(self._workspace.info(name).job, f"Resume {name}", resume=name)

    def _submit(self, kind: Any, words: str, experiment: dict[str, Any] | None = None, **more: str) -> None:
        spec = JobSpec(kind, str(self._workspace.path.resolve()), experiment or {}, **more)
        try:
            spec.check_trusted(self._workspace)
        except Untrusted as asked:
            self._asked_for = (asked.id, spec, words)
            self.notices.fail(asked)
            return
        self._put(spec, words)

    def _put(self, spec: JobSpec, words: str) -> None:
        """Start a job, or have it follow what runs: then it is said so, and looked into at once."""
        waits = self.jobs.running
        queued = self.jobs.submit(spec, words)
        if waits:
            self.notices.tell(f"{words}: follows what runs now")
            self.background(partial(_check, spec), lambda _: None, partial(self._refuse, queued))

    def _refuse(self, queued: Queued, error: BaseException) -> None:
        """What waits cannot be done: it waits no longer, and its person hears of it now."""
        if queued in self.jobs.waiting:
            self.jobs.remove(queued)
            self.notices.fail(error, f"queue “{queued.words}”")

    def _on_agreed(self, id: str) -> None:
        """Start what waited for the person's word about this environment."""
        asked_for, self._asked_for = self._asked_for, None
        if asked_for is not None and asked_for[0] == id:
            self._put(*asked_for[1:])

    @property
    def evaluates_shown(self) -> bool:
        """Whether the running job evaluates what is shown: a model of that run, or any where none is shown."""
        if self.jobs.kind != "infer":
            return False
        if not self.shown.history.name:
            return True
        try:
            played = self._workspace.resolve_model(self.jobs.model)
        except UserError:
            return False
        return self._workspace.run_of(played) == self.shown.history.name

    def _model_to_play(self) -> str:
        """The run in training, else the one that is shown, else the newest; empty where none has a model."""
        if self.jobs.kind == "train":
            return self.shown.written.name if self.shown.written is not None else ""
        shown = self.shown.run
        if shown is not None and shown.best_checkpoint() is not None:
            return shown.name
        return next((r.name for r in self._workspace.runs() if r.checkpoint and r.job == "train"), "")

    def _on_started(self, _: str) -> None:
        name = self.jobs.resumes
        if name:
            self.shown.show_before_resuming(self._workspace.run(name), self._workspace.info(name).job)


def _check(job: JobSpec) -> None:
    from ewm_studio.jobs.checking import check_job  # imports torch

    check_job(job)
