"""Decisions as they are driven, on their way to a job that learns from them. Neither torch nor Qt is imported."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

import numpy as np

from ewm_studio.driving.decisions import Decision

MOST_WAITING = 256  # decisions; pictures of 64 pixels a side are 3 MB then


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

    def on_decision(self, decision: Decision) -> None:
        """Take in a decision, its observation prepared, once it is over; both arrays are copied."""
        self.put(replace(decision, obs=np.array(decision.obs), action=np.array(decision.action)))

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
