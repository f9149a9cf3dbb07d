"""Starting the window: the application, its theme, and where Qt's messages and stray exceptions go."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QMessageLogContext, QObject, Qt, QTimer, QtMsgType, Signal, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from ewm_studio.processes.endings import wanted
from ewm_studio.ui.kit import store
from ewm_studio.ui.kit.theme import MODES, theme
from ewm_studio.ui.window.rebuilding import ask_to_rebuild, readable
from ewm_studio.ui.window.studio import Studio
from ewm_studio.workspace import Workspace, default_workspace
from ewm_studio.workspace.database import Damaged

log = logging.getLogger("ewm_studio.ui")
_LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


def make_app(dressed: bool = True) -> QApplication:
    """The application, dressed in the remembered theme or, for now, not at all."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        QApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
        app = QApplication(sys.argv[:1])
        app.setApplicationName("EWM Studio")
        app.setDesktopFileName("ewm-studio")
    if app.style().name().casefold() != "fusion":
        app.setStyle("Fusion")
        theme().follow_system()
    if dressed:
        dress()
    return app


def dress() -> None:
    """Apply the remembered theme."""
    mode = store.text("theme", "system")
    theme().apply(next((m for m in MODES if m == mode), "system"))


class Reports(QObject):
    """Brings exceptions that nobody caught, from any thread, to the GUI thread."""

    raised = Signal(object)

    def install(self) -> None:
        """Take over from the interpreter's own hooks."""
        sys.excepthook = self._hook
        threading.excepthook = lambda given: self._hook(given.exc_type, given.exc_value, given.exc_traceback)

    def _hook(self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt) or error is None:
            sys.__excepthook__(kind, error or kind(), trace)
            return
        log.error("unexpected", exc_info=(kind, error, trace))
        self.raised.emit(error)


def route_qt_messages() -> None:
    """Qt's own messages go into the log."""

    def handle(kind: QtMsgType, _: QMessageLogContext, text: str) -> None:
        log.log(_LEVELS.get(kind, logging.WARNING), "Qt: %s", text)

    qInstallMessageHandler(handle)


def main(workspace: str | Path | None = None) -> int:
    """Open the window on a workspace and stay until it is closed; returns the exit code.

    Raises:
        UserError: the workspace cannot be used.
    """
    app = make_app(dressed=False)
    route_qt_messages()
    path = Path(workspace) if workspace else Path(store.text("workspace") or default_workspace())
    try:
        opened = readable(path)
    except Damaged as error:
        dress()
        answered: list[bool] = []
        question = ask_to_rebuild(path, error, None, lambda: answered.append(True))
        question.exec()
        if not answered:
            raise
        opened, _ = Workspace.rebuild(path)
    studio = Studio(opened)
    dress()  # only now: each part that is put into another would be dressed again, half as long as all else takes
    reports = Reports()
    reports.raised.connect(partial(studio.services.notices.fail, doing="do that"))
    reports.install()
    studio.restore()
    studio.window.show()
    studio.window.bar.train.setFocus()
    QTimer.singleShot(0, studio.begin)
    # From a terminal or the system: save and close without a question. The studio's timers let Python see the signal.
    for number in wanted():
        signal.signal(number, lambda number, _: QTimer.singleShot(0, partial(studio.obey, number)))
    try:
        return app.exec()
    finally:
        studio.end()
        sys.excepthook = sys.__excepthook__
        qInstallMessageHandler(None)
