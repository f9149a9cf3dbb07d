"""Training speed on CartPole-v1 beside Stable-Baselines3, all in one run with one budget of steps.

    uv run python -m tests.benchmarks.cartpole_speed [--steps 50000] [--rounds 3]

Each round times every side once, in turn; the table gives each side's median and the median of the ratios round by
round, so that a machine that slows down or speeds up in between does not decide. The peers have the zoo's settings
(`peers/recipes.py`); RecurrentPPO gets a smaller budget, since it is slow.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from ewm_studio.jobs import train
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from tests.benchmarks.peers import recipes
from tests.support.jobs import finish

RECURRENT_SHARE = 8  # RecurrentPPO gets this fraction of the steps


def ours(memory: str, steps: int) -> float:
    """Steps a second of this engine with its defaults, learning included, start-up left out."""
    experiment = Experiment.from_dict({"train": {"total_steps": steps}, "memory": {"name": memory}})
    with tempfile.TemporaryDirectory() as folder:
        return finish(train(experiment, Workspace(Path(folder))))["steps_per_second"]


def sb3(steps: int, recurrent: bool) -> float:
    """Steps a second of Stable-Baselines3's PPO, or sb3-contrib's RecurrentPPO."""
    model = recipes.cartpole("CartPole-v1", 0, recurrent)
    return timed(lambda: model.learn(steps), lambda: model.num_timesteps)


def timed(work: Callable[[], object], count: Callable[[], int]) -> float:
    """Steps a second of `work`, by the wall clock."""
    began = time.perf_counter()
    work()
    return count() / (time.perf_counter() - began)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-recurrent", action="store_true", help="leave RecurrentPPO out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sides: dict[str, Callable[[], float]] = {
        "SB3 PPO": lambda: sb3(args.steps, recurrent=False),
        "EWM NoMemory": lambda: ours("NoMemory", args.steps),
        "EWM LSTMMemory": lambda: ours("LSTMMemory", args.steps),
    }
    if not args.no_recurrent:
        sides["sb3-contrib RecurrentPPO"] = lambda: sb3(args.steps // RECURRENT_SHARE, recurrent=True)
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(args.rounds):
        for name, run in sides.items():
            speeds[name].append(run())
            print(f"round {number + 1}: {name}: {speeds[name][-1]:,.0f} steps/s", flush=True)
    print(f"\n{'':28}{'median':>10}")
    for name, values in speeds.items():
        print(f"{name:28}{median(values):>10,.0f} steps/s")
    pairs = [("EWM NoMemory", "SB3 PPO"), ("EWM LSTMMemory", "SB3 PPO")]
    if not args.no_recurrent:
        pairs.append(("EWM LSTMMemory", "sb3-contrib RecurrentPPO"))
    for a, b in pairs:
        ratio = median(x / y for x, y in zip(speeds[a], speeds[b], strict=True))
        print(f"{a} / {b}: {ratio:.2f}")


if __name__ == "__main__":
    main()
