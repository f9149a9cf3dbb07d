"""Decisions as they are driven, on their way to a job that learns from them. Neither torch nor Qt is imported."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

MOST_WAITING = 256  # decisions; pictures of 64 pixels a side are 3 MB then


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """One decision: what was observed, prepared, and the action executed from there on."""

    obs: np.ndarray  # (C, H, W) uint8 or (D,) float32
    action: np.ndarray  # the environment's
    is_first: bool  # it does not follow the decision before: an episode starts, or some between were dropped


class LiveFeed:
    """A queue that never keeps the driver waiting.

    When more wait than there is room for, the oldest are dropped and the first that is left counts as a start, so
    that no transition is learned that never was.
    """

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._waiting: deque[Decision] = deque()
        self._most = most
        self._filled = threading.Condition()
        self.dropped = 0  # decisions so far

    def on_decision(self, obs: np.ndarray, action: Any, is_first: bool) -> None:
        """Take in a decision as it is made; both arrays are copied."""
        self.put(Decision(np.array(obs), np.array(action), is_first))

    def put(self, decision: Decision) -> None:
        """Take in a decision; returns at once."""
        with self._filled:
            self._waiting.append(decision)
            if len(self._waiting) > self._most:
                self._waiting.popleft()
                self._waiting[0] = replace(self._waiting[0], is_first=True)
                self.dropped += 1
            self._filled.notify()

    def take(self, seconds: float) -> list[Decision]:
        """All that wait, in order; where none does, whatever comes within some seconds."""
        with self._filled:
            if not self._waiting and seconds > 0:
                self._filled.wait(seconds)
            taken = list(self._waiting)
            self._waiting.clear()
            return taken
