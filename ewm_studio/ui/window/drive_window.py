"""The Drive page alone in a window: drive until there are frames enough, then the window closes by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QEvent, QSize, QTimer
from PySide6.QtGui import QCloseEvent, QIcon
from PySide6.QtWidgets import QMainWindow, QProgressBar, QWidget

from ewm_studio import formatting as format
from ewm_studio.data.recordings import episode_paths
from ewm_studio.errors import UserError
from ewm_studio.jobs.failure import Failure
from ewm_studio.jobs.runners.process import JobProcesses
from ewm_studio.resources import resource
from ewm_studio.settings import Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.drive.page import DrivePage
from ewm_studio.ui.drive.session_controller import DriveWords, SessionController
from ewm_studio.ui.jobs.runner import JobRunner
from ewm_studio.ui.kit import store
from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.kit.widgets import column, label, row
from ewm_studio.ui.notices import Notices
from ewm_studio.ui.services import Services
from ewm_studio.ui.window.app import make_app, route_qt_messages
from ewm_studio.workspace import Workspace

LOOK_MILLISECONDS = 100  # between two looks whether the terminal asked to stop


class DriveWindow(QMainWindow):
    """Drives and records until `goal` frames are recorded, or it is closed."""

    def __init__(self, experiment: Experiment, workspace: Workspace, stop_asked: Callable[[], bool]) -> None:
        super().__init__()
        self.setWindowTitle(f"Drive {experiment.env.id}")
        self.setWindowIcon(QIcon(str(resource("icons", "ewm-studio.svg"))))
        self.setMinimumSize(QSize(720, 560))
        self._goal = experiment.data.frames
        self._stop_asked = stop_asked
        self.page = DrivePage()
        self.page.name.setReadOnly(True)
        notices = Notices(self)
        notices.failed.connect(self._on_failed)
        background = Background(partial(notices.fail, doing="do that"), self)
        self._processes = JobProcesses()
        self._services = Services(
            ExperimentDocument(experiment), workspace, JobRunner(self._processes, self), background, notices, self
        )
        self.recording = time.strftime("%Y-%m-%d-%H%M%S-manual")
        self.drive = SessionController(self.page, self._services, parent=self)
        self.drive.told.connect(self._tell)
        self.drive.ended.connect(self.close)
        self._line = label("", "heading")
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setRange(0, self._goal)
        self._progress.setAccessibleName("Frames recorded")
        self._make_layout()
        self._look = QTimer(self)
        self._look.setInterval(LOOK_MILLISECONDS)
        self._look.timeout.connect(self._close_if_asked)

    def _make_layout(self) -> None:
        words = label("Pretraining goes on when that is done, or when you close this window.", "secondary")
        head = column(row_of := QWidget(), self._progress, spacing=8, margins=(16, 12, 16, 0))
        row_of.setLayout(row(self._line, None, words, spacing=12))
        outer = QWidget()
        outer.setObjectName("pages")
        layout = column(spacing=0)
        layout.addLayout(head)
        layout.addWidget(self.page, 1)
        outer.setLayout(layout)
        self.setCentralWidget(outer)

    def begin(self) -> None:
        """After the window is shown."""
        self._look.start()
        self.drive.begin(self._goal, self.recording)

    def _tell(self, words: DriveWords) -> None:
        self._line.setText(
            f"{format.count(words.recorded)} of {format.count(self._goal)} frames recorded · {words.pace}"
        )
        self._progress.setValue(min(words.recorded, self._goal))

    def _on_failed(self, failure: Failure) -> None:
        self.page.say(failure.what)

    def _close_if_asked(self) -> None:
        if self._stop_asked():
            self.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        """End the drive first; what was recorded of the present episode is kept."""
        self._look.stop()
        self.drive.end()
        self._services.background.end()
        self._processes.end()
        super().closeEvent(event)


def drive_alone(experiment: Experiment, workspace: Workspace, stop_asked: Callable[[], bool]) -> str:
    """Let a person drive until `data.frames` frames are recorded or the window is closed; the recording's name.

    Raises:
        UserError: the environment cannot be driven, or nothing was recorded. Whatever else ended the drive.
    """
    app = make_app()
    route_qt_messages()
    window = DriveWindow(experiment, workspace, stop_asked)
    store.place(window, None)
    window.show()
    QTimer.singleShot(0, window.begin)
    app.exec()
    recording, failure = window.recording, window.drive.failure
    window.deleteLater()
    app.sendPostedEvents(window, QEvent.Type.DeferredDelete.value)
    if failure is not None:
        raise failure
    if not episode_paths(workspace.recordings_folder / recording):
        raise UserError("nothing was recorded, so there is nothing to pretrain on: drive, then close the window")
    return recording
