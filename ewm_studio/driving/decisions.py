"""Frames driven one by one, grouped into the decisions of an agent that acts every few frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """One decision and what came of it.

    Attributes:
        obs: the observation at which it was taken, raw or prepared.
        action: what was executed from there on, as the environment takes it.
        is_first: it does not follow the decision before: an episode begins, or some between were dropped.
        reward: the sum of what its frames earned; None where that is not known.
        terminated: whether it ended the episode for good; of no meaning where the reward is not known.
    """

    obs: Any
    action: Any
    is_first: bool
    reward: float | None = None
    terminated: bool = False


OnDecision = Callable[[Decision], None]


class Decisions:
    """Tells of every group of `repeat` frames, and of the rest at an episode's end.

    The action of a group is what a reader of the recording sees: continuous ones averaged, of others the last.
    """

    def __init__(self, repeat: int, tell: OnDecision) -> None:
        self._repeat = repeat
        self._tell = tell
        self._actions: list[Any] = []
        self._reward = 0.0
        self._obs: Any = None
        self._first = True

    @property
    def due(self) -> bool:
        """Whether the next frame begins a decision."""
        return not self._actions

    def begin(self) -> None:
        """An episode begins; what was left of the one before is dropped."""
        self._actions.clear()
        self._first = True

    def frame(self, obs: Any, action: Any, reward: float, terminated: bool, truncated: bool) -> None:
        """One frame: the raw observation before it, the action executed, and what came of it."""
        if self.due:
            self._obs, self._reward = obs, 0.0
        self._actions.append(action)
        self._reward += reward
        if len(self._actions) < self._repeat and not (terminated or truncated):
            return
        merged = np.asarray(self._actions[-1])
        if merged.dtype.kind == "f":
            merged = np.mean(self._actions, axis=0).astype(merged.dtype)
        self._actions.clear()
        self._tell(Decision(self._obs, merged, self._first, self._reward, terminated))
        self._first = False
