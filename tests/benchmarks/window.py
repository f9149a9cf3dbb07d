"""How late the window is while a job runs in it, and what the window costs the job.

    python -m tests.benchmarks.window [--seconds 60] [--rounds 3] [--job train]

Two jobs: PPO on CartPole-v1 at full speed, and ConvVAE pretraining on random frames of CarRacing-v3. Each is run
without a window (`alone`), and started by a window, in a process of its own (`window`). Sides take turns, each in a
fresh interpreter, for `seconds / rounds` a turn, after the start has settled. Lateness is that of a 10 ms timer in the
GUI thread, over all turns. The speed is steps/s (frames/s) between the first and the last progress of a turn; ratios
are taken round by round. `idle` is a window with no job, for what the machine itself makes late. Memory is that of the
window's process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

TIMER_MILLISECONDS = 10
SETTLE_SECONDS = 12.0  # the plots are made, the next process has imported PyTorch
PATIENCE_SECONDS = 240.0
FRAMES = 2_000
STAGES = {"train": "train", "pretrain": "vision"}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "train": {"env": {"id": "CartPole-v1"}, "train": {"total_steps": 1_000_000_000}},
    "pretrain": {
        "env": {"id": "CarRacing-v3", "action_repeat": 4},
        "vision": {"name": "ConvVAE"},
        "pretrain": {"vision": True, "epochs": 100_000},
        "data": {"frames": FRAMES, "recording": "random"},
    },
}


class Speed:
    """Steps between the first and the last progress that is shown, once the start has settled."""

    def __init__(self, stage: str, settle: float) -> None:
        self._stage, self._settle = stage, settle
        self._began: float | None = None
        self._last: int | None = None
        self._from = self._to = 0.0
        self._steps = 0

    def show(self, event: Any) -> None:
        """Take in an event."""
        from ewm_studio.events import Progress

        if not isinstance(event, Progress) or event.stage != self._stage:
            return
        now = time.monotonic()
        self._began = self._began or now
        if not self.settled:
            return
        if self._last is None:
            self._from = now
        else:
            self._steps += max(0, event.done - self._last)
        self._last, self._to = event.done, now

    @property
    def settled(self) -> bool:
        """Whether measuring goes on."""
        return self._began is not None and time.monotonic() - self._began > self._settle

    @property
    def per_second(self) -> float:
        """Steps a second."""
        return self._steps / (self._to - self._from) if self._steps else 0.0


def without_window(kind: str, workspace: str, seconds: float) -> dict[str, Any]:
    """Run the job alone in this process, as the command line does."""
    from ewm_studio.events import JobControl
    from ewm_studio.jobs.spec import JobSpec

    control, speed, end = JobControl(), Speed(STAGES[kind], SETTLE_SECONDS), 0.0
    for event in JobSpec(kind, workspace, EXPERIMENTS[kind]).events(control):
        speed.show(event)
        if speed.settled:
            end = end or time.monotonic() + seconds
            if time.monotonic() > end:
                control.stop()
    return {"per_second": speed.per_second, "late": []}


def in_window(kind: str, workspace: str, seconds: float, idle: bool) -> dict[str, Any]:
    """Run the job in a window, or show a window with no job."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import Qt, QTimer

    from ewm_studio.jobs.spec import JobSpec
    from ewm_studio.ui.window.app import make_app
    from ewm_studio.ui.window.screenshots import rest, wait_for
    from ewm_studio.ui.window.studio import Studio
    from ewm_studio.workspace import Workspace

    app = make_app()
    studio = Studio(Workspace(Path(workspace)))
    studio.window.resize(1280, 800)
    studio.window.show()
    studio.begin()
    wait_for(lambda: not studio.services.busy, PATIENCE_SECONDS)
    speed = Speed(STAGES[kind], SETTLE_SECONDS)
    studio.jobs.events.connect(lambda events: [speed.show(event) for event in events])
    studio.window.show_page("vision" if kind == "pretrain" else "train")
    if idle:
        rest(int(SETTLE_SECONDS * 1000))
    else:
        studio.jobs.submit(JobSpec(kind, workspace, EXPERIMENTS[kind]))  # type: ignore[arg-type]
        wait_for(lambda: speed.settled or not studio.jobs.running, PATIENCE_SECONDS)
    late: list[float] = []
    last = time.perf_counter()

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        late.append(max(0.0, (now - last) * 1000 - TIMER_MILLISECONDS))
        last = now

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(TIMER_MILLISECONDS)
    timer.timeout.connect(tick)
    before = memory()
    timer.start()
    last = time.perf_counter()
    rest(int(seconds * 1000))
    timer.stop()
    grown = (memory() - before) / seconds * 60
    studio.jobs.stop()
    wait_for(lambda: not studio.jobs.running, PATIENCE_SECONDS)
    studio.window.close()
    del app
    return {"per_second": speed.per_second, "late": late, "grown": grown}


def memory() -> float:
    """MB that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def record_frames(workspace: str) -> None:
    """Random frames of CarRacing, made once for all sides."""
    from ewm_studio.jobs import record
    from ewm_studio.settings import Experiment
    from ewm_studio.workspace import Workspace

    values = {**EXPERIMENTS["pretrain"], "data": {"frames": FRAMES, "recording": "random"}}
    for _ in record(Experiment.from_dict(values), Workspace(Path(workspace))):
        pass


def measured_elsewhere(side: str, kind: str, workspace: str, seconds: float) -> dict[str, Any]:
    """One turn of one side, in a fresh interpreter."""
    with tempfile.TemporaryDirectory() as settings:
        done = subprocess.run(
            [sys.executable, "-m", __spec__.name, "--side", side, "--job", kind, "--seconds", str(seconds), workspace],
            env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": settings},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return json.loads(done.stdout.splitlines()[-1])


def compare(kind: str, seconds: float, rounds: int, workspace: str) -> None:
    """Take turns and print the table of one job."""
    sides = ["alone", "window"]
    speeds: dict[str, list[float]] = {side: [] for side in sides}
    late: dict[str, list[float]] = {side: [] for side in [*sides, "idle"]}
    grown: dict[str, list[float]] = {"window": []}
    late["idle"] = measured_elsewhere("idle", kind, workspace, seconds / rounds)["late"]
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            result = measured_elsewhere(side, kind, workspace, seconds / rounds)
            speeds[side].append(result["per_second"])
            late[side] += result["late"]
            if side in grown:
                grown[side].append(result["grown"])
            load = os.getloadavg()[0]
            print(f"{kind}, round {number + 1}: {side}: {speeds[side][-1]:,.0f}/s, load {load:.1f}", flush=True)
    unit = "steps/s" if kind == "train" else "frames/s"
    print(f"\n{kind:10}{unit:>12}{'of alone':>10}{'late: median':>14}{'p99':>9}{'max':>9}  ms{'MB a minute':>13}")
    for side in [*sides, "idle"]:
        speed = f"{median(speeds[side]):>12,.0f}" if side in speeds else " " * 12
        share = [own / alone for own, alone in zip(speeds.get(side, []), speeds["alone"], strict=False)]
        row = f"{side:10}{speed}" + (f"{median(share):>10.2f}" if share else " " * 10)
        if late[side]:
            row += "".join(
                f"{v:>{w}.1f}" for v, w in zip(np.percentile(late[side], (50, 99, 100)), (14, 9, 9), strict=True)
            )
        print(row + (f"{median(grown[side]):>17.1f}" if side in grown else ""))
    print(flush=True)


def main() -> None:
    """Run the rounds of both jobs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="measured for each side, over all rounds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--job", choices=tuple(STAGES), action="append")
    parser.add_argument("--side", choices=("alone", "idle", "window"), help=argparse.SUPPRESS)
    parser.add_argument("workspace", nargs="?", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        kind = args.job[0]
        if args.side == "alone":
            print(json.dumps(without_window(kind, args.workspace, args.seconds)))
        else:
            print(json.dumps(in_window(kind, args.workspace, args.seconds, args.side == "idle")))
        return
    for kind in args.job or STAGES:
        with tempfile.TemporaryDirectory() as workspace:
            if kind == "pretrain":
                record_frames(workspace)
            compare(kind, args.seconds, args.rounds, workspace)


if __name__ == "__main__":
    main()
