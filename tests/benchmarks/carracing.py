"""Frames a second of CarRacing-v3: the stock environment beside the fast one, on one core.

    uv run python -m tests.benchmarks.carracing [--frames 400] [--rounds 5]

Both drive the same tracks with the same actions. Every round times each side once, in turn; the table gives medians
over the rounds, and the median of the ratios round by round. At repeat k an action is applied k times, as an agent's
is: the stock environment draws every frame, the fast one the last of each k. A frame is one step of the physics.
Seconds are those of the processor, so that other programs of the machine disturb little.
"""

from __future__ import annotations

import argparse
import os
import time
from statistics import median

import gymnasium as gym
import numpy as np

from ewm_studio.envs.carracing import FastCarRacing
from ewm_studio.envs.factory import make_env

REPEATS = (1, 4, 8)


def driving(rng: np.random.Generator, decisions: int) -> np.ndarray:
    """Actions (decisions, 3) that go around on and off the road."""
    steer = np.clip(np.cumsum(rng.normal(0, 0.15, decisions)), -0.6, 0.6)
    return np.stack([steer, rng.uniform(0, 0.4, decisions), rng.uniform(0, 0.05, decisions)], axis=1).astype(np.float32)


def frames_per_second(env: gym.Env, repeat: int, frames: int, seed: int) -> float:
    """Time `frames` frames after the opening zoom; resets are not timed."""
    actions = driving(np.random.default_rng(seed), frames // repeat + 1)
    env.reset(seed=seed)
    if isinstance(env, FastCarRacing):
        env.draw = False
    for _ in range(60):
        env.step(np.zeros(3, np.float32))
    done, spent = 0, 0.0
    for action in actions:
        began = time.process_time()
        over = False
        for _ in range(repeat):
            _, _, terminated, truncated, _ = env.step(action)
            done += 1
            over = over or terminated or truncated
        if isinstance(env, FastCarRacing):
            env.frame()
        spent += time.process_time() - began
        if over:
            env.reset()
        if done >= frames:
            break
    return done / spent


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    stock, fast = gym.make("CarRacing-v3").unwrapped, make_env("CarRacing-v3").unwrapped
    print(f"{'repeat':>6} {'stock':>12} {'fast':>12} {'ratio':>7}   (frames/s, medians of {args.rounds} rounds)")
    for repeat in REPEATS:
        pairs = [
            (
                frames_per_second(stock, repeat, args.frames, seed),
                frames_per_second(fast, repeat, args.frames * repeat, seed),
            )
            for seed in range(args.rounds)
        ]
        slow, quick = median(a for a, _ in pairs), median(b for _, b in pairs)
        print(f"{repeat:>6} {slow:>12,.0f} {quick:>12,.0f} {median(b / a for a, b in pairs):>7.1f}")
    stock.close()
    fast.close()


if __name__ == "__main__":
    main()
