"""When the next step of something that goes at its own pace is due."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

KEPT = 4096  # latenesses remembered
MOST_BEHIND = 0.25  # seconds; what is later than this is not caught up with


class StepClock:
    """Steps at a steady pace on a monotonic clock.

    A step that comes late does not move those after it, so that the pace is kept on average; after a long delay the
    clock starts anew, so that nothing races to catch up.

    Attributes:
        period: seconds between two steps.
        lateness: how many seconds after its time each of the last steps came, in the order of the steps.
    """

    def __init__(self, period: float, now: Callable[[], float] = time.monotonic) -> None:
        self.period = period
        self.lateness: deque[float] = deque(maxlen=KEPT)
        self._now = now
        self._due = now()

    def restart(self) -> None:
        """The next step is due now: after a rest, or at a new pace."""
        self._due = self._now()

    @property
    def wait(self) -> float:
        """Seconds until the next step is due; zero or less where it is."""
        return self._due - self._now()

    def tick(self) -> None:
        """A step is taken."""
        late = max(0.0, -self.wait)
        self.lateness.append(late)
        self._due = self._now() + self.period if late > MOST_BEHIND else self._due + self.period
