"""A kept evaluation looked into: how its returns and its actions are spread, and which episodes were worst."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

import numpy as np

from ewm_studio.envs.factory import NAMED_ACTIONS
from ewm_studio.errors import UserError
from ewm_studio.workspace.replays import Evaluation, Replay, load_replay, replay_paths

WORST = 6  # episodes that are looked at more closely
BINS = 24  # of a histogram of numbers


@dataclass(frozen=True)
class Histogram:
    """How often values fell between edges, or how often each of some names was meant."""

    title: str
    counts: np.ndarray  # (N,)
    edges: np.ndarray  # (N+1,); of names 0 to N
    names: tuple[str, ...] = ()

    def describe(self, number: int) -> str:
        """One of the bars, in words."""
        if self.names:
            return self.names[number]
        return f"{self.edges[number]:.4g} to {self.edges[number + 1]:.4g}"


@dataclass(frozen=True)
class Evaluated:
    """What there is to see of an evaluation."""

    env: str
    rewards: np.ndarray  # (E,)
    returns: Histogram
    actions: tuple[Histogram, ...]
    worst: tuple[Replay, ...]  # the least reward first


def look_into(evaluation: Evaluation) -> Evaluated:
    """Read an evaluation's episodes.

    Raises:
        UserError: none of them can be read.
    """
    replays: list[Replay] = []
    for path in replay_paths(evaluation.folder):
        with contextlib.suppress(UserError):
            replays.append(load_replay(path))
    if not replays:
        raise UserError(f"{evaluation.folder}: none of its episodes can be read")
    rewards = np.array([replay.reward.sum() for replay in replays])
    worst = tuple(replays[number] for number in np.argsort(rewards, kind="stable")[:WORST])
    actions = np.concatenate([replay.action for replay in replays])
    return Evaluated(evaluation.env_id, rewards, spread_of(rewards, "Returns"), spreads(actions, replays[0]), worst)


def spread_of(values: np.ndarray, title: str, bins: int = BINS) -> Histogram:
    """A histogram of numbers (N,); one bar where all are the same."""
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-9):
        return Histogram(title, np.array([len(values)]), np.array([low - 0.5, high + 0.5]))
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    return Histogram(title, counts, edges)


def spreads(action: np.ndarray, replay: Replay) -> tuple[Histogram, ...]:
    """How often each action was taken: of numbered ones a bar each, of others a histogram for every number."""
    names = _named(replay, action)
    if np.issubdtype(action.dtype, np.integer) and action.ndim == 1:
        count = max(len(names), int(action.max()) + 1)
        titles = tuple(names[n] if n < len(names) else str(n) for n in range(count))
        return (Histogram("Actions", np.bincount(action, minlength=count), np.arange(count + 1.0), titles),)
    flat = action.reshape(len(action), -1)
    width = min(flat.shape[1], 8)
    return tuple(
        spread_of(flat[:, n].astype(float), names[n] if n < len(names) else f"Action {n + 1}") for n in range(width)
    )


def _named(replay: Replay, action: np.ndarray) -> list[str]:
    """Names of the actions, as far as the environment's name tells them."""
    name = re.sub(r"-v\d+$", "", replay.env.id.rpartition(":")[2])
    if name == "CarRacing" and action.shape[1:] == (3,):
        return ["Steer", "Gas", "Brake"]
    known = NAMED_ACTIONS.get(name, "") if np.issubdtype(action.dtype, np.integer) else ""
    return [word.strip() for word in known.split(",")] if known else []
