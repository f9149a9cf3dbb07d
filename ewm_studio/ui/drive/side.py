"""Joins a drive to the column beside it: recordings and their episodes, and learning from what is driven."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from ewm_studio.jobs.runners.process import Spares
from ewm_studio.settings import Experiment
from ewm_studio.ui.drive.controller import DriveController
from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.live.controller import LiveController
from ewm_studio.ui.recordings.controller import RecordingsController
from ewm_studio.ui.recordings.panel import RecordingsPanel
from ewm_studio.workspace import Workspace


class DriveSide(QObject):
    """The right column of the Drive page."""

    pretrain_asked = Signal(str, float)  # recordings by name, set apart by commas; share of random frames

    def __init__(
        self,
        drive: DriveController,
        spares: Spares,
        experiment: Callable[[], Experiment],
        workspace: Callable[[], Workspace],
        in_background: Background,
        parent: QObject,
    ) -> None:
        """Put the column beside a drive's page.

        Args:
            drive: the drive and its page.
            spares: gives the job that learns its process.
            experiment: gives the present experiment, whose vision and memory learn.
            workspace: gives the present workspace.
            in_background: runs a function off this thread.
            parent: owns this.
        """
        super().__init__(parent)
        self._drive, self._experiment, self._workspace = drive, experiment, workspace
        self.panel = RecordingsPanel()
        self.recordings = RecordingsController(self.panel, workspace(), in_background, self)
        self.live = LiveController(self.panel.live, spares, self)
        drive.on_decision = self.live.on_decision
        drive.page.set_side(self.panel)
        drive.page.turned_to.connect(self.recordings.refresh)
        drive.page.episode_kept.connect(self.recordings.episode_kept)
        drive.page.episode_taken_back.connect(lambda *_: self.recordings.refresh())
        drive.began.connect(self._on_began)
        drive.ended.connect(self.live.end_driving)
        self.recordings.pretrain_asked.connect(self.pretrain_asked)

    def show_workspace(self) -> None:
        """Show another workspace's recordings."""
        self.recordings.show_workspace(self._workspace())

    def end(self) -> None:
        """Leave nothing running; waits for what was learned to be saved."""
        self.live.end()

    def _on_began(self) -> None:
        self.live.begin_driving(self._experiment(), self._workspace())
