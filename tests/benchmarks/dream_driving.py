"""Driving in a dream with reality beside it, without a window: how late decisions come, and whether the wheel turns it.

    uv run python -m tests.benchmarks.dream_driving --model MODEL.safetensors [--seconds 60] [--turning 100]

The session drives at the true rate while keys go down and up. `--turning` plays episodes, forks them in so many
moments, and holds left and right in the dream and in reality.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.arguments import model_file

KEY_SECONDS = 0.12  # between two changes of the keys held
LIMIT = 40.0  # ms, the latest that a decision may come
KEYS = ("left", "right", "up")


def drive(model: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Drive for so many seconds: lateness of each decision and of each key's picture in ms, decisions a second, CPU."""
    from ewm_studio.driving import commands
    from ewm_studio.driving.dream_beginning import DreamBeginning, FromTrack
    from ewm_studio.driving.dream_session import DreamSession

    answered: dict[float, float] = {}

    def noted() -> None:
        shown = session.snapshot
        if shown.key_to_picture == shown.key_to_picture:
            answered.setdefault(shown.key_to_picture, shown.key_to_picture)

    session = DreamSession(DreamBeginning(model, "model", FromTrack(seed)), notify=noted)
    session.start()
    _until(session, lambda: session.snapshot.state == "paused", 120)
    dice, down = random.Random(0), list[str]()
    session.ask(commands.Press("up"))
    cpu, began = time.process_time(), time.monotonic()
    while time.monotonic() - began < seconds and session.failure is None:
        for key in down:
            session.ask(commands.Release(key))
        down = [key for key in KEYS if dice.random() < 0.5]
        for key in down:
            session.ask(commands.Press(key))
        if session.snapshot.state == "ended":  # memory drew an end: drive on
            session.ask(commands.Resume())
        time.sleep(KEY_SECONDS)
    used, passed = time.process_time() - cpu, time.monotonic() - began
    late = np.array(session.decisions.lateness) * 1000
    beside = session.snapshot.real is not None
    session.stop()
    session.join()
    if session.failure is not None:
        raise session.failure
    figures = {"decision late by": late, "key to picture": np.array([*answered.values()]) * 1000}
    return {"figures": figures, "rate": len(late) / passed, "cpu": used / passed, "beside": beside}


def turned(model: Path, count: int, seed: int) -> dict[str, Any] | None:
    """`turning` from so many moments of played episodes."""
    from ewm_studio.acting.agent import load_agent
    from ewm_studio.acting.play import Player
    from ewm_studio.analysis.action_response import forks
    from ewm_studio.analysis.turning import turning
    from ewm_studio.models.randomness import make_generator

    agent = load_agent(model)
    actions = {"left": np.float32([-1, 0, 0]), "right": np.float32([1, 0, 0])}
    player, played = Player(agent, agent.env.as_played(), greedy=True), []
    for number in range(max(1, -(-count // 25))):
        episode = player.episode(seed + number, lambda: False)
        assert episode is not None
        played.append((seed + number, episode.replay.action))
    player.close()
    found = list(forks(agent, played, actions, -(-count // len(played)), seed))[:count]
    left, right = ((name, actions[name]) for name in ("left", "right"))
    return turning(agent.model, found, left, right, make_generator(seed))


def _until(session: Any, true: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true() and session.failure is None:
        if time.monotonic() > end:
            raise TimeoutError("the session did not begin")
        time.sleep(0.05)


def main() -> None:
    """Drive, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=model_file, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--turning", type=int, default=0, help="moments from which left and right are held")
    parser.add_argument("--seed", type=int, default=100_000)
    args = parser.parse_args()
    if args.seconds > 0:
        before = os.getloadavg()[0]
        found = drive(args.model, args.seconds, args.seed)
        print(f"{args.seconds:.0f} s, reality beside: {found['beside']}; load {before:.1f} before, ", end="")
        print(f"{os.getloadavg()[0]:.1f} after; {found['rate']:.1f} decisions/s, {found['cpu']:.2f} cores\n")
        print(f"{'ms':<28}{'count':>8}{'median':>9}{'p99':>9}{'max':>9}")
        for name, values in found["figures"].items():
            row = "".join(f"{value:>9.1f}" for value in np.percentile(values, (50, 99, 100)))
            print(f"{name:<28}{len(values):>8}{row}")
        late = found["figures"]["decision late by"]
        print(f"\ndecisions later than {LIMIT:.0f} ms: {(late > LIMIT).sum()} of {len(late)}")
    if args.turning:
        print(f"left and right: {turned(args.model, args.turning, args.seed)}")


if __name__ == "__main__":
    main()
