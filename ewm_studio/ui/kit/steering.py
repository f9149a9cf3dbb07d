"""Joins a page at whose wheel somebody sits to a session in a thread of its own: what is the same for all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Qt, Signal, Slot

from ewm_studio.driving import commands
from ewm_studio.ui.kit.key_names import COMMANDS
from ewm_studio.ui.kit.keys_dialog import KeysDialog, remember_keys

if TYPE_CHECKING:
    from ewm_studio.driving.controls import KeyMap

NOTE_SECONDS = 6.0  # that a note stays


class SteeringController(QObject):
    """One session at a time, whose keys come from a page's `view` and whose snapshots go to the page.

    Attributes:
        session: what is driven; None for nothing.
        failure: what ended the last session, where something did.
    """

    began = Signal()
    ended = Signal()
    failed = Signal(object)  # an exception that ended a session
    _fresh = Signal()
    fixed_keys: Mapping[str, str] = COMMANDS  # keys of the page that drive nothing, and what they do

    def __init__(self, page: Any, parent: QObject | None = None) -> None:
        """Join a page that has `view`, `say`, `pause_toggled`, `leave_asked`, `keys_asked` and `speed_chosen`."""
        super().__init__(parent)
        self.page = page
        self.session: Any = None
        self.failure: BaseException | None = None
        self._waiting = False  # a snapshot was announced and not looked at yet
        self._said = 0.0  # when
        self._fresh.connect(self._on_fresh, Qt.ConnectionType.QueuedConnection)
        page.leave_asked.connect(self.leave)
        page.pause_toggled.connect(self.toggle_pause)
        page.keys_asked.connect(self.edit_keys)
        page.speed_chosen.connect(lambda factor: self._ask(commands.SetSpeed(factor)))
        page.view.key_pressed.connect(lambda key: self._ask(commands.Press(key)))
        page.view.key_released.connect(lambda key: self._ask(commands.Release(key)))
        page.view.focus_lost.connect(lambda: self._ask(commands.LetGo()))

    @property
    def env(self) -> str:
        """The id of the environment that is driven."""
        raise NotImplementedError

    def _look(self, session: Any, snapshot: Any) -> None:
        """Show how the session stood at a snapshot: meanwhile it may stand otherwise."""
        raise NotImplementedError

    def _take_events(self, session: Any) -> None:
        """Tell what happened, and what was refused."""
        raise NotImplementedError

    def _on_over(self, session: Any) -> None:
        """The session is over by itself."""
        raise NotImplementedError

    def _ask(self, command: Any) -> None:
        if self.session is not None:
            self.session.ask(command)

    def leave(self) -> None:
        """End the session; what was recorded of the present episode is kept."""
        if self.session is not None:
            self.session.stop()

    def end(self) -> bool:
        """End the session and wait for that; whether there was one."""
        session = self.session
        if session is None:
            return False
        session.stop()
        session.join()
        self._take_events(session)
        self.session = None
        return True

    def toggle_pause(self) -> None:
        """Rest, or go on."""
        if self.session is not None:
            self._ask(commands.Pause() if self.session.snapshot.state == "driving" else commands.Resume())
            self.page.view.setFocus()

    def edit_keys(self) -> None:
        """Let the keys of this environment be chosen."""
        session = self.session
        if session is not None and session.scheme is not None and session.usual is not None:
            own, usual = session.scheme.keys, session.usual.keys
            dialog = KeysDialog(own, usual, self.page.window(), self._on_keys, self.fixed_keys)
            dialog.finished.connect(lambda _: self.page.view.setFocus())
            dialog.open()

    def _on_keys(self, keys: KeyMap) -> None:
        remember_keys(self.env, keys)
        if self.session is not None and self.session.scheme is not None:
            self._ask(commands.SetKeys(keys))

    def _on_notify(self) -> None:
        """In the session's thread: announce a snapshot, unless one waits to be looked at."""
        if not self._waiting:
            self._waiting = True
            self._fresh.emit()

    @Slot()
    def _on_fresh(self) -> None:
        self._waiting = False
        session = self.session
        if session is None:
            return
        snapshot = session.snapshot
        self._take_events(session)
        if snapshot.state == "over":
            self._on_over(session)
            return
        self._look(session, snapshot)
        if self._said and time.monotonic() - self._said > NOTE_SECONDS:
            self._said = 0.0
            self.page.say("")

    def _say(self, words: str) -> None:
        """Show a note for a while."""
        self._said = time.monotonic()
        self.page.say(words)
