"""How soon the window can be used, and how long it then keeps anyone waiting in its first half minute.

    python -m tests.benchmarks.window_start [TIMES] [--first SECONDS] [--runs N]

From the command's start, by the command line's own way in, each time in a fresh interpreter; the median counts, the
first start reads the disk. `usable`: seconds until the window is drawn and takes an event. `longest`: the longest time
between two turns of its event loop in the `--first` seconds after that, in which it loads all that takes time and every
page is turned to once. `busiest`: the most processor time that the window's own thread spent between two turns, which
a busy machine does not stretch: what keeps a person waiting on a quiet one. Compiled modules are kept, as after an
installation; the first start makes them. `--runs` of the workspace hold some curves.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIMES, FIRST_SECONDS, RUNS = 9, 30.0, 3
BEAT_MILLISECONDS = 5
LONG_SECONDS = 0.1
START = """
import sys, time
from PySide6.QtCore import Qt, QTimer
from ewm_studio.cli import main
from ewm_studio.ui.window import studio

began, seconds = float(sys.argv[1]), float(sys.argv[3])
begin = studio.Studio.begin

def measured(self):
    self.window.repaint()
    usable = time.monotonic() - began, time.process_time()
    waits, last = [], [time.perf_counter(), time.thread_time()]

    def beat():
        now = [time.perf_counter(), time.thread_time()]
        waits.append((now[0] - last[0], now[1] - last[1]))
        last[:] = now

    timer = QTimer(self.window)
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(beat)
    timer.start(%d)
    begin(self)
    pages = list(self.window.pages)
    for number, page in enumerate(pages, 1):
        at = round(1000 * seconds * number / (len(pages) + 1))
        QTimer.singleShot(at, lambda page=page: self.window.show_page(page))

    def end():
        timer.stop()
        longest = max(waits)
        busiest = max(cpu for wall, cpu in waits)
        print("measured", *usable, *longest, busiest, sum(cpu > %f for wall, cpu in waits))
        self.window.close()

    QTimer.singleShot(round(1000 * seconds), end)

studio.Studio.begin = measured
sys.exit(main(["--workspace", sys.argv[2]]))
"""


def make_runs(folder: str, count: int) -> None:
    """Runs with curves, as the engine writes them."""
    from ewm_studio.settings import Experiment
    from ewm_studio.workspace import Workspace

    workspace = Workspace(Path(folder))
    for seed in range(count):
        run = workspace.create_run("CartPole-v1", "train", Experiment().to_toml(), {}, seed)
        for step in range(1, 2000):
            run.log_episode(50 * step, step * 0.1, float(step % 500), 50)
            run.log_metrics(50 * step, step, step * 0.1, {"ppo/entropy": 1 / step, "ppo/value_loss": 1 / step})
        run.flush()
        run.finish("finished", best_reward=499.0)
    workspace.close()


def main() -> None:
    """Start the window some times and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("times", nargs="?", type=int, default=TIMES)
    parser.add_argument("--first", type=float, default=FIRST_SECONDS, help="seconds that are watched")
    parser.add_argument("--runs", type=int, default=RUNS)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        env = {
            **os.environ,
            "QT_QPA_PLATFORM": "offscreen",
            "XDG_CONFIG_HOME": folder,
            "PYTHONPYCACHEPREFIX": f"{folder}/pyc",
        }
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        workspace = os.path.join(folder, "workspace")
        make_runs(workspace, args.runs)
        code = START % (BEAT_MILLISECONDS, LONG_SECONDS)
        for _ in range(args.times):
            line = [sys.executable, "-c", code, str(time.monotonic()), workspace, str(args.first)]
            done = subprocess.run(line, env=env, stdout=subprocess.PIPE, text=True, check=True)
            (said,) = (text.split()[1:] for text in done.stdout.splitlines() if text.startswith("measured"))
            usable, processor, longest, inside, busiest, long = map(float, said)
            rows.append((usable, processor, longest, inside, busiest, long))
            print(
                f"usable {usable:.2f} s (processor {processor:.2f} s), then longest wait {1000 * longest:.0f} ms "
                f"({1000 * inside:.0f} ms of the window's own), busiest {1000 * busiest:.0f} ms, "
                f"{long:.0f} busy for more than {1000 * LONG_SECONDS:.0f} ms",
                flush=True,
            )
    middle = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(
        f"median: usable {middle[0]:.2f} s (processor {middle[1]:.2f} s), longest {1000 * middle[2]:.0f} ms, "
        f"busiest {1000 * middle[4]:.0f} ms of processor, {middle[5]:.0f} long ones"
    )


if __name__ == "__main__":
    main()
