"""How long a study has to go: runs of one cell take about as long as each other, those of different cells do not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

LEAST_SHARE = 0.05  # of a run's work, before its pace says anything


@dataclass
class _Pace:
    """How far a run came since it was first heard of; what it had behind it then took none of this time.

    What goes before its share moves at all, its beginning and warm-up, says nothing of the pace after that.
    """

    cell: str
    first: float
    began: float
    share: float
    now: float
    moved: tuple[float, float] | None = None  # the first other share, and when

    def move(self, share: float, now: float) -> None:
        """It has come to this share by now."""
        if self.moved is None and share > self.first:
            self.moved = share, now
        self.share, self.now = share, now

    @property
    def gained(self) -> float:
        return self.share - self.first

    @property
    def pace(self) -> float | None:
        """Seconds for all of a run once it moves; None before that can be said."""
        if self.moved is None:
            return None
        share, at = self.moved
        if self.share - share >= LEAST_SHARE:
            return (self.now - at) / (self.share - share)
        one_leap = share - self.first >= LEAST_SHARE
        return (self.now - self.began) / self.gained if one_leap and self.gained > 0 else None

    @property
    def whole(self) -> float | None:
        """Seconds that all of the run takes, with its beginning; None before that can be said."""
        if self.pace is None or self.moved is None:
            return None
        share, at = self.moved
        return max(0.0, at - self.began - (share - self.first) * self.pace) + self.pace


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
        self._paces.setdefault(key, _Pace(cell, share, now, share, now)).move(share, now)

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
            if (whole := pace.whole) is not None and pace.pace is not None:
                cells.setdefault(pace.cell, []).append(whole)
                own[key] = pace.pace
        means = {cell: fmean(seconds) for cell, seconds in cells.items()}
        others = fmean(means.values()) if means else None  # of a cell of which nothing is known
        each: list[float] = []
        for key, cell, share in ahead:
            whole = own.get(key, means.get(cell, others))
            if whole is None:
                return None
            each.append((1.0 - share) * whole)
        return max(sum(each) / slots, max(each)) if each else 0.0
