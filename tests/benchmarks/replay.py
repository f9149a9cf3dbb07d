"""`python -m tests.benchmarks.replay`: making a replay of 1,000 CarRacing frames to watch, and scrubbing through it.

A redraw is one jump to a random frame and the drawing of the whole window that follows from it.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import numpy as np

RUNS = 3
JUMPS = 300
SETTINGS = {
    "env": {"id": "CarRacing-v3", "action_repeat": 4, "batch_size": 2, "workers": 0},
    "vision": {"name": "ConvVAE"},
    "memory": {"name": "MDNRNN"},
    "ppo": {"rollout_steps": 16},
    "train": {"epochs": 1, "total_steps": None},
    "infer": {"episodes": 1},
}


def main() -> None:
    """Print both figures."""
    from PySide6.QtCore import QSettings

    with tempfile.TemporaryDirectory() as folder:
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
        _play(Path(folder) / "workspace")
        _time_trace(Path(folder) / "workspace")
        _time_scrubbing(Path(folder) / "workspace")


def _play(folder: Path) -> None:
    from ewm_studio.jobs import infer, train
    from ewm_studio.settings import Experiment
    from ewm_studio.workspace import Workspace

    workspace = Workspace(folder)
    run = list(train(Experiment.from_dict(SETTINGS), workspace))[-1].result["run"]
    for _ in infer(Experiment.from_dict({**SETTINGS, "start": {"load_path": run}}), workspace):
        pass
    workspace.close()


def _time_trace(folder: Path) -> None:
    from ewm_studio.acting.agent import load_agent
    from ewm_studio.analysis.trace import trace
    from ewm_studio.workspace import Workspace
    from ewm_studio.workspace.replays import load_replay

    workspace = Workspace(folder)
    evaluation = workspace.evaluations()[0]
    agent, replay = load_agent(evaluation.model_file()), load_replay(evaluation.episodes()[0].path)
    seconds, working = [], []
    for _ in range(RUNS):
        began, cpu = time.perf_counter(), time.process_time()
        trace(agent, replay)
        seconds.append(time.perf_counter() - began)
        working.append(time.process_time() - cpu)
    print(
        f"trace of {replay.frames:,} frames, {len(replay.action)} decisions: best of {RUNS} {min(seconds):.2f} s, "
        f"{min(working):.2f} s of processor time"
    )
    workspace.close()


def _time_scrubbing(folder: Path) -> None:
    from ewm_studio.ui.window.app import make_app
    from ewm_studio.ui.window.screenshots import rest, wait_for
    from ewm_studio.ui.window.studio import Studio
    from ewm_studio.workspace import Workspace

    app = make_app()
    studio = Studio(Workspace(folder))
    studio.window.resize(1920, 1080)
    studio.window.show()
    studio.window.show_page("replay")
    page = studio.window.pages["replay"].widget
    wait_for(lambda: studio.window.pages["replay"].controller.watching.idle)
    rest(500)
    rng, times = np.random.default_rng(0), []
    for frame in rng.integers(0, page.player.frames + 1, JUMPS).tolist():
        began = time.perf_counter()
        page.player.go(frame)
        app.sendPostedEvents()
        app.processEvents()
        times.append((time.perf_counter() - began) * 1000)
    late = sum(t > 33 for t in times)
    print(
        f"redraw at 1920x1080, {JUMPS} jumps: median {statistics.median(times):.1f} ms, 99% within "
        f"{np.percentile(times, 99):.1f} ms, worst {max(times):.1f} ms, {late} later than 33 ms"
    )
    studio.window.close()


if __name__ == "__main__":
    main()
