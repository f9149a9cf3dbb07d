"""The question whether a job that does not end is to be ended at once."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from ewm_studio.ui.jobs.runner import JobRunner
from ewm_studio.ui.kit.dialogs import Question

_WORDS = "It was asked to save and end, and is not done yet. What is not saved is lost; the last checkpoint stands."


class EndNow(QObject):
    """Asks it once at a time, and takes the question back when the job has ended by itself."""

    def __init__(self, jobs: JobRunner, window: QWidget) -> None:
        super().__init__(jobs)
        self._jobs, self._window = jobs, window
        self._question: Question | None = None
        jobs.ended.connect(lambda *_: self._take_back())

    def ask(self) -> None:
        """Ask, and end it where that is agreed to."""
        if self._question is None:
            question = Question("End without saving?", _WORDS, "End now", "Wait", self._window, self._jobs.kill)
            self._question = question
            question.no.setDefault(True)  # a key that is pressed in haste loses nothing
            question.finished.connect(self._forget)
            question.open()

    def _forget(self) -> None:
        self._question = None

    def _take_back(self) -> None:
        if self._question is not None:
            self._question.reject()
