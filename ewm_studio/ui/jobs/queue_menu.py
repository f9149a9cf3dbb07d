"""The menu of the queue: what can follow the running job, and what waits already."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QWidget, QWidgetAction

from ewm_studio.jobs.kinds import job_kind
from ewm_studio.ui.jobs.runner import Queued
from ewm_studio.ui.kit.widgets import label

OFFERED = ("pretrain", "train", "infer")


class QueueMenu(QMenu):
    """Offers jobs with the settings as they are now; a job that waits is taken out by choosing it."""

    asked = Signal(str)  # a job: pretrain, train or infer
    removed = Signal(object)  # Queued
    cleared = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setToolTipsVisible(True)
        self._waiting: tuple[Queued, ...] = ()
        self._impossible: Mapping[str, str] = {}
        self.show_waiting(())

    def show_impossible(self, jobs: Mapping[str, str]) -> None:
        """Offer all but these jobs, of which is said why not."""
        self._impossible = dict(jobs)
        self.show_waiting(self._waiting)

    def show_waiting(self, waiting: tuple[Queued, ...]) -> None:
        """List what waits."""
        self._waiting = waiting
        self.clear()
        for kind in OFFERED:
            action = self.addAction(f"{job_kind(kind).title} after this, with the settings as they are now")
            action.triggered.connect(partial(self._ask, kind))
            action.setEnabled(kind not in self._impossible)
            action.setToolTip(self._impossible.get(kind, ""))
        if not waiting:
            return
        self.addSeparator()
        self.addAction(self._heading("Waiting"))
        for number, queued in enumerate(waiting, 1):
            action = self.addAction(f"{number}.  {queued.words or queued.job.kind}   (remove)")
            action.setToolTip("Take this job out of the queue")
            action.triggered.connect(partial(self._remove, queued))
        if len(waiting) > 1:
            self.addSeparator()
            self.addAction("Remove all").triggered.connect(self.cleared)

    def _heading(self, text: str) -> QWidgetAction:
        """A line that nothing is done by; a style sheet leaves the text of a section out."""
        action, words = QWidgetAction(self), label(text, "menuHeading")
        action.setText(text)
        action.setDefaultWidget(words)
        action.setEnabled(False)
        return action

    def _ask(self, kind: str, _: bool = False) -> None:
        self.asked.emit(kind)

    def _remove(self, queued: Queued, _: bool = False) -> None:
        self.removed.emit(queued)
