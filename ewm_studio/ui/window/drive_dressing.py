"""What the window around the Drive page does while somebody drives: the run bar, the status line, the panel."""

from __future__ import annotations

from PySide6.QtCore import QObject

from ewm_studio.ui.drive.controller import DriveController, DriveWords
from ewm_studio.ui.jobs.runner import JobRunner
from ewm_studio.ui.window.main_window import MainWindow


class DriveDressing(QObject):
    """Makes room for the picture and says how the drive goes, as long as no job has more to say."""

    def __init__(self, drive: DriveController, window: MainWindow, jobs: JobRunner) -> None:
        super().__init__(drive)
        self._window, self._jobs = window, jobs
        self._panel = True  # whether the experiment panel was open
        drive.began.connect(self._begin)
        drive.told.connect(self._tell)
        drive.ended.connect(self._end)
        jobs.started.connect(lambda _: drive.show_idle())
        jobs.ended.connect(lambda *_: drive.show_idle())
        window.drive_page.environment_asked.connect(self._choose_environment)

    def _begin(self) -> None:
        window = self._window
        self._panel = not window.panel.isHidden()
        window.panel.hide()

    def _tell(self, words: DriveWords) -> None:
        window = self._window
        recording = f"recording {words.recording}, " if words.recording else ""
        window.environments_label.setText(recording + words.pace)
        if not self._jobs.running:
            window.bar.show_drive(words.line, words.figures, words.share, bool(words.recording))

    def _end(self) -> None:
        window = self._window
        window.panel.setVisible(self._panel)
        window.environments_label.setText("")
        if not self._jobs.running:
            window.bar.show_idle()

    def _choose_environment(self) -> None:
        self._window.panel.show()
        self._window.panel.environment.open_list()
