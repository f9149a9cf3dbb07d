"""How well the defaults learn, over several seeds.

    uv run python -m tests.benchmarks.learning cartpole  # defaults, 5 seeds, 100,000 steps
    uv run python -m tests.benchmarks.learning novel     # CartPole without velocities, 5 seeds, 300,000 steps

Each run is trained with the defaults and its best checkpoint is played greedily for 100 episodes that training never
saw. The table gives every seed, then mean and spread; nothing is picked.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean, pstdev

import torch

from ewm_studio.jobs import infer, train
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from tests.support.jobs import finish

PLAY_SEED = 1_000_000  # far from every training seed
TASKS: dict[str, tuple[str, int, int, tuple[str, ...]]] = {
    "cartpole": ("CartPole-v1", 100_000, 5, ("NoMemory",)),
    "novel": ("ewm_studio/CartPoleNoVel-v1", 300_000, 5, ("LSTMMemory", "TemporalTransformer", "NoMemory")),
}


def main() -> None:
    """Train, play, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--memory", help="only this memory")
    args = parser.parse_args()
    env, steps, seeds, memories = TASKS[args.task]
    steps, seeds = args.steps or steps, args.seeds or seeds
    torch.set_num_threads(1)
    print(f"{env}, {steps:,} steps, best checkpoint played greedily for 100 episodes", flush=True)
    for memory in (args.memory,) if args.memory else memories:
        scores = []
        for seed in range(seeds):
            experiment = Experiment.from_dict(
                {"env": {"id": env}, "memory": {"name": memory}, "run": {"seed": seed}, "train": {"total_steps": steps}}
            )
            with tempfile.TemporaryDirectory() as folder:
                workspace = Workspace(Path(folder))
                trained = finish(train(experiment, workspace))
                asked = experiment.with_values(
                    ("start.load_path", trained["checkpoint"]), ("infer.episodes", 100), ("run.seed", PLAY_SEED)
                )
                played = finish(infer(asked, workspace))
            scores.append(played["mean"])
            print(
                f"{memory:20} seed {seed}: greedy {played['mean']:6.1f} +- {played['std']:5.1f} (least "
                f"{played['min']:.0f}); last 100 training episodes {trained['mean_reward']:6.1f}; "
                f"{trained['seconds']:.0f} s, {trained['steps_per_second']:,.0f} steps/s",
                flush=True,
            )
        print(f"{memory:20} over {seeds} seeds: {mean(scores):.1f} +- {pstdev(scores):.1f}, least {min(scores):.1f}\n")


if __name__ == "__main__":
    main()
