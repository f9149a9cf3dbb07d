"""What Watch live costs the training that it watches: steps for a second of the training's own processor time.

    python -m tests.benchmarks.watch_live [--seconds 20] [--rounds 4] [--env CartPole-v1]

One training, in its own process, started by a window. Spells in which its newest model is watched, and spells in which
nobody watches, take turns, each as often first. Both sides are of one run, so that neither the machine's load
nor the phase of the training favours one; ratios are taken round by round. On a machine with a free core that is the
slowdown; where cores are scarce the watching takes its share of them besides, which `share of a core` says.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median, pstdev
from typing import Any

PATIENCE_SECONDS = 240.0
SETTLE_SECONDS = 3.0  # after each switch


def processor_seconds(pid: int) -> float:
    """What a process has used so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Spell:
    """Steps and processor time between two moments."""

    def __init__(self, studio: Any) -> None:
        self._studio, self.done = studio, 0
        studio.jobs.events.connect(self._take)

    def _take(self, events: list[Any]) -> None:
        from ewm_studio.events import Progress

        self.done = next((e.done for e in reversed(events) if isinstance(e, Progress)), self.done)

    def measure(self, seconds: float) -> tuple[float, float]:
        """Steps for a second of the training's processor time, and this process's share of a core meanwhile."""
        from ewm_studio.ui.window.screenshots import rest, wait_for

        before = self.done
        wait_for(lambda: self.done != before)  # begin and end at a progress that was told
        steps, used, own, began = self.done, processor_seconds(self._studio.jobs.pid), time.process_time(), time.time()
        rest(int(seconds * 1000))
        at = self.done
        wait_for(lambda: self.done != at)
        used = processor_seconds(self._studio.jobs.pid) - used
        return (self.done - steps) / used, (time.process_time() - own) / (time.time() - began)


def main() -> None:
    """Train, watch and do not, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of each spell")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--env", default="CartPole-v1")
    args = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    from PySide6.QtCore import QSettings

    from ewm_studio.jobs.spec import JobSpec
    from ewm_studio.ui.drive.controller import DriveController
    from ewm_studio.ui.window.app import make_app
    from ewm_studio.ui.window.screenshots import rest, wait_for
    from ewm_studio.ui.window.studio import Studio
    from ewm_studio.workspace import Workspace

    with tempfile.TemporaryDirectory() as folder:
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
        app = make_app()
        studio = Studio(Workspace(Path(folder) / "workspace"))
        studio.window.resize(1280, 800)
        studio.window.show()
        studio.begin()
        wait_for(lambda: not studio.services.busy, PATIENCE_SECONDS)
        drive = studio.window.pages["drive"].controller
        assert isinstance(drive, DriveController)
        spell = Spell(studio)
        values = {"env": {"id": args.env, "workers": 0}, "train": {"total_steps": 1_000_000_000}}
        studio.jobs.submit(JobSpec("train", str(Path(folder) / "workspace"), values))
        shown = studio.services.shown
        wait_for(lambda: shown.run is not None and shown.run.newest_model() is not None, PATIENCE_SECONDS)
        rates: dict[bool, list[float]] = {False: [], True: []}
        shares: dict[bool, list[float]] = {False: [], True: []}
        for number in range(args.rounds):
            for watched in (False, True) if number % 2 == 0 else (True, False):
                if watched:
                    drive.watch_live()
                    wait_for(lambda: drive.page.view.shown is not None and drive.page.view.shown.state == "driving")
                else:
                    drive.drive.leave()
                    studio.window.show_page("train")
                rest(int(1000 * SETTLE_SECONDS))
                rate, share = spell.measure(args.seconds)
                rates[watched].append(rate)
                shares[watched].append(share)
                side = "watched" if watched else "alone"
                print(f"round {number + 1}, {side}: {rate:,.0f} steps a second", flush=True)
        ratios = [own / alone for own, alone in zip(rates[True], rates[False], strict=True)]
        print(
            f"{args.env}: alone {median(rates[False]):,.0f}, watched {median(rates[True]):,.0f} steps a second of "
            f"processor time; ratio {median(ratios):.3f} (spread {pstdev(ratios):.3f}); the window takes "
            f"{median(shares[False]):.2f} of a core without watching, {median(shares[True]):.2f} with it"
        )
        drive.drive.leave()
        studio.jobs.stop()
        wait_for(lambda: not studio.jobs.running, PATIENCE_SECONDS)
        studio.window.close()
        del app


if __name__ == "__main__":
    main()
