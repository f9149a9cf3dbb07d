"""Joins the run bar, and the menu of runs, to the jobs: what can be started, what runs, how far it is, how it ended."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject

from ewm_studio.analysis.inspection import Inspection
from ewm_studio.events import Event, Finished, Metrics, Progress, RunStarted
from ewm_studio.jobs.failure import Failure
from ewm_studio.ui.jobs.end_now import EndNow
from ewm_studio.ui.jobs.event_words import log_lines, outcome
from ewm_studio.ui.page import Activity, PageController
from ewm_studio.ui.services import Services
from ewm_studio.ui.window.main_window import MainWindow


class RunBarController(QObject):
    """Shows one job after another; while none runs, what goes on upon a page."""

    def __init__(self, window: MainWindow, services: Services) -> None:
        super().__init__(services)
        self._window, self._bar, self._services = window, window.bar, services
        self._epoch = 0
        self._outcome = ""  # what the last job came to
        self.end_now = EndNow(services.jobs, window)
        self._activities: dict[str, Activity] = {}  # what goes on upon pages, by their keys, the latest last
        self._connect_bar()
        self._connect_actions()
        services.fitting.inspected.connect(self._on_inspected)
        jobs = services.jobs
        jobs.started.connect(self._on_started)
        jobs.events.connect(self._on_events)
        jobs.paused.connect(self._bar.show_paused)
        jobs.stopping.connect(self._bar.show_stopping)
        jobs.killing.connect(self._on_killing)
        jobs.ended.connect(self._on_ended)
        jobs.queue_changed.connect(lambda: self._bar.show_waiting(jobs.waiting))
        for key, page in window.pages.items():
            self._join(key, page.controller)

    def _connect_bar(self) -> None:
        bar, jobs = self._bar, self._services.jobs
        bar.asked.connect(self._services.start)
        bar.pause_toggled.connect(jobs.toggle_pause)
        bar.stop_asked.connect(jobs.stop)
        bar.end_asked.connect(self.end_now.ask)
        bar.queue_menu.asked.connect(self._services.enqueue)
        bar.queue_menu.removed.connect(jobs.remove)
        bar.queue_menu.cleared.connect(jobs.clear)

    def _connect_actions(self) -> None:
        for name, made in self._bar.buttons.items():
            self._window.actions_by_name[name].triggered.connect(made.click)
        self._bar.changed.connect(self._match_menu)
        self._match_menu()
        self._window.space_pressed.connect(self._services.jobs.toggle_pause)

    def _match_menu(self) -> None:
        """The menu's entries can be chosen when the bar's buttons can be pressed."""
        for name, made in self._bar.buttons.items():
            action = self._window.actions_by_name[name]
            action.setEnabled(made.isEnabled() and not made.isHidden())
            action.setToolTip(made.toolTip())

    def _join(self, key: str, controller: PageController) -> None:
        controller.activity.connect(partial(self._on_activity, key))
        controller.room_wanted.connect(self._window.columns.make_room)

    def _on_inspected(self, inspection: Inspection) -> None:
        """Offer no pretraining where neither vision nor memory has anything to learn."""
        learns = not inspection.parameters or any(inspection.parameters.get(kind) for kind in ("vision", "memory"))
        names = " and ".join(inspection.chosen.get(kind, kind) for kind in ("vision", "memory"))
        why_not = "" if learns else f"{names} have nothing to learn: choose another vision or memory to pretrain"
        self._bar.show_possible("pretrain", why_not)

    def _on_started(self, kind: str) -> None:
        self._epoch, self._outcome = 0, ""
        self._bar.show_running(kind)
        self._window.panel.show_running(True)

    def _on_events(self, events: list[Event]) -> None:
        """Show what came, in order; of progress only the latest."""
        latest: Progress | None = None
        for event in events:
            for line in log_lines(event, self._services.jobs.kind):
                self._services.notices.say(line.text, line.level, line.good)
            if isinstance(event, Progress):
                latest = event
            elif isinstance(event, Metrics):
                self._epoch = event.epoch
            elif isinstance(event, RunStarted):
                self._bar.show_stages(event.stages)
            elif isinstance(event, Finished):
                self._outcome = outcome(event, self._services.jobs.kind)
        if latest is not None:
            self._bar.show_progress(latest, self._epoch)

    def _on_killing(self) -> None:
        self._outcome = "Ended without saving"
        self._services.notices.say(self._outcome, "warning")

    def _on_ended(self, _: str, failure: Failure | None) -> None:
        self._window.panel.show_running(False)
        self._bar.show_idle("" if failure else self._outcome)
        self._show_activity()

    def _on_activity(self, key: str, activity: Activity | None) -> None:
        """Something goes on upon a page, or is over there, whatever goes on upon others."""
        self._activities.pop(key, None)
        if activity is not None:
            self._activities[key] = activity
        self._window.show_activity(self._shown)
        if self._services.jobs.running:
            return
        if self._shown is None:
            self._bar.show_idle()
        self._show_activity()

    @property
    def _shown(self) -> Activity | None:
        """What records, else what was told last."""
        latest = reversed(self._activities.values())
        return next((one for one in latest if one.recording), next(reversed(self._activities.values()), None))

    def _show_activity(self) -> None:
        """No job runs: show what goes on upon a page, if anything does."""
        if (activity := self._shown) is not None:
            role = "recording" if activity.recording else "dream" if activity.dreamt else ""
            self._bar.show_activity(activity.line, activity.figures, activity.share, role)
