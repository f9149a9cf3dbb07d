"""The run that the pages look at: a stored one, the running one, or one that another process writes."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from ewm_studio.analysis.about import about
from ewm_studio.analysis.history import RunHistory
from ewm_studio.events import EpisodeFinished, Event, Metrics, RunStarted
from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.plots.quantities import PlotOptions
from ewm_studio.workspace import Run, Workspace
from ewm_studio.workspace.record import read_record


class ShownRun(QObject):
    """Which run is shown, and what is known of it.

    Attributes:
        history: its curves.
        run: where it is kept, once it is in the workspace.
        written: the curves of the run that this window's job writes, whichever run is shown; None where it writes none.
        loading: whether the first run to show is still being read.
        plots: how its curves are plotted, on every page, and which runs are laid over it.
    """

    replaced = Signal()  # there are other curves
    emptied = Signal()  # nothing of the run is there yet: it begins, or none is shown
    grew = Signal(tuple)  # rows were added under these tags
    read_again = Signal()  # more of the same run was read from its database
    model_chosen = Signal(object)  # the Run whose model is to be looked into
    compared = Signal()  # other runs are laid over it
    named = Signal(str)  # what it is called, in words

    def __init__(self, background: Background, parent: QObject) -> None:
        super().__init__(parent)
        self._background = background
        self.history = RunHistory()
        self.run: Run | None = None
        self.written: RunHistory | None = None
        self.plots = PlotOptions()
        self.loading = False  # the first one is being read
        self._loading = False
        self._known: dict[str, Run] = {}  # those whose curves are here, by their names
        self._alive = False  # another process was writing it when it was last looked at

    @property
    def live(self) -> bool:
        """Whether the run that is shown is the one that this window's job writes."""
        return self.written is not None and self.history is self.written

    # Which run

    def show(self, run: Run, job: str) -> None:
        """Show a stored run."""
        self._take(run, self._curves(run, job))

    def _curves(self, run: Run, job: str) -> RunHistory:
        """A run's curves, from its database; those of a run that a job of this window writes are here already."""
        written = self.written
        return written if written is not None and written.name == run.name else RunHistory.load(run, job)

    def show_first(self, run: Run, job: str) -> None:
        """Show a stored run as soon as it is read, unless another is shown by then."""
        if self.history.name:
            return

        def show(history: RunHistory) -> None:
            self.loading = False
            if not self.history.name:
                self._take(run, history)

        def fail(error: BaseException) -> None:
            self.loading = False
            self._replace(RunHistory())

        self.loading = True
        self._replace(RunHistory())
        self._background(lambda: RunHistory.load(run, job), show, fail)

    def show_before_resuming(self, run: Run, job: str) -> None:
        """Show a run that a job is about to go on with: up to its latest checkpoint, where that begins."""
        latest = run.latest_checkpoint()
        self.written = RunHistory.load(run, job, int(latest.stem) if latest is not None else -1)
        self._take(run, self.written)

    def clear(self) -> None:
        """Show no run, and lay none over it."""
        self.run = None
        self.plots.compared.clear()
        self._replace(RunHistory())
        self.emptied.emit()
        self.compared.emit()
        self.named.emit("")

    def look_into(self, run: Run) -> None:
        """Look into another run's model beside these curves."""
        self.model_chosen.emit(run)

    def _begin(self, run: Run, job: str) -> None:
        """A job writes this run now; a resumed one goes on with its curves."""
        self.run = self._known[run.name] = run
        if self.written is None or self.written.name != run.name:
            self.written = RunHistory(run.name, job)
            self.written.about = about(run)
        if not self.live:
            self._replace(self.written)
            self.emptied.emit()
        self.named.emit(f"run {run.name}")

    def _take(self, run: Run, history: RunHistory) -> None:
        self.run = self._known[run.name] = run
        self._replace(history)
        self.look_into(run)
        self.named.emit(f"run {run.name}")

    def _replace(self, history: RunHistory) -> None:
        """Show other curves; one that was laid over the last ones changes places with them."""
        before, compared = self.history, self.plots.compared
        if any(other.name == history.name for other in compared):
            compared[:] = [other for other in compared if other.name != history.name]
            if before.name and before.name != history.name:
                compared.append(before)
        self.history = history
        self._give_colors()
        self.replaced.emit()

    def _give_colors(self) -> None:
        self.plots.colors.give(history.name for history in (self.history, *self.plots.compared))

    # What becomes of it

    def take(self, events: list[Event], workspace: Workspace) -> None:
        """Take in what the running job says of its run, whichever is shown."""
        changed: set[str] = set()
        for event in events:
            if isinstance(event, RunStarted) and event.run:
                self._begin(workspace.run(event.run), event.job)
            elif isinstance(event, EpisodeFinished) and self.written is not None:
                changed.update(self.written.add_episode(event))
            elif isinstance(event, Metrics) and self.written is not None:
                changed.update(self.written.add_metrics(event))
        if changed and (self.live or self.written in self.plots.compared):
            self.grew.emit(tuple(changed))

    def end_job(self) -> None:
        """The job is over: from now on its run is one like all others."""
        self.written = None

    def watch(self) -> None:
        """Take in what another process has written since, also once more after its end."""
        run, job = self.run, self.history.job
        if run is None or self._loading or self.live:
            return
        before, self._alive = self._alive, run.alive
        if not (before or self._alive):
            return

        def show(history: RunHistory) -> None:
            self._loading = False
            if self.run is run:
                self.history = history
                self.read_again.emit()

        def fail(_: BaseException) -> None:
            self._loading = False  # deleted in the meantime, say: what is shown stays

        self._loading = True
        self._background(lambda: RunHistory.load(run, job), show, fail)

    def follow(self, name: str, renamed: Run | None) -> None:
        """A run was renamed, or deleted where there is no new one."""
        if renamed is None:
            self._forget(name)
            return
        for history in (self.history, *self.plots.compared):
            history.name = renamed.name if history.name == name else history.name
        self.plots.colors.rename(name, renamed.name)
        self._known[renamed.name] = renamed
        self.compared.emit()
        if self.run is not None and self.run.name == name:
            self.run = renamed
            self.named.emit(f"run {renamed.name}")

    def _forget(self, name: str) -> None:
        """A run is no more: neither are its curves; one that was laid over them takes their place."""
        compared = self.plots.compared
        compared[:] = [history for history in compared if history.name != name]
        self.plots.colors.forget(name)
        if self.history.name != name:
            self.compared.emit()
            return
        self.run = None
        if compared:
            self._take(self._known[compared[0].name], compared[0])
            self._lay([history for history in compared if history.name != name])
        else:
            self._replace(RunHistory())
            self.emptied.emit()
            self.named.emit("")
            self.compared.emit()

    # Compared with others

    def toggle_compared(self, run: Run) -> None:
        """Lay a run over this one, or take it away again."""
        kept = [history for history in self.plots.compared if history.name != run.name]
        if len(kept) == len(self.plots.compared):
            kept.append(self._curves(run, read_record(run.folder).get("job", "train")))
            self._known[run.name] = run
        self._lay(kept)

    def _lay(self, histories: list[RunHistory]) -> None:
        self.plots.compared[:] = histories
        self._give_colors()
        self.compared.emit()

    def group_seeds(self, wanted: bool) -> None:
        """Draw runs that differ by their seed alone as one mean in its band, or each by itself."""
        self.plots.over_seeds = wanted
        self.compared.emit()
