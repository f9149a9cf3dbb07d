"""What a run has logged so far, as growing columns that plots read without copying."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ewm_studio.analysis.about import About, about
from ewm_studio.events import EpisodeFinished, Metrics
from ewm_studio.workspace import Run

Axis = Literal["step", "epoch", "seconds"]
REWARD, LENGTH = "episode/reward", "episode/length"
_COLUMNS = {"step": 0, "epoch": 1, "seconds": 2}


class Series:
    """Rows of (step, epoch, seconds, value) that grow at the end; room is doubled when it runs out."""

    def __init__(self) -> None:
        self._rows = np.empty((4, 256))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, step: float, epoch: float, seconds: float, value: float) -> None:
        """Add one row."""
        if self._count == self._rows.shape[1]:
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)], axis=1)
        self._rows[:, self._count] = (step, epoch, seconds, value)
        if self._count:  # positions never fall, as plots need them
            last = self._rows[:3, self._count - 1]
            np.maximum(self._rows[:3, self._count], last, out=self._rows[:3, self._count])
        self._count += 1

    def fill(self, step: np.ndarray, epoch: np.ndarray, seconds: np.ndarray, value: np.ndarray) -> None:
        """Replace all rows by columns (N,)."""
        self._rows = np.empty((4, max(256, len(step))))
        self._count = len(step)
        for row, column in zip(self._rows, (step, epoch, seconds, value), strict=True):
            row[: self._count] = column
        positions = self._rows[:3, : self._count]
        np.maximum.accumulate(positions, axis=1, out=positions)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self._rows.nbytes

    def x(self, axis: Axis) -> np.ndarray:
        """Positions (N,), never falling, as plots need them."""
        return self._rows[_COLUMNS[axis], : self._count]

    @property
    def value(self) -> np.ndarray:
        """Values (N,)."""
        return self._rows[3, : self._count]


def trailing_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over the last `window` of values (N,) at every place, NaN counting as nothing."""
    if window <= 1 or len(values) == 0:
        return values
    finite = np.isfinite(values)
    if finite.all():  # the usual case, at a third of the cost
        sums = np.cumsum(values)
        mean = sums / np.arange(1, len(values) + 1) if len(values) <= window else np.empty(len(values))
        if len(values) > window:
            mean[:window] = sums[:window] / np.arange(1, window + 1)
            np.subtract(sums[window:], sums[:-window], out=mean[window:])
            mean[window:] /= window
        return mean
    sums = np.cumsum(np.where(finite, values, 0.0))
    counts = np.cumsum(finite).astype(float)
    sums[window:] = sums[window:] - sums[:-window].copy()
    counts[window:] = counts[window:] - counts[:-window].copy()
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)


class RunHistory:
    """All series of one run, by tag; episodes stand under `episode/reward` and `episode/length`."""

    def __init__(self, name: str = "", job: str = "train") -> None:
        self.name = name
        self.job = job
        self.about: About | None = None  # of which settings it is, where that is known
        self.series: dict[str, Series] = {}
        self._epoch = 0
        self._seconds = 0.0

    def __getitem__(self, tag: str) -> Series:
        return self.series.setdefault(tag, Series())

    @property
    def tags(self) -> list[str]:
        """Tags that have rows, in alphabetical order."""
        return sorted(tag for tag, series in self.series.items() if len(series))

    def end(self, axis: Axis) -> float:
        """Where the run has got to on an axis, by whichever rows are newest."""
        rows = (s for s in self.series.values() if len(s))
        return max((float(s.x(axis)[-1]) for s in rows), default=0.0)

    def latest(self, tag: str) -> float | None:
        """The last value of a tag."""
        series = self.series.get(tag)
        return float(series.value[-1]) if series is not None and len(series) else None

    def add_episode(self, event: EpisodeFinished) -> tuple[str, ...]:
        """Take in an episode; gives the tags that changed. Its time is that of the last row of metrics."""
        at = (event.step, self._epoch + 1, self._seconds)
        self[REWARD].append(*at, event.reward)
        self[LENGTH].append(*at, event.length)
        return REWARD, LENGTH

    def add_metrics(self, event: Metrics) -> tuple[str, ...]:
        """Take in a row of metrics; gives the tags that changed."""
        self._epoch, self._seconds = event.epoch, event.seconds
        for tag, value in event.values.items():
            self[tag].append(event.step, event.epoch, event.seconds, value)
        return tuple(event.values)

    @classmethod
    def load(cls, run: Run, job: str = "train", until: int | None = None) -> RunHistory:
        """The history of a run as its workspace holds it, whoever is writing it; `until` leaves out later steps."""
        history = cls(run.name, job)
        history.about = about(run)
        epochs = np.empty((2, 0))
        for tag in run.tags():
            points = run.metrics(tag)
            kept = slice(None) if until is None else points.step <= until
            history[tag].fill(points.step[kept], points.epoch[kept], points.seconds[kept], points.value[kept])
            if len(points.step) > epochs.shape[1]:
                epochs = np.stack([points.step, points.epoch])
        episodes = run.episodes()
        if len(episodes.step):
            steps, epoch = epochs if epochs.shape[1] else (episodes.step, np.zeros(len(episodes.step)))
            at = np.interp(episodes.step, steps, epoch)
            kept = slice(None) if until is None else episodes.step <= until
            where = (episodes.step[kept], at[kept], episodes.seconds[kept])
            history[REWARD].fill(*where, episodes.reward[kept])
            history[LENGTH].fill(*where, episodes.length[kept])
        return history
