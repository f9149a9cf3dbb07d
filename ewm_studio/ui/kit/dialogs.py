"""Dialogs that never block the program: a failure with details to copy, a question, and the list of shortcuts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QFormLayout, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from ewm_studio.jobs.failure import Failure
from ewm_studio.ui.kit.widgets import button, label, row

MOST_TOLD = 6  # failures that a dialog names


class FailureDialog(QDialog):
    """What happened, what to do, and details on request; what goes wrong meanwhile is added."""

    def __init__(self, failure: Failure, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._failures: list[Failure] = []
        self._title = label("", "title")
        self._what = what = label("", wrap=True)
        what.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        what.setMinimumWidth(440)
        self._details = QPlainTextEdit()
        self._details.setReadOnly(True)
        self._details.setProperty("role", "input")
        self._details.setAccessibleName("Details")
        self._details.setMinimumHeight(160)
        self._details.hide()
        self.more = button("Details", "", clicked=self._toggle)
        self.copy = button("Copy", "", "Copy everything to the clipboard", self._copy)
        self.close_button = button("Close", "primary", clicked=self.accept)
        self.close_button.setDefault(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(12)
        layout.addWidget(self._title)
        layout.addWidget(what)
        layout.addWidget(self._details, 1)
        layout.addLayout(row(self.more, self.copy, None, self.close_button))
        self.setMaximumHeight(int(parent.screen().availableGeometry().height() * 0.9))
        self.add(failure)

    def add(self, failure: Failure) -> None:
        """Tell of this one as well."""
        self._failures.append(failure)
        self._failure = _gathered(self._failures)
        self.setWindowTitle(self._failure.title)
        self._title.setText(self._failure.title)
        self._what.setText(self._failure.what)
        self._details.setPlainText(self._failure.details)
        self.copy.setText("Copy")
        self.adjustSize()

    def _toggle(self) -> None:
        self._details.setVisible(self._details.isHidden())
        self.adjustSize()

    def _copy(self) -> None:
        failure = self._failure
        QGuiApplication.clipboard().setText(f"{failure.title}\n{failure.what}\n\n{failure.details}")
        self.copy.setText("Copied")


def _gathered(failures: Sequence[Failure]) -> Failure:
    """Several as one; those that are alike are told once, with their number."""
    alike = Counter((failure.title, failure.what) for failure in failures)
    details = "\n\n".join(dict.fromkeys(failure.details for failure in failures))
    (title, what), times = next(iter(alike.items()))
    if len(alike) == 1:
        return Failure(title, f"{what}\n\n{times} times." if times > 1 else what, details)
    told = [
        f"{title}{f' ({times} times)' if times > 1 else ''}\n{what}"
        for (title, what), times in list(alike.items())[:MOST_TOLD]
    ]
    more = len(alike) - len(told)
    if more:
        told.append(f"And {more} more: the log has them.")
    return Failure(f"{len(failures)} things went wrong", "\n\n".join(told), details)


class Question(QDialog):
    """One question with a clear answer on each button."""

    def __init__(
        self, title: str, text: str, yes: str, no: str, parent: QWidget | None, then: Callable[[], None]
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        words = label(text, wrap=True)
        words.setMinimumWidth(380)
        self.yes = button(yes, "primary", clicked=self.accept)
        self.no = button(no, "", clicked=self.reject)
        self.yes.setDefault(True)
        self.accepted.connect(then)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(12)
        layout.addWidget(label(title, "title"))
        layout.addWidget(words)
        layout.addLayout(row(None, self.no, self.yes))


class TextQuestion(QDialog):
    """Asks for one line of text; what cannot be taken is said while it is typed."""

    def __init__(
        self,
        title: str,
        text: str,
        value: str,
        parent: QWidget,
        then: Callable[[str], None],
        problem: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Ask, in a dialog that `open` shows.

        Args:
            title: of the dialog.
            text: what the line is.
            value: that it begins with.
            parent: the window.
            then: is given the line, without blanks at its ends.
            problem: why a line cannot be taken; empty where it can.
        """
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.line = QLineEdit(value)
        self.line.setAccessibleName(text)
        self.line.setMinimumWidth(360)
        self.line.selectAll()
        self.yes = button("OK", "primary", clicked=self.accept)
        self.yes.setDefault(True)
        self.problem = label("", "error", wrap=True)
        self._find_problem = problem
        self.line.textChanged.connect(self._on_typed)
        self.accepted.connect(lambda: then(self.line.text().strip()))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(12)
        layout.addWidget(label(title, "title"))
        layout.addWidget(label(text, "secondary"))
        layout.addWidget(self.line)
        layout.addWidget(self.problem)
        layout.addLayout(row(None, button("Cancel", clicked=self.reject), self.yes))
        self._on_typed(value)

    def _on_typed(self, text: str) -> None:
        found = self._find_problem(text.strip())
        self.problem.setText(found)
        self.problem.setVisible(bool(found))
        self.yes.setEnabled(not found)


class ShortcutsDialog(QDialog):
    """Every shortcut and what it does."""

    def __init__(self, shortcuts: Sequence[tuple[str, str]], parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Shortcuts")
        halves = row(spacing=40)
        middle = (len(shortcuts) + 1) // 2
        for half in (shortcuts[:middle], shortcuts[middle:]):
            form = QFormLayout()
            form.setHorizontalSpacing(24)
            form.setVerticalSpacing(8)
            for keys, words in half:
                form.addRow(label(keys, "tag"), label(words))
            halves.addLayout(form)
        close = button("Close", "primary", clicked=self.accept)
        close.setDefault(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(14)
        layout.addWidget(label("Shortcuts", "title"))
        layout.addLayout(halves)
        layout.addLayout(row(None, close))
