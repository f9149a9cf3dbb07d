"""The run on the plots and on the Vision page: a stored one, the running one, or one that another process writes."""

from __future__ import annotations

from PySide6.QtCore import QObject

from ewm_studio.analysis.history import RunHistory
from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.vision.inspector import VisionInspector
from ewm_studio.ui.window.main_window import MainWindow
from ewm_studio.workspace import Run, Workspace


class RunView(QObject):
    """Which run is shown, and what is known of it."""

    def __init__(self, window: MainWindow, in_background: Background, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._in_background = window, in_background
        self.inspector = VisionInspector(window.vision_page, in_background, self)
        self.history = RunHistory()
        self.run: Run | None = None  # once it is in the workspace
        self._loading = False
        self._written = False  # another process was writing it when it was last looked at
        self._stale_side = True

    def show_history(self, history: RunHistory) -> None:
        """Put curves on the plots."""
        self.history = history
        self._window.train_page.show_history(history)
        self._window.vision_page.show_history(history)
        self._stale_side = True

    def mark(self, tags: tuple[str, ...]) -> None:
        """Tell that rows were added under these tags."""
        self._stale_side = True
        self._window.train_page.mark(tags)
        self._window.vision_page.mark(tags)

    def begin(self, run: Run, job: str) -> None:
        """A job writes this run now; a resumed one goes on with its curves."""
        self.run = run
        if self.history.name != run.name:
            self.show_history(RunHistory(run.name, job))
            self._window.side.clear()
            self.clear_vision()
        self._window.run_label.setText(f"run {run.name}")

    def show(self, workspace: Workspace, name: str) -> None:
        """Put a run of the workspace on the plots, from its database."""
        run = workspace.run(name)
        self._take(run, RunHistory.load(run, workspace.info(name).job))
        self._window.show_page("train")

    def show_before_resuming(self, workspace: Workspace, name: str) -> None:
        """Put a run on the plots that a job is about to go on with: up to its latest checkpoint, where that begins."""
        run = workspace.run(name)
        latest = run.latest_checkpoint()
        until = int(latest.stem) if latest is not None else -1
        self._take(run, RunHistory.load(run, workspace.info(name).job, until))

    def show_last(self, workspace: Workspace) -> None:
        """Begin with the newest run, where there is one and nothing is shown yet."""
        last = next(iter(workspace.runs()), None)
        if last is None or self.history.name:
            return
        run = workspace.run(last.name)

        def show(history: RunHistory) -> None:
            if not self.history.name:
                self._take(run, history)

        self._in_background(lambda: RunHistory.load(run, last.job), show)

    def _take(self, run: Run, history: RunHistory) -> None:
        self.run = run
        self.show_history(history)
        self.look_into(run)
        self._window.run_label.setText(f"run {run.name}")

    def follow(self, workspace: Workspace, name: str, renamed: str) -> None:
        """A run was renamed, or deleted where there is no new name: the plots stay, joined to what is there."""
        if self.run is None or self.run.name != name:
            return
        self.run = workspace.run(renamed) if renamed else None
        self._window.run_label.setText(f"run {renamed}" if renamed else f"{name} (deleted)")

    def watch(self) -> None:
        """Take in what another process has written since, also once more after its end."""
        run, job = self.run, self.history.job
        if run is None or self._loading:
            return
        written, self._written = self._written, run.alive
        if not (written or self._written):
            return

        def show(history: RunHistory) -> None:
            self._loading = False
            if self.run is run:
                self.refresh(history)

        def fail(_: BaseException) -> None:
            self._loading = False  # deleted in the meantime, say: what is shown stays

        self._loading = True
        self._in_background(lambda: RunHistory.load(run, job), show, fail)
        self.inspector.frames_changed()

    def refresh(self, history: RunHistory) -> None:
        """More of the run that is shown; where someone looks closer, the view stays."""
        self.history = history
        self._window.train_page.refresh(history)
        self._window.vision_page.refresh(history)
        self._stale_side = True

    def look_into(self, run: Run) -> None:
        """Show a run's model on the Vision page."""
        self.clear_vision()
        self.inspector.show_run(run)

    def clear_vision(self) -> None:
        """Nothing on the Vision page."""
        self._window.vision_page.clear()
        self.inspector.forget()

    def clear(self) -> None:
        """Show no run."""
        self.run = None
        self.show_history(RunHistory())
        self._window.side.clear()
        self.clear_vision()
        self._window.run_label.setText("")

    def redraw_side(self) -> None:
        """Bring the figures beside the plots up to date, where something changed."""
        if self._stale_side:
            self._stale_side = False
            self._window.side.show_history(self.history)
