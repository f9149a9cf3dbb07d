"""Driving in a dream in the whole window by real key events: how late decisions come, pictures, and the window itself.

    uv run python -m tests.benchmarks.dream_window --model MODEL.safetensors [--seconds 60]

On a machine without a screen run it with `QT_QPA_PLATFORM=offscreen`, or under a virtual X server.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.arguments import model_file

KEY_MILLISECONDS = 120  # between two changes of the keys held
TICK_MILLISECONDS = 10  # of the timer by which the window's own lateness is told
LATEST, LATE = 40.0, 20.0  # ms: no decision later than the first, the window's p99 below the second


def drive(model: Path, seconds: float, workspace: Path, seed: int) -> dict[str, np.ndarray]:
    """Drive for so many seconds, reality beside: lateness of decisions and of the window, ages of pictures, in ms."""
    from PySide6.QtCore import QEvent, QObject, Qt, QTimer
    from PySide6.QtTest import QTest

    from ewm_studio.driving.dream_beginning import FromTrack
    from ewm_studio.ui.window.app import make_app
    from ewm_studio.ui.window.screenshots import wait_for
    from ewm_studio.ui.window.studio import Studio
    from ewm_studio.workspace import Workspace
    from ewm_studio.workspace.models import read_metadata

    class Paints(QObject):
        """Notes how old each picture is when it is painted, and how late a timer comes."""

        def __init__(self) -> None:
            super().__init__()
            self.ages: dict[float, float] = {}
            self.late: list[float] = []
            self._ticked = time.monotonic()

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            shown = dream.standing
            if event.type() == QEvent.Type.Paint and shown is not None and shown.state == "driving":
                self.ages.setdefault(shown.drawn_at, time.monotonic() - shown.drawn_at)
            return False

        def tick(self) -> None:
            now = time.monotonic()
            self.late.append(max(0.0, now - self._ticked - TICK_MILLISECONDS / 1000))
            self._ticked = now

    app = make_app()
    studio = Studio(Workspace(workspace))
    window, dice, down = studio.window, random.Random(0), list[Qt.Key]()
    keys = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up)
    window.resize(1280, 800)
    window.show()
    window.activateWindow()
    studio.begin()
    wait_for(lambda: not studio.services.busy)
    window.show_page("dream")
    controller = window.pages["dream"].controller
    dream, view = controller.dream, controller.page.view
    wait_for(lambda: controller.starts.idle)
    from ewm_studio.dreams.dream_models import DreamModel, predicting

    described = read_metadata(model)
    found = DreamModel("model", model, described["env"]["id"], predicting(described["parts"]), model.parent)
    dream.begin(found, FromTrack(seed), None)
    controller.page.show_models_there(True)
    wait_for(lambda: dream.standing is not None)
    session, paints = dream.session, Paints()
    assert session is not None
    answered: set[float] = set()

    def change_keys() -> None:
        while down:
            QTest.keyRelease(view, down.pop())
        down.extend(key for key in keys if dice.random() < 0.5)
        for key in down:
            QTest.keyPress(view, key)
        shown = session.snapshot
        if shown.state in ("ended", "paused") and shown.steps:  # memory drew an end: drive on
            QTest.keyClick(view, Qt.Key.Key_Space)
        if shown.key_to_picture == shown.key_to_picture:
            answered.add(shown.key_to_picture)

    pressed, ticks = QTimer(interval=KEY_MILLISECONDS), QTimer(interval=TICK_MILLISECONDS)
    ticks.setTimerType(Qt.TimerType.PreciseTimer)
    pressed.timeout.connect(change_keys)
    ticks.timeout.connect(paints.tick)
    view.installEventFilter(paints)
    QTest.keyPress(view, Qt.Key.Key_Up)
    wait_for(lambda: session.snapshot.state == "driving")
    cpu, own, began = time.process_time(), time.thread_time(), time.monotonic()
    paints.tick()
    paints.late.clear()
    pressed.start()
    ticks.start()
    wait_for(lambda: time.monotonic() - began > seconds or session.snapshot.state == "over", 3 * seconds + 60)
    for timer in (pressed, ticks):
        timer.stop()
    used, own, passed = time.process_time() - cpu, time.thread_time() - own, time.monotonic() - began
    view.removeEventFilter(paints)
    late, beside = np.array(session.decisions.lateness), session.snapshot.real is not None
    dream.leave()
    wait_for(lambda: dream.session is None)
    window.close()
    del app
    each = f"{used / len(late) * 1000:.1f} ms of CPU a decision, {own / len(late) * 1000:.1f} of them the window's"
    print(f"reality beside: {beside}; {len(late) / passed:.1f} decisions/s, {used / passed:.2f} cores; {each}\n")
    return {
        "decision late by": late * 1000,
        "window late by": np.array(paints.late) * 1000,
        "picture's age when painted": np.array([*paints.ages.values()]) * 1000,
        "key to picture": np.array([*answered]) * 1000,
    }


def main() -> None:
    """Drive, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=model_file, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=100_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        from PySide6.QtCore import QSettings

        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, aside)
        before = os.getloadavg()[0]
        figures = drive(args.model, args.seconds, Path(aside) / "workspace", args.seed)
    print(f"{args.seconds:.0f} s; load {before:.1f} before, {os.getloadavg()[0]:.1f} after\n")
    print(f"{'ms':<28}{'count':>8}{'median':>9}{'p99':>9}{'max':>9}")
    for name, values in figures.items():
        row = "".join(f"{value:>9.1f}" for value in np.percentile(values, (50, 99, 100)))
        print(f"{name:<28}{len(values):>8}{row}")
    late, window = figures["decision late by"], figures["window late by"]
    print(f"\ndecisions later than {LATEST:.0f} ms: {(late > LATEST).sum()} of {len(late)}")
    print(f"window's p99: {np.percentile(window, 99):.1f} ms, to be below {LATE:.0f}")


if __name__ == "__main__":
    main()
