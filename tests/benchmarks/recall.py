"""What memories remember, beside sb3-contrib's RecurrentPPO: one command, one table.

    uv run python -m tests.benchmarks.recall --quick  # one seed, a run ends where its task is solved
    uv run python -m tests.benchmarks.recall          # three seeds, every run to its last step
    uv run python -m tests.benchmarks.recall --task recall-10 --side MDNRNN --seeds 5

Recall: one of two cues is shown at the first step and asked for 5, 10, 20 or 50 steps later. T-maze: the start of a
corridor of 10 shows where to turn at its end, every step that does not go on costs 0.1. CartPole without velocities.
Every agent of the studio has the defaults; "by prediction" is without the controller's gradient (ppo.memory_gradient
off), as memories were trained by 0.1.0. RecurrentPPO has its own defaults, on CartPole those of its zoo; it does not
see its actions, our memories do. A task is solved where the mean of the last 100 training episodes, drawn actions and
all, reaches the figure in the table's head.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median, pstdev
from typing import Any

import torch

from ewm_studio.envs import NO_VELOCITY_ID, RECALL_ID, T_MAZE_ID
from ewm_studio.events import EpisodeFinished, JobControl
from ewm_studio.jobs import train
from ewm_studio.models.registry import components
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from tests.benchmarks.peers import recipes
from tests.benchmarks.peers.report import Table

LAST = 100  # episodes that a mean is taken over
PEER = "sb3-contrib RecurrentPPO"
ALONE = " by prediction"
SLOW = {"MDNRNN": {"slowest": 64}}  # as LSTMMemory has it by default: a memory that is meant as a world starts without
MEMORIES = ("LSTMMemory", "MDNRNN", "RSSM", "TemporalTransformer")
SIDES = (
    *(name for name in MEMORIES if name in components("memory")),
    "LSTMMemory" + ALONE,
    "MDNRNN" + ALONE,
    "NoMemory",
    PEER,
)


@dataclass(frozen=True)
class Task:
    """An environment, when it is solved, and how many steps there are for it."""

    env: str
    solved: float
    steps: int
    kwargs: dict[str, Any] = field(default_factory=dict)


TASKS = {
    **{
        f"recall-{delay}": Task(RECALL_ID, 0.9, steps, {"delay": delay})
        for delay, steps in ((5, 60_000), (10, 60_000), (20, 200_000), (50, 200_000))
    },
    "t-maze-10": Task(T_MAZE_ID, 3.95, 200_000, {"length": 10}),
    "novel": Task(NO_VELOCITY_ID, 450.0, 150_000),
}


@dataclass
class Watch:
    """The mean of the last episodes while a run goes on."""

    solved: float
    solved_at: int | None = None
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=LAST))

    def see(self, step: int, reward: float) -> None:
        """An episode has ended after `step` steps."""
        self.recent.append(reward)
        if self.solved_at is None and len(self.recent) == LAST and self.mean >= self.solved:
            self.solved_at = step

    @property
    def mean(self) -> float:
        """Of the last episodes."""
        return mean(self.recent)


def ours(task: Task, side: str, seed: int, to_the_end: bool) -> Watch:
    """The studio with its defaults, and slow features where they are not one."""
    memory = side.removesuffix(ALONE)
    experiment = Experiment.from_dict(
        {
            "env": {"id": task.env, "kwargs": task.kwargs, "workers": 0},
            "memory": {"name": memory, **SLOW.get(memory, {})},
            "ppo": {"memory_gradient": "off" if side.endswith(ALONE) else "auto"},
            "train": {"total_steps": task.steps},
            "run": {"seed": seed, "threads": 1, "save_freq": 100_000},
        }
    )
    watch, control = Watch(task.solved), JobControl()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        for event in train(experiment, workspace, control):
            if isinstance(event, EpisodeFinished):
                watch.see(event.step, event.reward)
                if watch.solved_at is not None and not to_the_end:
                    control.stop()
        workspace.close()
    return watch


def theirs(task: Task, seed: int, to_the_end: bool) -> Watch:
    """The peer."""
    from stable_baselines3.common.callbacks import BaseCallback

    watch = Watch(task.solved)

    class See(BaseCallback):
        def _on_step(self) -> bool:
            for info in self.locals["infos"]:
                if "episode" in info:
                    watch.see(self.num_timesteps, float(info["episode"]["r"]))
            return to_the_end or watch.solved_at is None

    make: Callable[[], Any] = lambda: recipes.remembering(task.env, task.kwargs, seed)  # noqa: E731
    if task.env == NO_VELOCITY_ID:
        make = lambda: recipes.cartpole(task.env, seed, recurrent=True)  # noqa: E731
    make().learn(task.steps, callback=See())
    return watch


def run(name: str, side: str, seed: int, to_the_end: bool) -> tuple[str, str, int, int | None, float]:
    """One agent on one task: where it was solved, and the last mean."""
    torch.set_num_threads(1)
    task = TASKS[name]
    watch = theirs(task, seed, to_the_end) if side == PEER else ours(task, side, seed, to_the_end)
    return name, side, seed, watch.solved_at, watch.mean


def main() -> None:
    """Run all and print the table; Ctrl-C prints what is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", action="append", choices=TASKS, help="only these")
    parser.add_argument("--side", action="append", choices=SIDES, help="only these")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, on one core each")
    parser.add_argument("--stop", action="store_true", help="a run ends where its task is solved")
    parser.add_argument("--quick", action="store_true", help="the same, with one seed")
    parser.add_argument("--out", type=Path, help="folder for the table, as recall.md")
    args = parser.parse_args()
    tasks, sides, seeds = args.task or TASKS, args.side or SIDES, 1 if args.quick else args.seeds
    to_the_end = not (args.quick or args.stop)
    found: dict[tuple[str, str], list[tuple[int | None, float]]] = {}
    with ProcessPoolExecutor(args.jobs, get_context("spawn")) as pool:
        jobs = [pool.submit(run, n, s, seed, to_the_end) for n in tasks for seed in range(seeds) for s in sides]
        try:
            for job in as_completed(jobs):
                name, side, seed, at, last = job.result()
                found.setdefault((name, side), []).append((at, last))
                print(f"{name}, {side}, seed {seed}: {_steps(at)}, last mean {last:.2f}", flush=True)
        except KeyboardInterrupt:
            print("broken off; the table has what is done", flush=True)
            pool.shutdown(cancel_futures=True)
    heads = [f"{n}: {TASKS[n].solved:g} within {TASKS[n].steps // 1000}k" for n in tasks]
    table = Table("Solved, after how many steps (median); mean reward at the end", ["", *heads])
    for side in sides:
        table.add(side, *(_cell(found.get((name, side), [])) for name in tasks))
    print(f"\n{table.markdown()}")
    if args.out:
        table.write(args.out, "recall")


def _steps(at: int | None) -> str:
    return f"solved after {at:,} steps" if at is not None else "not solved"


def _cell(runs: list[tuple[int | None, float]]) -> str:
    """One side on one task, all seeds."""
    if not runs:
        return ""
    done, lasts = [at for at, _ in runs if at is not None], [last for _, last in runs]
    steps = f", {median(done):,.0f}" if done else ""
    spread = f" ± {pstdev(lasts):.2f}" if len(lasts) > 1 else ""
    return f"{len(done)} of {len(runs)}{steps}; {mean(lasts):.2f}{spread}"


if __name__ == "__main__":
    main()
