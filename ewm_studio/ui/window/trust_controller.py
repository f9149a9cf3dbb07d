"""The question whether a module that a file names may be imported."""

from __future__ import annotations

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from ewm_studio.errors import Untrusted
from ewm_studio.ui.kit.dialogs import Question
from ewm_studio.ui.services import Services


class TrustController(QObject):
    """Asks once at a time; what is agreed to is remembered, and what was chosen by hand is meant."""

    def __init__(self, services: Services, window: QWidget) -> None:
        super().__init__(services)
        self._services, self._window = services, window
        self._asking: Question | None = None
        self._refused = ""  # what was last said no to: not asked again because something else changed
        services.notices.untrusted.connect(self.ask)
        services.fitting.untrusted.connect(self._ask_unless_refused)

    @property
    def question(self) -> Question | None:
        """The question that is open."""
        return self._asking

    def ask(self, asked: Untrusted) -> None:
        """Show the module's name and place, and remember the answer."""
        if self._asking is not None:
            return
        words = (
            f"The environment {asked.id} lies in the module {asked.module}, in the file {asked.place}. Importing it "
            "runs its code. Nobody has agreed to that on this computer; a file that came from elsewhere may name any "
            "module. If you know it, it is trusted from now on."
        )
        self._asking = Question(
            "Import this module?", words, "Trust and import", "Leave it", self._window, lambda: self.agree(asked.id)
        )
        self._asking.no.setDefault(True)
        self._asking.finished.connect(lambda answer: self._on_answer(asked.id if not answer else ""))
        self._asking.open()

    def agree(self, id: str) -> None:
        """The person chose this environment, or agreed to its module."""
        from ewm_studio.envs.trust import trust  # with it comes gymnasium, which the window does not wait for

        self._services.notices.guarded(lambda: trust(id), "remember that")()
        self._services.notices.agreed.emit(id)
        self._services.fitting.inspect_soon()

    def _ask_unless_refused(self, asked: Untrusted) -> None:
        if asked.id != self._refused:
            self.ask(asked)

    def _on_answer(self, refused: str) -> None:
        self._asking, self._refused = None, refused
