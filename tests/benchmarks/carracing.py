"""Frames a second of CarRacing-v3 on one core: the stock environment, the fast one and, where installed, EnvPool's.

The fast one draws by pygame, and once more by compiled code where Numba is installed.

    uv run python -m tests.benchmarks.carracing [--frames 400] [--rounds 5]

All drive with the same actions; stock and fast on the same tracks, EnvPool, written in C++, on tracks and pixels of its
own. Every round times each side once, in turn, so that what else the machine does meets them alike. The table gives
medians over the rounds, and the median over the rounds of each side's ratio to the stock one, both by seconds of the
processor (all threads of the process added) and by the clock. A frame is one step of the physics. At repeat k an action
is applied k times, as an agent's is, and one frame is seen: the stock environment and EnvPool draw every frame, the
fast one the last of each k. Resets and the opening zoom are not timed. Each side runs `--frames` frames a round, the
fast one and EnvPool ten times as many, since they are quicker.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.envs.box2d.car_racing import CarRacing

from ewm_studio.envs.carracing.environment import ZOOM_FRAMES, FastCarRacing
from ewm_studio.envs.carracing.view import get_canvas

REPEATS = (1, 4, 8)


@dataclass(frozen=True)
class Side:
    """One way to run the environment.

    Attributes:
        begin: starts an episode with a seed.
        step: applies an action, float32 (3,), for one frame; whether the episode is over.
        see: gives the present frame, where the step has not done so.
    """

    begin: Callable[[int], Any]
    step: Callable[[np.ndarray], bool]
    see: Callable[[], Any] = lambda: None


def stock_side() -> Side:
    env = CarRacing()
    return Side(lambda seed: env.reset(seed=seed), lambda action: env.step(action)[2])


def fast_side(painter: Any) -> Side:
    """The fast one, drawn by this painter; None is pygame."""
    env = FastCarRacing()
    env.draw = False

    def begin(seed: int) -> None:
        get_canvas().painter = painter
        env.reset(seed=seed)

    return Side(begin, lambda action: env.step(action)[2], env.frame)


def envpool_side() -> Side:
    import envpool

    pools: list[Any] = []

    def begin(seed: int) -> None:
        pools[:] = [envpool.make_gymnasium("CarRacing-v3", num_envs=1, num_threads=1, seed=seed)]
        pools[0].reset()

    return Side(begin, lambda action: bool(pools[0].step(action[None])[2][0]))


def driving(rng: np.random.Generator, decisions: int) -> np.ndarray:
    """Actions (decisions, 3) that go around on and off the road."""
    steer = np.clip(np.cumsum(rng.normal(0, 0.15, decisions)), -0.6, 0.6)
    return np.stack([steer, rng.uniform(0, 0.4, decisions), rng.uniform(0, 0.05, decisions)], axis=1).astype(np.float32)


def frames_per_second(side: Side, repeat: int, frames: int, seed: int) -> tuple[float, float]:
    """Frames a second of the processor, and by the clock."""
    done, worked, waited = 0, 0.0, 0.0
    over = True
    for action in driving(np.random.default_rng(seed), frames // repeat):
        if over:
            side.begin(seed)
            for _ in range(ZOOM_FRAMES + 10):
                side.step(np.zeros(3, np.float32))
        work, clock = time.process_time(), time.perf_counter()
        over = False
        for _ in range(repeat):
            over = side.step(action) or over
        side.see()
        worked, waited = worked + time.process_time() - work, waited + time.perf_counter() - clock
        done += repeat
    return done / worked, done / waited


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    sides = {"stock": stock_side(), "fast": fast_side(None)}
    if painter := get_canvas().painter:
        sides["compiled"] = fast_side(painter)
    if importlib.util.find_spec("envpool"):
        sides["EnvPool"] = envpool_side()
    print(f"{'':16}{'processor':>12}{'':>8}{'clock':>12}   frames/s, medians of {args.rounds} rounds")
    for repeat in REPEATS:
        speeds = {name: np.empty((args.rounds, 2)) for name in sides}
        for seed in range(args.rounds):
            for name, side in sides.items():
                frames = args.frames * (1 if name == "stock" else 10)
                speeds[name][seed] = frames_per_second(side, repeat, frames, seed)
        for name, speed in speeds.items():
            (work, clock), (more, faster) = np.median(speed, axis=0), np.median(speed / speeds["stock"], axis=0)
            print(f"repeat {repeat} {name:<8}{work:>12,.0f}{more:>7.1f}x{clock:>12,.0f}{faster:>7.1f}x")


if __name__ == "__main__":
    main()
