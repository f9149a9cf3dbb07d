"""A monkey at the keyboard: random clicks and keys everywhere while a real job runs. Nothing may break.

The long ones: `uv run pytest -m slow tests/ui/window/test_monkey.py`, with `MONKEY_SEED` for another monkey.
"""

import os
import random
import sys

import pytest
import shiboken6
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog, QMenu, QWidget

from ewm_studio.jobs.studies.beside import StudyBeside
from ewm_studio.ui.study import watching
from tests.support.studies import end_study

WAIT = 120_000
KEYS = [
    *(Qt.Key(code) for code in range(Qt.Key.Key_0, Qt.Key.Key_Z + 1) if chr(code).isalnum()),
    Qt.Key.Key_Space,
    Qt.Key.Key_Return,
    Qt.Key.Key_Tab,
    Qt.Key.Key_Backtab,
    Qt.Key.Key_Escape,
    Qt.Key.Key_Backspace,
    Qt.Key.Key_Delete,
    Qt.Key.Key_Up,
    Qt.Key.Key_Down,
    Qt.Key.Key_Left,
    Qt.Key.Key_Right,
    Qt.Key.Key_PageDown,
    Qt.Key.Key_End,
    Qt.Key.Key_F2,
    Qt.Key.Key_Minus,
    Qt.Key.Key_Period,
]
SHORTCUTS = "rpe.fblnc0123"  # with Ctrl; neither the file dialogs' nor quit
MODIFIERS = (Qt.KeyboardModifier.NoModifier,) * 4 + (Qt.KeyboardModifier.ShiftModifier,)
BUTTONS = (Qt.MouseButton.LeftButton,) * 6 + (Qt.MouseButton.RightButton,)


class Monkey:
    """Acts on whatever is on top, and puts dialogs and menus away after a while."""

    def __init__(self, studio, seed):
        self.studio = studio
        self.dice = random.Random(seed)
        self.deeds = {self.click: 10, self.double_click: 1, self.key: 6, self.shortcut: 1, self.drag: 1, self.turn: 1}
        self.said = []  # the last things it did, for the one who must find out
        self.acting = False
        self.met = set()  # the pages that it did something on
        # Menus and dialogs that run a loop of their own return only once they are gone: while one of them holds an
        # event back, this closes it.
        self.guard = QTimer(interval=100)
        self.guard.timeout.connect(self.free)
        self.guard.start()

    def free(self):
        """Close what keeps an event from returning."""
        top = self.top()
        if self.acting and top is not self.studio.window:
            self.say("free", top)
            top.close()

    def act(self):
        """One event."""
        self.acting = True
        try:
            self.deed()
        finally:
            self.acting = False

    def deed(self):
        """Whatever the dice say."""
        top = self.top()
        self.met.add(self.studio.window.page)
        if top is not self.studio.window and self.dice.random() < 0.3:
            self.say("dismiss", top)
            top.close()
            return
        self.dice.choices(list(self.deeds), list(self.deeds.values()))[0](top)

    def top(self):
        """Where events would go: a popup, a dialog or the window."""
        for found in (QApplication.activePopupWidget(), QApplication.activeModalWidget()):
            if found is not None:
                return found
        return self.studio.window

    def target(self, top):
        """A visible widget in it."""
        inside = [w for w in top.findChildren(QWidget) if w.isVisible() and not w.isWindow()]
        return self.dice.choice(inside) if inside else top

    def place(self, widget):
        """A point on it."""
        return QPoint(self.dice.randrange(max(1, widget.width())), self.dice.randrange(max(1, widget.height())))

    def say(self, what, widget, *more):
        words = f"{what} {type(widget).__name__} {widget.accessibleName() or widget.objectName()!r} {more}"
        self.said = [*self.said[-40:], words]

    def click(self, top):
        widget = self.target(top)
        button, place = self.dice.choice(BUTTONS), self.place(widget)
        self.say("click", widget, button)
        QTest.mouseClick(widget, button, self.dice.choice(MODIFIERS), place)

    def double_click(self, top):
        widget = self.target(top)
        self.say("double click", widget)
        QTest.mouseDClick(widget, Qt.MouseButton.LeftButton, pos=self.place(widget))

    def drag(self, top):
        widget = self.target(top)
        start, end = self.place(widget), self.place(widget)
        self.say("drag", widget)
        QTest.mousePress(widget, Qt.MouseButton.LeftButton, pos=start)
        if shiboken6.isValid(widget):
            QTest.mouseMove(widget, end)
        if shiboken6.isValid(widget):
            QTest.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=end)

    def key(self, top):
        widget = QApplication.focusWidget() if self.dice.random() < 0.7 else self.target(top)
        widget = widget or top
        key = self.dice.choice(KEYS)
        self.say("key", widget, key)
        QTest.keyClick(widget, key, self.dice.choice(MODIFIERS))

    def shortcut(self, top):
        key = self.dice.choice(SHORTCUTS)
        self.say("shortcut", top, key)
        QTest.keyClick(top, key, Qt.KeyboardModifier.ControlModifier)

    def tour(self, share):
        """Whatever the dice say, it has been everywhere in the end; where one can dream, a dream begins."""
        pages = list(self.studio.window.pages.values())
        page = pages[int(share * len(pages))]
        self.studio.window.show_page(page.key)
        if page.key == "dream":
            QTest.mouseClick(page.widget.dream, Qt.MouseButton.LeftButton)

    def turn(self, top):
        name = self.dice.choice(list(self.studio.window.pages))
        self.say("page", top, name)
        self.studio.window.show_page(name)


@pytest.fixture
def harmless(monkeypatch, open_studio, dreams):
    """No file dialog (it would wait for an answer), no quitting, no folder but the test's own, small jobs.

    There are runs, an evaluation to watch and models to dream in.
    """
    studio = open_studio(dreams)
    for name in ("getOpenFileName", "getSaveFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *_, **__: ("", ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_, **__: "")
    studio.window.actions_by_name["quit"].triggered.disconnect()
    studio.window.pages["train"].widget.empty.asked.disconnect()  # other workspaces: the checkout's own among them
    monkeypatch.setattr(studio.workspaces, "open", lambda path: None)
    begun = []
    monkeypatch.setattr(watching, "StudyBeside", lambda *args: begun.append(StudyBeside(*args)) or begun[-1])
    yield studio
    for study in begun:  # they would outlive the window
        end_study(study)


def play(qtbot, studio, events, monkeypatch):
    """So many events, each page in its turn; gives how many jobs were started."""
    raised = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: raised.append((error, list(monkey.said))))
    monkey = Monkey(studio, int(os.environ.get("MONKEY_SEED", "1")))
    jobs = 0

    def count(_):
        nonlocal jobs
        jobs += 1

    studio.jobs.started.connect(count)
    size = studio.window.size()
    for n in range(events):
        if n % 100 == 0 and not studio.jobs.running:
            studio.services.document.set("train.total_steps", 20_000)
            studio.services.document.set("pretrain.frames", 300)
            studio.services.start("train")
        if n % max(1, min(50, events // 20)) == 0:
            monkey.tour(n / events)
        monkey.act()
        if n % 10 == 0:
            qtbot.wait(2)
        assert not raised, raised
        with qtbot.captureExceptions() as caught:
            QApplication.processEvents()
        assert not caught, (caught, monkey.said)
        assert studio.window.isVisible(), monkey.said
        assert studio.window.size() == size, monkey.said
    assert jobs > 0
    assert monkey.met == set(studio.window.pages)
    while isinstance(top := monkey.top(), QDialog | QMenu) or top is not studio.window:
        top.close()
        QApplication.processEvents()
    monkey.guard.stop()
    studio.jobs.clear()
    studio.jobs.stop()
    qtbot.waitUntil(lambda: not studio.jobs.running, timeout=WAIT)
    qtbot.waitUntil(lambda: not studio.services.busy, timeout=WAIT)
    for dialog in studio.window.findChildren(QDialog):
        dialog.close()
    assert not raised, raised
    return jobs


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("size", [(960, 600), (1920, 1080)], ids=["960x600", "1920x1080"])
def test_nothing_breaks_under_ten_thousand_clicks_and_keys(qtbot, harmless, size, monkeypatch):
    harmless.window.resize(*size)
    assert play(qtbot, harmless, 10_000, monkeypatch) > 0


def test_nothing_breaks_under_a_few_clicks_and_keys_on_every_page(qtbot, harmless, monkeypatch):
    harmless.window.resize(960, 600)
    assert play(qtbot, harmless, 180, monkeypatch) > 0
