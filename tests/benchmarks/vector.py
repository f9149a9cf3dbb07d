"""What stepping environments side by side costs, beside Gymnasium's SyncVectorEnv and bare environments.

    uv run python -m tests.benchmarks.vector [--env CartPole-v1] [--envs 8] [--steps 3000] [--rounds 5]

Microseconds an environment step, of the processor, with random actions; medians over interleaved rounds. Bare is the
environment's own `step` and `reset` in a loop, without wrappers, copies or bookkeeping: what no vectorization can save.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import gymnasium as gym
import numpy as np

from ewm_studio.envs.vector.make import make_vector
from ewm_studio.settings import EnvSettings


def bare(id: str, count: int, actions: np.ndarray) -> float:
    """Seconds of the environments alone."""
    envs = [gym.make(id).unwrapped for _ in range(count)]
    for i, env in enumerate(envs):
        env.reset(seed=i)
    rows = actions.tolist() if actions.ndim == 2 else actions
    began = time.process_time()
    for row in rows:
        for env, action in zip(envs, row, strict=True):
            if env.step(action)[2]:
                env.reset()
    return time.process_time() - began


def gymnasium_sync(id: str, count: int, actions: np.ndarray) -> float:
    """Seconds of Gymnasium's vector environment, same-step reset."""
    envs = gym.make_vec(id, count, "sync", vector_kwargs={"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP})
    envs.reset(seed=0)
    began = time.process_time()
    for row in actions:
        envs.step(row)
    return time.process_time() - began


def ours(id: str, count: int, actions: np.ndarray) -> float:
    """Seconds of ours, in this process."""
    envs = make_vector(EnvSettings(id=id, batch_size=count, workers=0), seed=0)
    envs.reset()
    began = time.process_time()
    for row in actions:
        envs.step(row)
    return time.process_time() - began


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--envs", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    space = gym.make(args.env).action_space
    space.seed(0)
    actions = np.stack([np.stack([space.sample() for _ in range(args.envs)]) for _ in range(args.steps)])
    sides: dict[str, Callable[[str, int, np.ndarray], float]] = {
        "bare": bare,
        "gymnasium sync": gymnasium_sync,
        "ours": ours,
    }
    costs: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, run in sides.items():
            costs[name].append(run(args.env, args.envs, actions) * 1e6 / (args.steps * args.envs))
    print(f"{args.env}, {args.envs} environments: microseconds an environment step, medians of {args.rounds} rounds")
    for name, values in costs.items():
        over = median(v - b for v, b in zip(values, costs["bare"], strict=True))
        print(f"{name:>16} {median(values):8.2f}   {over:+8.2f} over bare")


if __name__ == "__main__":
    main()
