"""Seconds from the command `train` until its environments have made their first step, of this tree and another.

    uv run python -m tests.benchmarks.first_step [--other PATH] [--rounds 7]

Every start is a process of its own, by the same interpreter; only the package comes from the one tree or the other, a
checkout of any version from 0.1.0 on. Trees and commands take turns, so that what else the machine does meets them
alike. The table gives medians over the rounds: seconds by the clock from the command's start; those of them that passed
after PyTorch and Gymnasium were imported, which takes most of the time and is the same for every tree; the processor
time that the command's own process spent in these, which a busy machine stretches less; and how many environments that
process made. Each command is started once before, untimed, to read the disk.
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

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "CartPole": ["--env", "CartPole-v1"],
    "CartPole, auto": ["--env", "CartPole-v1", "--batch-size", "auto"],
    "CarRacing": ["--env", "CarRacing-v3"],
    "CarRacing, auto": ["--env", "CarRacing-v3", "--batch-size", "auto"],
}
START = """
import os, sys, time

began, tree, *command = float(sys.argv[1]), *sys.argv[2:]
out = os.dup(1)  # the command keeps stdout for its result
import gymnasium as gym, torch

imported, worked = time.monotonic(), time.process_time()
from ewm_studio import cli

assert cli.__file__.startswith(tree), (cli.__file__, tree)
try:
    from ewm_studio.envs.vector.base import VectorEnvs
except ImportError:  # as 0.1.0 has it
    from ewm_studio.envs.vector import VectorEnvs

made, make, step = [], gym.make, VectorEnvs.step

def noted_make(*args, **options):
    made.append(args)
    return make(*args, **options)

def first_step(envs, actions):
    step(envs, actions)
    now = time.monotonic()
    os.write(out, f"{now - began} {now - imported} {time.process_time() - worked} {len(made)}".encode())
    envs.close()
    os._exit(0)

gym.make, VectorEnvs.step = noted_make, first_step
sys.exit(cli.main(command))
"""


def first_step(tree: Path, command: list[str]) -> tuple[float, ...]:
    """The numbers of one row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONPATH": str(tree), "SDL_VIDEODRIVER": "dummy"}
        given = ["train", *command, "--workspace", folder]
        line = [sys.executable, "-c", START, str(time.monotonic()), str(tree), *given]
        done = subprocess.run(line, env=env, cwd=tree, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise SystemExit(f"{tree}: {' '.join(given)} ended with {done.returncode}\n{done.stderr}")
    return tuple(map(float, done.stdout.split()))


def main() -> None:
    """Start every command in every tree some times, in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    trees = {"this tree": ROOT} | ({"the other": args.other.resolve()} if args.other else {})
    sides = [(name, tree) for name in COMMANDS for tree in trees]
    times = {side: [] for side in sides}
    for number in range(args.rounds + 1):
        for name, tree in sides:
            taken = first_step(trees[tree], COMMANDS[name])
            if number:
                times[name, tree].append(taken)
    heads = f"{'start':>8}{'imported':>11}{'processor':>12}{'made':>7}"
    print(f"{'':18}{'':11}{heads}   medians of {args.rounds} rounds")
    for (name, tree), taken in times.items():
        start, imported, processor, made = (statistics.median(column) for column in zip(*taken, strict=True))
        print(f"{name:18}{tree:11}{start:>6.2f} s{imported:>9.2f} s{processor:>10.2f} s{made:>7.0f}")


if __name__ == "__main__":
    main()
