"""What a study comes to by now: of every cell its scores, aggregates and intervals, its curves, and who beats whom.

Made of the records and of the runs' own curves; the report draws it, and so can a window.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ewm_studio.analysis.intervals import (
    Array,
    Estimate,
    band,
    estimate,
    estimate_improvement,
    iqm,
    optimality_gap,
    profile_band,
)
from ewm_studio.jobs.studies.curves import curve_of
from ewm_studio.jobs.studies.results import asked_records
from ewm_studio.jobs.studies.sameness import check_reported
from ewm_studio.settings.study import JudgeSettings
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import RunRecord, StudyFolder

POINTS = 60  # of a curve, and of a profile


@dataclass(frozen=True, eq=False)
class Band:
    """A line over x (K,) with its interval, where there are runs enough."""

    x: Array
    middle: Array
    low: Array | None
    high: Array | None
    each: list[tuple[Array, Array]] = field(default_factory=list)  # of every run, as it was


@dataclass(frozen=True, eq=False)
class CellFigures:
    """What one cell comes to.

    Attributes:
        name: of the cell.
        options: its option on each axis.
        asked: how many runs there are to be.
        failed: how many of them failed, and count as failed.
        scores: of each run that is done, by the way of playing: mean reward of its episodes (N,).
        episodes: (N, E) rewards of the way that is compared; a failed run's are all what a failure counts with.
        iqm: of that way.
        gap: how far it falls short of the target, on the scale from floor to target; None without a target.
        frames, minutes: that learning took, a mean.
        profile: share of episodes above each score.
        by_frames, by_minutes: curves of learning; None where nothing was logged.
    """

    name: str
    options: dict[str, str]
    asked: int
    failed: int
    scores: dict[str, Array]
    episodes: Array
    iqm: Estimate | None
    gap: Estimate | None
    frames: float | None
    minutes: float | None
    profile: Band | None
    by_frames: Band | None
    by_minutes: Band | None

    @property
    def done(self) -> int:
        """Runs that are finished or have failed."""
        return len(self.episodes)


@dataclass(frozen=True, eq=False)
class StudyFigures:
    """What a study comes to.

    Attributes:
        cells: in the study's order.
        better: the probability that a run of the first cell beats one of the second, paired by episode, by place.
        failure: what a failed run counts with; None where none failed.
        curve: what the curves are of.
    """

    cells: list[CellFigures]
    better: dict[tuple[int, int], Estimate]
    failure: float | None
    curve: str


def study_figures(file: StudyFile, folder: StudyFolder, workspace: Workspace) -> StudyFigures:
    """All figures of what is there by now.

    Raises:
        UserError: a record is damaged, or its run was begun with other settings than the file has now.
    """
    judge, records = file.study.judge, asked_records(file, folder)
    check_reported(file, records)
    failure = _failure(records, judge)
    names: set[str] = set()
    cells = []
    for cell in file.cells:
        own = [record for record in records if record.cell == cell.options]
        cells.append(_cell(own, judge, failure, workspace, names))
    better = {
        (i, j): estimate_improvement(
            one.episodes, other.episodes, _rng(f"{one.name} > {other.name}"), *_settings(judge)
        )
        for i, one in enumerate(cells)
        for j, other in enumerate(cells)
        if i != j and one.done and other.done
    }
    failed = any(cell.failed for cell in cells)
    return StudyFigures(cells, better, failure if failed else None, " and ".join(sorted(names)))


def _settings(judge: JudgeSettings) -> tuple[int, float]:
    return judge.resamples, judge.level


def _rng(name: str) -> np.random.Generator:
    """Draws that depend on nothing but what they are for, so that a report made again says the same."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _failure(records: Sequence[RunRecord], judge: JudgeSettings) -> float:
    """What a failed run counts with: the floor, else the worst score of all."""
    if judge.floor is not None:
        return judge.floor
    return min((reward for r in records for _, reward, _ in r.scores.get(judge.ways[0], [])), default=0.0)


def _cell(
    records: list[RunRecord], judge: JudgeSettings, failure: float, workspace: Workspace, names: set[str]
) -> CellFigures:
    """One cell's figures; `names` takes what its curves are of."""
    done, first = [record for record in records if record.done], records[0]
    rows: dict[str, Array] = {
        way: np.array([_rewards(r, way, judge, failure) for r in done]).reshape(len(done), judge.episodes)
        for way in judge.ways
    }
    episodes = rows[judge.ways[0]]
    scores: dict[str, Array] = {way: every.mean(1) for way, every in rows.items()}
    of_runs = scores[judge.ways[0]][:, None]
    trained = [r.trained for r in records if r.trained]
    frames, minutes = _curves([r for r in records if r.state == "finished"], workspace, judge, names)
    scale = None if judge.target is None else (judge.target - (judge.floor or 0.0))
    scaled = (of_runs - (judge.floor or 0.0)) / scale if scale else None
    return CellFigures(
        name=first.name,
        options=first.cell,
        asked=len(records),
        failed=sum(r.state == "failed" for r in records),
        scores=scores,
        episodes=episodes,
        iqm=estimate(iqm, of_runs, _rng(first.name), *_settings(judge)) if done else None,
        gap=estimate(optimality_gap, scaled, _rng(first.name), *_settings(judge))
        if done and scaled is not None
        else None,
        frames=_mean([t["frames"] for t in trained]),
        minutes=_mean([t["seconds"] / 60 for t in trained]),
        profile=_profile(first.name, episodes, judge) if done else None,
        by_frames=frames,
        by_minutes=minutes,
    )


def _rewards(record: RunRecord, way: str, judge: JudgeSettings, failure: float) -> list[float]:
    if record.state == "failed":
        return [failure] * judge.episodes
    return [reward for _, reward, _ in record.scores[way]]


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _profile(name: str, episodes: Array, judge: JudgeSettings) -> Band:
    low = min(float(episodes.min()), judge.floor if judge.floor is not None else np.inf)
    high = max(float(episodes.max()), judge.target if judge.target is not None else -np.inf)
    at = np.linspace(low, high, POINTS)
    return Band(at, *profile_band(episodes, at, _rng(name), *_settings(judge)))


def _curves(
    records: list[RunRecord], workspace: Workspace, judge: JudgeSettings, names: set[str]
) -> tuple[Band | None, Band | None]:
    """The curves of a cell's runs by frames and by minutes."""
    logged = [curve for record in records if (curve := curve_of(record, workspace)) is not None]
    names.update(curve.tag for curve in logged)
    if not logged:
        return None, None
    name = records[0].name
    by_frames = _curve(name, [(curve.frames, curve.value) for curve in logged], judge)
    return by_frames, _curve(name, [(curve.minutes, curve.value) for curve in logged], judge)


def _curve(name: str, runs: list[tuple[Array, Array]], judge: JudgeSettings) -> Band:
    """One curve of several runs, from where all have begun to where the first ends."""
    at = np.linspace(max(float(x[0]) for x, _ in runs), min(float(x[-1]) for x, _ in runs), POINTS)
    values = np.stack([np.interp(at, x, y) for x, y in runs])
    return Band(at, *band(values, _rng(name), *_settings(judge)), each=runs)
