"""Work off the GUI thread: results come in order, and nothing is destroyed while a thread still runs."""

import subprocess
import sys

from PySide6.QtCore import QObject

from ewm_studio.ui.kit.background import Background

DESTROYED_AT_ONCE = """
import time
from PySide6.QtCore import QCoreApplication, QObject
import shiboken6
from ewm_studio.ui.kit import background
from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.kit.background import Task

class Slow(Task):
    def run(self):
        super().run()
        time.sleep(0.3)  # told its result, and is not over yet

background.Task = Slow
app = QCoreApplication([])
parent, results = QObject(), []
made = Background(results.append, parent)
made(lambda: 7, results.append)
while not results:
    app.processEvents()
made.end()
shiboken6.delete(parent)
print(results)
"""


def test_end_waits_for_a_thread_that_has_delivered_but_not_ended():
    done = subprocess.run([sys.executable, "-c", DESTROYED_AT_ONCE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[7]\n"), done.stderr


def test_results_and_failures_are_delivered_and_nothing_stays_busy(qtbot):
    parent, got, failed = QObject(), [], []
    background = Background(failed.append, parent)
    for number in range(20):
        background(lambda number=number: number, got.append)
    background(lambda: 1 / 0, got.append)
    qtbot.waitUntil(lambda: not background.busy, timeout=10_000)
    assert sorted(got) == list(range(20))
    assert [type(error) for error in failed] == [ZeroDivisionError]
    background.end()


def test_after_the_end_nothing_is_delivered(qtbot):
    parent, got = QObject(), []
    background = Background(got.append, parent)
    background(lambda: 1, got.append)
    background.end()
    qtbot.wait(50)
    assert got == []
