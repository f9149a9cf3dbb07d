"""Speed and time left of a stage, measured over its recent past so that both follow a change of pace."""

from __future__ import annotations

import time
from collections import deque

from ewm_studio.events import Progress

WINDOW = 15.0  # seconds of the past that count


class Meter:
    """Turns counts into `Progress` events."""

    def __init__(self, stage: str, total: int | None, unit: str, done: int = 0, window: float = WINDOW) -> None:
        """Count a stage; `window` is the seconds of the past that count, more where the pace is uneven."""
        self.stage, self.total, self.unit, self.window = stage, total, unit, window
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), done)])

    def at(self, done: int, ahead: float | None = None) -> Progress:
        """The progress event for this count.

        Args:
            done: so far.
            ahead: what is left in units of the present pace, where some of it will go faster or slower.
        """
        now = time.monotonic()
        self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[1][0] > self.window:
            self._marks.popleft()
        then, before = self._marks[0]
        speed = (done - before) / max(now - then, 1e-9)
        if ahead is None and self.total is not None:
            ahead = self.total - done
        left = max(ahead, 0) / speed if ahead is not None and speed > 0 else None
        return Progress(self.stage, done, self.total, self.unit, speed, left)
