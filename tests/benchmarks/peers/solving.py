"""Steps and seconds until a task is solved, this studio and a peer seed by seed in turns."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch

from ewm_studio.envs import NO_VELOCITY_ID
from ewm_studio.events import CheckpointSaved, JobControl
from ewm_studio.jobs import infer, train
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from tests.benchmarks.peers import recipes
from tests.benchmarks.peers.report import Table
from tests.support.jobs import finish

EVERY = 5_120  # steps between two evaluations: 10 rollouts of the studio's defaults, 20 of the zoo's
EPISODES = 100
PLAY_SEED = 1_000_000  # far from every training seed


@dataclass(frozen=True)
class Task:
    """What is to be solved, with what on either side, and from which greedy mean on it is."""

    env: str
    memory: str
    steps: int  # the studio's budget; the zoo's is `recipes.CARTPOLE_STEPS`
    recurrent: bool
    peer: str
    solved: float


TASKS = {
    "cartpole": Task("CartPole-v1", "NoMemory", 100_000, False, "Stable-Baselines3 PPO", 500.0),
    "novel": Task(NO_VELOCITY_ID, "LSTMMemory", 300_000, True, "sb3-contrib RecurrentPPO", 475.0),
}


@dataclass
class Trace:
    """One training run: after so many steps and seconds of training, the greedy mean it had."""

    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    clock: float = 0.0
    _since: float = 0.0

    def go(self) -> None:
        """Training goes on."""
        self._since = time.perf_counter()

    def halt(self) -> None:
        """Training waits, for the model to be evaluated."""
        self.clock += time.perf_counter() - self._since

    def note(self, steps: int, score: float) -> None:
        """An evaluation after `steps`."""
        self.steps.append(steps)
        self.seconds.append(self.clock)
        self.scores.append(score)


def ours(task: Task, seed: int) -> Trace:
    """The studio with its defaults, every checkpoint played, until it is solved or its steps are over."""
    experiment = Experiment.from_dict(
        {
            "env": {"id": task.env, "workers": 0},
            "memory": {"name": task.memory},
            "run": {"seed": seed, "save_freq": EVERY // (8 * 64), "threads": 1},
            "train": {"total_steps": task.steps},
        }
    )
    trace, control = Trace(), JobControl()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        trace.go()
        for event in train(experiment, workspace, control):
            if not isinstance(event, CheckpointSaved) or control.stop_requested:
                continue
            trace.halt()
            asked = {"start.load_path": event.path, "infer.episodes": EPISODES, "run.seed": PLAY_SEED}
            with torch.random.fork_rng():
                played = finish(infer(experiment.with_values(*asked.items(), ("infer.keep_replays", False)), workspace))
            trace.note(event.step, played["mean"])
            if played["mean"] >= task.solved:
                control.stop()
            trace.go()
        workspace.close()
    return trace


def theirs(task: Task, seed: int) -> Trace:
    """The peer with the zoo's settings, played as often, until it is solved or the zoo's steps are over."""
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import sync_envs_normalization

    trace = Trace()
    played_in = recipes.cartpole_envs(task.env, PLAY_SEED, task.recurrent)
    if task.recurrent:
        played_in.training = played_in.norm_reward = False

    class Evaluate(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.next_at = EVERY

        def _on_step(self) -> bool:
            return not (trace.scores and trace.scores[-1] >= task.solved)

        def _on_rollout_start(self) -> None:  # after the update of the rollout before
            self.evaluate()

        def _on_training_end(self) -> None:
            self.evaluate()

        def evaluate(self) -> None:
            solved = trace.scores and trace.scores[-1] >= task.solved
            over = self.num_timesteps >= recipes.CARTPOLE_STEPS
            if solved or (self.num_timesteps < self.next_at and not over):
                return
            trace.halt()
            if task.recurrent:
                sync_envs_normalization(self.training_env, played_in)
            with torch.random.fork_rng():
                score, _ = evaluate_policy(self.model, played_in, EPISODES, deterministic=True, warn=False)
            trace.note(self.num_timesteps, float(score))
            self.next_at += EVERY
            trace.go()

    trace.go()
    recipes.cartpole(task.env, seed, task.recurrent).learn(recipes.CARTPOLE_STEPS, callback=Evaluate())
    return trace


def solve(name: str, seeds: int) -> Table:
    """Train every seed on both sides, in turns, and say what each needed."""
    task = TASKS[name]
    torch.set_num_threads(1)
    sides: dict[str, Callable[[Task, int], Trace]] = {task.peer: theirs, f"EWM Studio {task.memory}": ours}
    traces: dict[str, list[Trace]] = {side: [] for side in sides}
    _warm_up(task)
    for seed in range(seeds):
        for side, run in sides.items():
            traces[side].append(trace := run(task, seed))
            print(f"seed {seed}: {side}: {_words(task, trace)}", flush=True)
    table = Table(
        f"{task.env}, until {EPISODES} greedy episodes have a mean of {task.solved:g}, looked at every {EVERY:,} steps",
        ["", "solved", "steps, median", "steps, each seed", "seconds, median", "seconds, each seed"],
    )
    for side, runs in traces.items():
        done = [trace for trace in runs if trace.scores[-1] >= task.solved]
        steps, seconds = [trace.steps[-1] for trace in done], [trace.seconds[-1] for trace in done]
        each = ", ".join(f"{n:,}" for n in steps) or "none", ", ".join(f"{s:.1f}" for s in seconds) or "none"
        middle = (f"{median(steps):,.0f}", f"{median(seconds):.1f}") if done else ("none", "none")
        table.add(side, f"{len(done)} of {len(runs)}", middle[0], each[0], middle[1], each[1])
    pairs = list(zip(*traces.values(), strict=True))
    ratios = [a.seconds[-1] / b.seconds[-1] for a, b in pairs if min(a.scores[-1], b.scores[-1]) >= task.solved]
    if ratios:
        table.notes.append(
            f"{task.peer} needs {median(ratios):.1f} times the time (median over {len(ratios)} seeds that both solve, "
            f"{min(ratios):.1f} to {max(ratios):.1f})."
        )
    for side, runs in traces.items():
        table.curves += [(side, trace.seconds, trace.scores) for trace in runs]
    table.axes = "seconds of training", f"greedy mean of {EPISODES} episodes"
    return table


def _warm_up(task: Task) -> None:
    """A moment of both sides: what a first use imports, as PyTorch's optimisers do their compiler, is no training."""
    recipes.cartpole(task.env, 0, task.recurrent).learn(256)
    short = {"env": {"id": task.env}, "memory": {"name": task.memory}, "train": {"total_steps": 512}}
    with tempfile.TemporaryDirectory() as folder:
        finish(train(Experiment.from_dict(short), Workspace(Path(folder))))


def _words(task: Task, trace: Trace) -> str:
    state = "solved" if trace.scores[-1] >= task.solved else f"not solved ({trace.scores[-1]:.0f})"
    return f"{state} after {trace.steps[-1]:,} steps, {trace.seconds[-1]:.1f} s"
