"""Learning while driving, seen from the window: the switch, the job in its process, and what it shows."""

from __future__ import annotations

from PySide6.QtCore import QObject

from ewm_studio.driving.decisions import Decision
from ewm_studio.events import CheckpointSaved, Event, Images, Metrics, RunStarted
from ewm_studio.jobs.failure import Failure
from ewm_studio.jobs.live_feed import LiveFeed
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.ui.live.panel import LivePanel
from ewm_studio.ui.plots.making import import_plots
from ewm_studio.ui.services import Services


class LiveController(QObject):
    """Runs the job while somebody drives and the switch is on."""

    def __init__(self, panel: LivePanel, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self._panel, self._services = panel, services
        self._jobs = services.jobs.beside(self)
        self._jobs.events.connect(self._on_events)
        self._jobs.ended.connect(self._on_ended)
        self._feed: LiveFeed | None = None
        self._run = ""
        self._driving = False
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

    def begin_driving(self) -> None:
        """Somebody drives the present experiment from now on."""
        self._driving = True
        if self._panel.switch.isChecked():
            self._begin()

    def end_driving(self) -> None:
        """Nobody drives any more: what was learned is saved."""
        self._driving = False
        self._stop()

    def end(self) -> None:
        """Leave nothing running; waits for it to be saved."""
        self._feed = None
        self._jobs.end()

    def _on_switched(self, on: bool) -> None:
        if not on:
            self._stop()
            return
        self._services.background(import_plots, lambda _: self._panel.make_plot())
        if self._driving:
            self._begin()

    def _begin(self) -> None:
        if self._jobs.running:
            return
        self._feed, self._run = LiveFeed(), ""
        self._panel.begin()
        settings = self._services.experiment.model_dump(mode="json")
        folder = str(self._services.workspace.path.resolve())
        self._jobs.submit(JobSpec("live", folder, settings), feed=self._feed)

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
                self._panel.show_saved(self._run)
        if latest is not None:
            self._panel.show_pictures(latest.pictures)

    def _on_ended(self, kind: str, failure: Failure | None) -> None:
        self._feed = None
        if failure is not None:
            self._panel.show_ended("ended early")
            self._services.notices.fail(failure)
        elif not self._run:
            self._panel.show_ended("")
