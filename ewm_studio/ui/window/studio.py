"""Makes the window and its pages, gives them the program's services, keeps time, and ends it all."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QCloseEvent

from ewm_studio.jobs.failure import Failure
from ewm_studio.jobs.runners.process import JobProcesses
from ewm_studio.processes.endings import same_request
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.jobs.runner import JobRunner
from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.kit.dialogs import FailureDialog, Question
from ewm_studio.ui.kit.machine import device_words
from ewm_studio.ui.notices import Notices
from ewm_studio.ui.services import Services
from ewm_studio.ui.window import remembered
from ewm_studio.ui.window.commands import Commands
from ewm_studio.ui.window.main_window import MainWindow
from ewm_studio.ui.window.pages import PAGES, MakePage
from ewm_studio.ui.window.run_bar_controller import RunBarController
from ewm_studio.ui.window.themes import add_themes
from ewm_studio.ui.window.trust_controller import TrustController
from ewm_studio.ui.window.workspaces import Workspaces
from ewm_studio.workspace import Workspace

TICK_MILLISECONDS = 50
WATCH_MILLISECONDS = 2000
LATENESS_SECONDS = 5.0


class Studio(QObject):
    """One window on one workspace at a time."""

    def __init__(
        self, workspace: Workspace, processes: JobProcesses | None = None, pages: Sequence[MakePage] = PAGES
    ) -> None:
        """Join a new window to a workspace.

        Args:
            workspace: where runs are kept.
            processes: gives jobs their processes; several studios of one program may share one, which outlives them.
            pages: makes the pages, in the order of the rail.
        """
        super().__init__()
        self._processes = processes or JobProcesses()
        self._owns_processes = processes is None
        self._closing = False
        self._signalled = 0.0  # when a signal came first
        self._failed: FailureDialog | None = None  # tells what went wrong, and is read
        self._ticked = time.monotonic()
        self._late: deque[tuple[float, float]] = deque()
        notices = Notices(self)
        self.jobs = JobRunner(self._processes, self)
        self.services = Services(
            ExperimentDocument(),
            workspace,
            self.jobs,
            Background(partial(notices.fail, doing="do that"), self),
            notices,
            self,
        )
        self.window = MainWindow(self.services.document, [make(self.services) for make in pages])
        self._controllers = [page.controller for page in self.window.pages.values()]
        self._connect()
        self._run_bar = RunBarController(self.window, self.services)
        self.trust = TrustController(self.services, self.window)
        self.window.panel.environment_chosen.connect(self.trust.agree)
        self.commands = Commands(self.services, self.window)
        self.workspaces = Workspaces(self.services, self.window)
        for page in self.window.pages.values():
            self.window.add_actions(page)
        add_themes(self.window.menus["View"])
        self._tick = self._timer(TICK_MILLISECONDS, self._on_tick)
        self._watch = self._timer(WATCH_MILLISECONDS, self._on_watch)
        self.jobs.ended.connect(self._on_ended)

    def _timer(self, milliseconds: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setInterval(milliseconds)
        timer.timeout.connect(slot)
        return timer

    def _connect(self) -> None:
        window, services, fitting = self.window, self.services, self.services.fitting
        services.notices.failed.connect(self._show_failure)
        services.notices.told.connect(window.tell)
        services.page_asked.connect(window.show_page)
        services.environment_asked.connect(window.choose_environment)
        services.all_taken = window.all_taken
        services.models_changed.connect(window.panel.start_note.refresh)
        window.panel.start_note.is_there = services.has_model
        services.shown.named.connect(window.run_label.setText)
        fitting.ready.connect(window.panel.show_catalog)
        fitting.inspected.connect(window.panel.show_inspection)
        fitting.described.connect(window.panel.show_environment)
        fitting.unknown.connect(window.panel.show_unknown)
        window.panel.inspection_wanted.connect(fitting.inspect_soon)
        window.page_shown.connect(lambda key: window.pages[key].controller.shown())
        window.close_asked.connect(self._on_close)
        window.actions_by_name["quit"].triggered.connect(window.close)

    def restore(self) -> None:
        """Take up size, layout and unsaved settings from last time."""
        remembered.restore_layout(self.window)
        self.workspaces.take_up_settings()

    def begin(self) -> None:
        """After the window is shown: load what takes time."""
        self._tick.start()
        self._watch.start()
        self.window.panel.build_in_idle_time()
        for controller in self._controllers:
            controller.begin()
        self.services.show_last_run()
        self.services.fitting.begin()
        self._processes.prepare()

    # Time

    def _on_tick(self) -> None:
        now = time.monotonic()
        self._late.append((now, max(0.0, now - self._ticked - TICK_MILLISECONDS / 1000)))
        self._ticked = now
        while self._late and now - self._late[0][0] > LATENESS_SECONDS:
            self._late.popleft()
        any(controller.redraw_one() for controller in self._controllers)

    def _on_watch(self) -> None:
        late = max((seconds for _, seconds in self._late), default=0.0)
        self.window.late_label.setText(f"window {late * 1000:.0f} ms late at most")
        self.window.bar.show_machine(device_words(self.services.experiment.run.device, self.jobs.pid))
        self.window.pages[self.window.page].controller.watch()
        self.services.shown.watch()

    # What goes wrong, and the end

    def _show_failure(self, failure: Failure) -> None:
        if self._failed is not None:
            self._failed.add(failure)
            return
        self._failed = FailureDialog(failure, self.window)
        self._failed.finished.connect(self._forget_failures)
        self._failed.open()

    def _forget_failures(self) -> None:
        self._failed = None

    def _on_ended(self, _: str, failure: Failure | None) -> None:
        self._on_watch()
        if self._closing:
            self.window.close()
        elif failure is not None:
            self.services.notices.fail(failure)

    def _on_close(self, event: QCloseEvent) -> None:
        if self.jobs.running:
            event.ignore()
            if self._closing:
                self._run_bar.end_now.ask()
            else:
                self._ask_to_leave()
            return
        self._silence()
        self.workspaces.remember()
        event.accept()
        self.window.hide()  # at once: what is being imported in the background cannot be broken off, and is waited for
        self.end()

    def _ask_to_leave(self) -> None:
        words = "The run is saved at its next safe point and can be resumed later."
        if self.jobs.waiting:
            words += f" What waits in the queue ({len(self.jobs.waiting)}) is forgotten."
        Question("Stop the run and close?", words, "Stop and close", "Keep running", self.window, self.leave).open()

    def leave(self) -> None:
        """Stop what runs, then close, without asking."""
        self._silence()
        self.jobs.clear()
        self.jobs.stop()
        if not self.jobs.running:
            self.window.close()

    def obey(self, number: int) -> None:
        """A signal asks to end: the first as `leave` does, a later one at once."""
        now = time.monotonic()
        if not self._signalled:
            self._signalled = now
            self.leave()
        elif not same_request(number, now - self._signalled):
            self.jobs.kill()

    def _silence(self) -> None:
        self._closing = True
        self.services.background.silence()

    def end(self) -> None:
        """Leave nothing running."""
        self._silence()
        for timer in (self._tick, self._watch):
            timer.stop()
        self.services.fitting.end()
        self.workspaces.end()
        self.jobs.end()
        for controller in self._controllers:
            controller.end()
        self.services.background.end()
        if self._owns_processes:
            self._processes.end()
        self.services.workspace.close()
