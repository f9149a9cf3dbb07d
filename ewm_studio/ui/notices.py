"""Whom to tell: one line for the log, or a failure for a dialog."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from ewm_studio.errors import Untrusted, UserError
from ewm_studio.jobs.failure import Failure, failure_of
from ewm_studio.ui.kit.wording import in_the_windows_words, without_flags


class Notices(QObject):
    """Takes what anybody has to say; whoever shows it listens."""

    said = Signal(str, str, bool)  # a line; info, warning or error; whether it is good news
    failed = Signal(Failure)
    untrusted = Signal(Untrusted)  # a file names a module: it is for the person to say whether it is imported
    told = Signal(str)  # to be seen for a while, whatever page is shown
    agreed = Signal(str)  # to the module of this environment's id

    def say(self, text: str, level: str = "info", good: bool = False) -> None:
        """One line for the log."""
        self.said.emit(without_flags(text) if level != "info" else text, level, good)

    def tell(self, text: str, level: str = "info") -> None:
        """Say what nothing else shows, as that something asked for is done: in the log, and for a while anywhere."""
        self.say(text, level, good=level == "info")
        self.told.emit(text)

    def fail(self, error: BaseException | Failure, doing: str = "") -> None:
        """Something went wrong: a line for the log, and a dialog; a module that nobody agreed to is a question.

        Args:
            error: what.
            doing: what could not be done, as "cut the episode"; empty where a job was to run.
        """
        if isinstance(error, Untrusted):
            self.untrusted.emit(error)
            return
        failure = in_the_windows_words(error if isinstance(error, Failure) else failure_of(error, doing))
        self.say(f"{failure.title}: {failure.what}", "error")
        self.failed.emit(failure)

    def guarded(self, slot: Callable[[], None], doing: str) -> Callable[[], None]:
        """The same, where bad input becomes a dialog: headed by `doing`, as that of `fail` is."""

        def run() -> None:
            try:
                slot()
            except UserError as error:
                self.fail(error, doing)

        return run
