"""What can be acted in: environments, one or many, and whatever stands in for them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode that ended."""

    env: int
    reward: float  # unshaped sum
    length: int  # steps of the environment itself, each repeat of an action counted
    seed: int  # of its reset


@dataclass(slots=True)
class Step:
    """What one step of B environments gave. Arrays may be overwritten by the next call.

    Attributes:
        obs: (B, ...) observations; where an episode ended, the first one of the next episode.
        reward: (B,) float32, summed over the repeats of the action.
        terminated: (B,) bool.
        truncated: (B,) bool.
        final_obs: the last observation of each episode that ended, by environment.
        episodes: the episodes that ended.
    """

    obs: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    final_obs: dict[int, np.ndarray] = field(default_factory=dict)
    episodes: list[Episode] = field(default_factory=list)
