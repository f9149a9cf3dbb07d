"""Driving in the window: how late steps come, and how old the frame on the screen is.

    uv run python -m tests.benchmarks.driving [--seconds 60] [--env CarRacing-v3]

The whole window drives at the environment's own pace while keys go down and up as real Qt events, and records. On a
machine without a screen run it with `QT_QPA_PLATFORM=offscreen`, or under a virtual X server.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np

KEY_MILLISECONDS = 120  # between two changes of the keys held
LIMIT = 40.0  # ms, the latest that a step may come


def drive(env: str, seconds: float, workspace: str) -> dict[str, np.ndarray]:
    """Drive for so many seconds of steps: lateness of each, and age of each frame when it was painted, in ms."""
    from PySide6.QtCore import QEvent, QObject, Qt, QTimer
    from PySide6.QtTest import QTest

    from ewm_studio.ui.window.app import make_app
    from ewm_studio.ui.window.screenshots import wait_for
    from ewm_studio.ui.window.studio import Studio
    from ewm_studio.workspace import Workspace

    class Paints(QObject):
        """Notes how old each frame is when it is painted."""

        def __init__(self) -> None:
            super().__init__()
            self.ages: dict[float, float] = {}

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Paint and view.shown is not None and view.shown.state == "driving":
                self.ages.setdefault(view.shown.drawn_at, time.monotonic() - view.shown.drawn_at)
            return False

    app = make_app()
    studio = Studio(Workspace(Path(workspace)))
    studio.services.document.set("env.id", env)
    window, dice, keys, down = studio.window, random.Random(0), (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up), []
    driven = window.pages["drive"].controller.drive
    view = driven.page.view
    window.resize(1280, 800)
    window.show()
    window.activateWindow()
    studio.begin()
    wait_for(lambda: not studio.services.busy)
    window.show_page("drive")
    window.pages["drive"].widget.empty.action.click()
    wait_for(lambda: driven.session is not None and driven.session.snapshot.state == "paused")
    window.pages["drive"].widget.record.click()
    session, paints = driven.session, Paints()
    assert session is not None
    view.installEventFilter(paints)

    def change_keys() -> None:
        while down:
            QTest.keyRelease(view, down.pop())
        down.extend(key for key in keys if dice.random() < 0.5)
        for key in down:
            QTest.keyPress(view, key)

    timer = QTimer(interval=KEY_MILLISECONDS)
    timer.timeout.connect(change_keys)
    timer.start()
    steps = round(seconds / session.snapshot.period)
    wait_for(lambda: len(session.clock.lateness) >= steps or session.snapshot.state == "over", 3 * seconds + 60)
    timer.stop()
    view.removeEventFilter(paints)
    late = np.array(session.clock.lateness)[:steps] * 1000
    driven.leave()
    wait_for(lambda: driven.session is None)
    window.close()
    del app
    return {"step late by": late, "frame's age when painted": np.array([*paints.ages.values()]) * 1000}


def main() -> None:
    """Drive, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--env", default="CarRacing-v3")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as aside:
        from PySide6.QtCore import QSettings

        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, aside)
        before = os.getloadavg()[0]
        figures = drive(args.env, args.seconds, f"{aside}/workspace")
    print(f"{args.env}, {args.seconds:.0f} s; load {before:.1f} before, {os.getloadavg()[0]:.1f} after\n")
    print(f"{'ms':<28}{'count':>8}{'median':>9}{'p99':>9}{'max':>9}")
    for name, values in figures.items():
        row = "".join(f"{value:>9.1f}" for value in np.percentile(values, (50, 99, 100)))
        print(f"{name:<28}{len(values):>8}{row}")
    late = figures["step late by"]
    print(f"\nsteps later than {LIMIT:.0f} ms: {(late > LIMIT).sum()} of {len(late)}")


if __name__ == "__main__":
    main()
