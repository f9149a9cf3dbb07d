"""How much memory the window's process gains while it shows a training run.

    python -m tests.benchmarks.window_memory [--minutes 30]

PPO on CartPole-v1 at full speed in a process of its own, its six plots redrawn as in use. A line a minute: memory of
the window's process in MB, what its curves take of that, and rows drawn; the last line is the growth from the second
minute on, when everything is imported and drawn once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from tests.benchmarks.window import EXPERIMENTS, PATIENCE_SECONDS, memory

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def main() -> None:
    """Run it and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        measure(Path(folder) / "workspace", args.minutes)


def measure(workspace: Path, minutes: float) -> None:
    """Train in a window and print its memory."""
    from ewm_studio.analysis.history import REWARD
    from ewm_studio.jobs.spec import JobSpec
    from ewm_studio.ui.window.app import make_app
    from ewm_studio.ui.window.screenshots import rest, wait_for
    from ewm_studio.ui.window.studio import Studio
    from ewm_studio.workspace import Workspace

    make_app()
    studio = Studio(Workspace(workspace))
    studio.window.resize(1280, 800)
    studio.window.show()
    studio.begin()
    wait_for(lambda: not studio.services.busy, PATIENCE_SECONDS)
    studio.jobs.submit(JobSpec("train", str(workspace), EXPERIMENTS["train"]))
    wait_for(lambda: len(studio.services.shown.history["ppo/entropy"]) > 20, PATIENCE_SECONDS)
    began, sizes = time.monotonic(), list[float]()
    while time.monotonic() - began < 60 * minutes:
        rest(60_000)
        sizes.append(memory())
        curves = sum(series.size for series in studio.services.shown.history.series.values()) / 1e6
        rows, episodes = len(studio.services.shown.history["ppo/entropy"]), len(studio.services.shown.history[REWARD])
        minute = (time.monotonic() - began) / 60
        print(f"{minute:5.1f} min {sizes[-1]:8.1f} MB, curves {curves:5.1f} MB: {rows:,} rows, {episodes:,} episodes")
    print(f"growth from minute 2 to {minutes:.0f}: {sizes[-1] - sizes[min(1, len(sizes) - 1)]:.1f} MB", flush=True)
    studio.jobs.stop()
    wait_for(lambda: not studio.jobs.running, PATIENCE_SECONDS)
    studio.window.close()


if __name__ == "__main__":
    main()
