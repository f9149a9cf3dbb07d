"""How long a study has to go: runs of one cell take about as long as each other, those of different cells do not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

LEAST_SHARE = 0.05  # of a run's work, before its pace says anything


@dataclass
class _Pace:
    """How far a run came since it was first heard of; what it had behind it then took none of this time."""

    cell: str
    first: float
    began: float
    share: float
    now: float

    @property
    def gained(self) -> float:
        return self.share - self.first

    @property
    def whole(self) -> float | None:
        """Seconds that all of the run takes at this pace; None before that can be said."""
        return (self.now - self.began) / self.gained if self.gained >= LEAST_SHARE else None


class TimeLeft:
    """Learns from every word on how far a run is, and from what is known of runs that ended before."""

    def __init__(self) -> None:
        self._paces: dict[str, _Pace] = {}  # by the run's key
        self._known: dict[str, list[float]] = {}  # seconds of whole runs, by cell

    @property
    def gained(self) -> float:
        """Runs' worth of work that was seen done."""
        return sum(pace.gained for pace in self._paces.values())

    def known(self, cell: str, seconds: float) -> None:
        """A run of this cell took so long."""
        self._known.setdefault(cell, []).append(seconds)

    def moved(self, key: str, cell: str, share: float, now: float) -> None:
        """Run `key` has come to this share of its work by now, in seconds of any clock."""
        pace = self._paces.setdefault(key, _Pace(cell, share, now, share, now))
        pace.share, pace.now = share, now

    def left(self, ahead: Iterable[tuple[str, str, float]], slots: int) -> float | None:
        """Seconds until all are done.

        Args:
            ahead: what is not done: key, cell and the share that it has come to.
            slots: how many go on side by side.

        Returns:
            None as long as no run has come far enough to say anything.
        """
        cells = {cell: list(seconds) for cell, seconds in self._known.items()}
        own: dict[str, float] = {}
        for key, pace in self._paces.items():
            if (whole := pace.whole) is not None:
                cells.setdefault(pace.cell, []).append(whole)
                own[key] = whole
        means = {cell: fmean(seconds) for cell, seconds in cells.items()}
        others = fmean(means.values()) if means else None  # of a cell of which nothing is known
        each: list[float] = []
        for key, cell, share in ahead:
            whole = own.get(key, means.get(cell, others))
            if whole is None:
                return None
            each.append((1.0 - share) * whole)
        return max(sum(each) / slots, max(each)) if each else 0.0
