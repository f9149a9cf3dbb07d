"""Learning while driving, seen from the window: the switch, the job in its process, and what it shows."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from ewm_studio.driving.decisions import Decision
from ewm_studio.events import CheckpointSaved, Event, Images, Metrics, RunStarted
from ewm_studio.jobs.failure import Failure
from ewm_studio.jobs.live_feed import LiveFeed
from ewm_studio.jobs.runners.process import JobProcesses
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.settings import Experiment
from ewm_studio.ui.jobs.runner import JobRunner
from ewm_studio.ui.live.panel import LivePanel
from ewm_studio.workspace import Workspace


class LiveController(QObject):
    """Runs the job while somebody drives and the switch is on."""

    failed = Signal(Failure)

    def __init__(self, panel: LivePanel, processes: JobProcesses, parent: QObject) -> None:
        super().__init__(parent)
        self._panel = panel
        self._jobs = JobRunner(processes, self)
        self._jobs.events.connect(self._on_events)
        self._jobs.ended.connect(self._on_ended)
        self._feed: LiveFeed | None = None
        self._run = ""
        self._driving: tuple[Experiment, Workspace] | None = None
        panel.switched.connect(self._on_switched)

    @property
    def running(self) -> bool:
        """Whether the job goes on."""
        return self._jobs.running

    def on_decision(self, decision: Decision) -> None:
        """A decision that was driven, from any thread; forgotten where nobody learns."""
        feed = self._feed
        if feed is not None:
            feed.on_decision(decision)

    def begin_driving(self, experiment: Experiment, workspace: Workspace) -> None:
        """Somebody drives from now on."""
        self._driving = (experiment, workspace)
        if self._panel.switch.isChecked():
            self._begin()

    def end_driving(self) -> None:
        """Nobody drives any more: what was learned is saved."""
        self._driving = None
        self._stop()

    def end(self) -> None:
        """Leave nothing running; waits for it to be saved."""
        self._feed = None
        self._jobs.end()

    def _on_switched(self, on: bool) -> None:
        if not on:
            self._stop()
        elif self._driving is not None:
            self._begin()

    def _begin(self) -> None:
        if self._driving is None or self._jobs.running:
            return
        experiment, workspace = self._driving
        self._feed, self._run = LiveFeed(), ""
        self._panel.begin()
        settings = experiment.model_dump(mode="json")
        self._jobs.submit("live", JobSpec("live", str(workspace.path.resolve()), settings), feed=self._feed)

    def _stop(self) -> None:
        self._feed = None
        if self._jobs.running:
            self._panel.show_ended("saving …")
            self._jobs.stop()

    def _on_events(self, events: list[Event]) -> None:
        latest: Images | None = None
        for event in events:
            if isinstance(event, Images):
                latest = event
            elif isinstance(event, Metrics):
                self._panel.add_metrics(event)
            elif isinstance(event, RunStarted):
                self._run = event.run
            elif isinstance(event, CheckpointSaved) and self._feed is None:
                self._panel.show_ended(f"saved as {self._run}")
        if latest is not None:
            self._panel.show_pictures(latest.pictures)

    def _on_ended(self, kind: str, failure: Failure | None) -> None:
        self._feed = None
        if failure is not None:
            self._panel.show_ended("ended early")
            self.failed.emit(failure)
        elif not self._run:
            self._panel.show_ended("")
