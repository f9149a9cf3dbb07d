"""A skilled driver of CarRacing-v3 that stands in for a person: it reads the track and the car from the environment.

    uv run python -m tests.support.track_driver [--seeds 10]

prints what it scores. It steers to a point ahead on the middle of the road, and is as fast as the bends allow that it
can still brake for. Continuous actions, one a frame.
"""

from __future__ import annotations

import argparse
from typing import Any

import gymnasium as gym
import numpy as np

from ewm_studio.envs.carracing.environment import FastCarRacing

TILE = 3.5  # distance of the track's points, in units of the world; speeds are in units a second
HORIZON = 30  # points that the driver looks ahead
GRIP = 125.0  # sideways acceleration that the driver dares in a bend
BRAKES = 60.0  # deceleration that it counts on
TOP_SPEED = 95.0


def drive(env: gym.Env) -> np.ndarray:
    """The action, float32 (3,), of a skilled driver in the present state of `env`, which may be wrapped."""
    base: Any = env.unwrapped
    hull = base.car.hull
    track = np.array(base.track)[:, 1:]  # (N, 3): direction, x, y
    position, speed = np.array(hull.position), hull.linearVelocity.length
    nearest = int(((track[:, 1:] - position) ** 2).sum(axis=1).argmin())
    ahead = np.roll(track, -nearest, axis=0)[:HORIZON]
    steer = _steer(ahead[:, 1:] - position, hull.angle, speed)
    excess = speed - _safe_speed(ahead[:, 0])
    gas = np.clip(-excess / 10, 0, 1 - 0.8 * min(abs(steer) / 0.3, 1))
    brake = np.clip(excess / 20, 0, 0.6)
    return np.array([steer, gas, brake], np.float32)


def _steer(ahead: np.ndarray, angle: float, speed: float) -> float:
    """Turn of the wheel, -1 (left) to 1, towards the points `ahead` (n, 2), seen from the car; further when fast."""
    x, y = ahead[int(2 + speed / 15)]
    right, forward = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return float(np.clip(0.9 * np.arctan2(right, forward), -1, 1))


def _safe_speed(directions: np.ndarray) -> float:
    """The highest speed from which every bend ahead can be taken, given the road's directions (n,) there."""
    turns = np.abs((np.diff(directions) + np.pi) % (2 * np.pi) - np.pi)
    bends = np.convolve(turns, np.full(3, 1 / 3), "valid") / TILE  # curvature, 1 / radius
    allowed = GRIP / np.maximum(bends, 1e-3)  # speeds squared
    reachable = allowed + 2 * BRAKES * TILE * np.arange(len(allowed))
    return float(min(np.sqrt(reachable.min()), TOP_SPEED))


def main() -> None:
    """Drive and print the returns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    fast = FastCarRacing()
    fast.draw = False
    env = gym.wrappers.TimeLimit(fast, 1000)
    returns = []
    for seed in range(parser.parse_args().seeds):
        env.reset(seed=seed)
        total, steps, over = 0.0, 0, False
        while not over:
            _, reward, terminated, truncated, _ = env.step(drive(env))
            total, steps, over = total + float(reward), steps + 1, terminated or truncated
        returns.append(total)
        print(f"seed {seed:3}: {total:6.1f} in {steps} steps")
    print(f"mean {np.mean(returns):.1f} +- {np.std(returns):.1f}, minimum {min(returns):.1f}")


if __name__ == "__main__":
    main()
