"""Texts from files cannot speak to the window: no label, tooltip or item takes them for HTML or turns them around."""

import pytest
from PySide6.QtCore import QAbstractItemModel, QAbstractListModel, Qt
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QLabel, QWidget

from ewm_studio.data.recordings import RecordingWriter
from ewm_studio.errors import UserError
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.dialogs import FailureDialog, Question
from tests.support.recorded import META, episode
from tests.ui.conftest import WAIT

HOSTILE = '<img src="file:///etc/passwd"><b>bold</b>\u202egnp\x1b[2J'
SEEN = "<b>bold</b>"


def run_called(workspace, title):
    run = workspace.create_run(title, "train", Experiment().to_toml(), {"vision": {"name": title, "settings": {}}})
    run.finish("failed", error=title)
    workspace.describe_run(run.name, title=title, note=title)


def texts_of(widget):
    """Everything that a widget shows of its own: (what it is, text, whether Qt may take it for HTML)."""
    for child in [widget, *widget.findChildren(QWidget)]:
        if isinstance(child, QLabel):
            rich = child.textFormat() != Qt.TextFormat.PlainText
            yield f"{type(child).__name__} {child.accessibleName()}", child.text(), rich
        yield f"tooltip of {type(child).__name__}", child.toolTip(), True
    for model in widget.findChildren(QAbstractItemModel):
        for row in range(min(model.rowCount(), 50)):
            for column in range(1 if isinstance(model, QAbstractListModel) else model.columnCount()):
                index = model.index(row, column)
                yield f"tip in {type(model).__name__}", str(index.data(Qt.ItemDataRole.ToolTipRole) or ""), True
                yield f"item of {type(model).__name__}", str(index.data() or ""), False


def check(widget):
    """What is seen of a hostile text; fails where Qt would do as it says."""
    seen = 0
    for what, text, rich in texts_of(widget):
        assert "\u202e" not in text, what
        assert "\x1b" not in text, what
        if not rich or "<" not in text:
            seen += SEEN in text
            continue
        document = QTextDocument()
        document.setHtml(text)
        assert "<img" not in text, what
        assert "<b>" not in text, what
        seen += SEEN in document.toPlainText()
    return seen


def test_every_page(qtbot, open_studio, tmp_path):
    studio = open_studio()
    services = studio.services
    run_called(services.workspace, HOSTILE)
    meta = META | {"source": HOSTILE, "env": HOSTILE}
    RecordingWriter(services.workspace.recordings_folder / "<b>bold<", meta).add_episode(**episode(1, 5))
    services.document.set("env.id", HOSTILE)
    services.notices.say(HOSTILE, "error")
    services.show_last_run()
    for key in studio.window.pages:
        studio.window.show_page(key)
        qtbot.waitUntil(lambda: not services.busy, timeout=WAIT)
        qtbot.wait(100)
        studio.window.grab()  # elided lines take their tooltips when they are drawn
        check(studio.window)
    assert check(studio.window) > 2


def test_the_legend_which_is_html(open_studio):
    page = open_studio(begin=False).window.pages["train"].widget
    page.history.name = HOSTILE
    page.show_legend()
    legend = next(found for found in page.findChildren(QLabel) if found.textFormat() == Qt.TextFormat.RichText)
    document = QTextDocument()
    document.setHtml(legend.text())
    assert SEEN in document.toPlainText()
    assert "\u202e" not in legend.text()


@pytest.mark.parametrize("make", [FailureDialog, Question])
def test_dialogs(qtbot, open_studio, make):
    studio = open_studio(begin=False)
    if make is FailureDialog:
        from ewm_studio.jobs.failure import failure_of

        dialog = FailureDialog(failure_of(UserError(HOSTILE)), studio.window)
    else:
        dialog = Question(HOSTILE, HOSTILE, "Yes", "No", studio.window, lambda: None)
    dialog.open()
    assert check(dialog) >= 1
    dialog.reject()
