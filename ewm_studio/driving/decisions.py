"""Frames driven one by one, grouped into the decisions of an agent that acts every few frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# (raw observation at which it was taken, the action executed, whether it is an episode's first)
Taken = Callable[[Any, Any, bool], None]


class Decisions:
    """Tells of every group of `repeat` frames, and of the rest at an episode's end.

    The action of a group is what a reader of the recording sees: continuous ones averaged, of others the last.
    """

    def __init__(self, repeat: int, taken: Taken) -> None:
        self._repeat = repeat
        self._taken = taken
        self._actions: list[Any] = []
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

    def frame(self, obs: Any, action: Any, over: bool) -> None:
        """One frame: the raw observation before it, the action executed, whether the episode ended with it."""
        if self.due:
            self._obs = obs
        self._actions.append(action)
        if len(self._actions) < self._repeat and not over:
            return
        merged = np.asarray(self._actions[-1])
        if merged.dtype.kind == "f":
            merged = np.mean(self._actions, axis=0).astype(merged.dtype)
        self._actions.clear()
        self._taken(self._obs, merged, self._first)
        self._first = False
