"""What is said of a run in one number. Whoever shows one takes it from here, so that no two places disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ewm_studio import formatting as format
from ewm_studio.analysis.history import LENGTH, REWARD, RunHistory
from ewm_studio.events import MEAN_OF
from ewm_studio.workspace.replays import ReplayInfo

LAST_FEW = 10  # episodes that the first number of all is taken over: what the agent earns now
MEAN_REWARD, MEAN_LENGTH = "reward/mean_100", "reward/length_mean_100"
BEST, EPISODES, STEPS = "best_episode", "episodes", "steps"  # besides the tags of what is logged
_OVER = {REWARD: (REWARD, LAST_FEW), LENGTH: (LENGTH, LAST_FEW)} | {
    MEAN_REWARD: (REWARD, MEAN_OF),
    MEAN_LENGTH: (LENGTH, MEAN_OF),
}


def figure(history: RunHistory, tag: str) -> float | None:
    """The number that a run stands at; None before the first.

    Of episodes it is the mean of the last few, whose number `taken_over` says; of everything else that is logged, the
    latest row as it is.
    """
    if tag in _OVER:
        series, count = _OVER[tag]
        values = history[series].value[-count:]
        return float(np.mean(values)) if len(values) else history.latest(tag)
    rewards = history[REWARD].value
    if tag == BEST:
        return float(rewards.max()) if len(rewards) else None
    if tag == EPISODES:
        return float(len(rewards)) if len(rewards) else None
    if tag == STEPS:
        return history.end("step") or None
    return history.latest(tag)


def taken_over(history: RunHistory, tag: str) -> str:
    """What `figure` is the mean of: "last 10 episodes"; empty where it is one row as it was logged."""
    if tag not in _OVER:
        return ""
    series, count = _OVER[tag]
    return episodes(min(count, len(history[series])) or count)


def episodes(count: int) -> str:
    """So many of the latest, in words."""
    return f"last {format.count(count)} episodes" if count > 1 else "last episode" if count else ""


def spread(rewards: list[float]) -> dict[str, float | None]:
    """Mean, standard deviation, median, least and most of some scores; None where there are none."""
    if not rewards:
        return dict.fromkeys(("mean", "std", "median", "min", "max"))
    scores = np.asarray(rewards)
    return {
        "mean": float(scores.mean()),
        "std": float(scores.std()),
        "median": float(np.median(scores)),
        "min": float(scores.min()),
        "max": float(scores.max()),
    }


def evaluation_result(episodes: Sequence[ReplayInfo]) -> dict[str, Any]:
    """What an evaluation came to by its kept episodes, as its job told it when it ended."""
    result: dict[str, Any] = {"episodes": list(episodes), **spread([episode.reward for episode in episodes])}
    laps = [episode.lap_finished for episode in episodes]
    if laps and None not in laps:
        result["laps_finished"] = laps.count(True) / len(laps)
    return result
