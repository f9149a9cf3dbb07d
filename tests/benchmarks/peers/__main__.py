"""The studio beside its peers, both sides in one run, in turns.

uv run python -m tests.benchmarks.peers cartpole   # CartPole-v1 until solved: Stable-Baselines3's PPO
uv run python -m tests.benchmarks.peers novel      # CartPole without velocities: sb3-contrib's RecurrentPPO
uv run python -m tests.benchmarks.peers carracing  # decisions a second of the whole loop: RecurrentPPO
uv run python -m tests.benchmarks.peers vae        # frames a second of a VAE's training: a plain loop

The peers' agents have the settings of their zoo. `--out DIR` keeps the table as DIR/<task>.md, and the curves of the
first two as DIR/<task>.png. Time stands still while a model is evaluated; imports do not count on either side.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.benchmarks.peers.solving import TASKS, solve
from tests.benchmarks.peers.speeds import carracing, vae

SPEEDS = {"carracing": carracing, "vae": vae}


def main() -> None:
    """Run one comparison and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=[*TASKS, *SPEEDS])
    parser.add_argument("--seeds", type=int, default=5, help="of cartpole and novel")
    parser.add_argument("--rounds", type=int, default=3, help="of carracing and vae")
    parser.add_argument("--out", type=Path, help="folder for the table and the picture")
    args = parser.parse_args()
    table = solve(args.task, args.seeds) if args.task in TASKS else SPEEDS[args.task](args.rounds)
    print(f"\n{table.markdown()}")
    if args.out:
        table.write(args.out, args.task)


if __name__ == "__main__":
    main()
