"""The curve of a study's run: from what the run logged, or from what was kept of it when its study was shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ewm_studio.analysis.intervals import Array
from ewm_studio.errors import UserError
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.studies import RunRecord

TAGS = ("real/score", "reward/mean_100")  # what a run's curve is, the first that it has logged
JUDGED = "judged"  # the curve of who was judged on the way
MOST_POINTS = 200  # that are kept of one


@dataclass(frozen=True, eq=False)
class RunCurve:
    """How one run learned.

    Attributes:
        tag: what the values are.
        frames, minutes: that learning had taken by then (K,).
        value: (K,).
    """

    tag: str
    frames: Array
    minutes: Array
    value: Array

    def kept(self) -> dict[str, Any]:
        """It as plain values, with no more points than are worth keeping."""
        count = len(self.value)
        some = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))
        columns = {"frames": self.frames, "minutes": self.minutes, "value": self.value}
        return {"tag": self.tag} | {name: [float(f"{v:.9g}") for v in found[some]] for name, found in columns.items()}


def curve_of(record: RunRecord, workspace: Workspace) -> RunCurve | None:
    """The curve of a run that is done, of its moments where it was judged on its way; None where nothing is left."""
    if record.moments and record.scores:
        return _judged(record)
    try:
        run = workspace.run(record.run)
    except UserError:  # deleted since, or it is another's: what was kept of it stands
        return _kept(record.curve)
    for tag in TAGS:
        points = run.metrics(tag)
        known = np.isfinite(points.value)
        if known.sum() > 1:
            before = record.trained.get("frames_before", 0)
            repeat = (record.trained["frames"] - before) / max(record.trained["steps"], 1)
            frames = before + points.step[known] * repeat
            return RunCurve(tag, frames, points.seconds[known] / 60, points.value[known])
    return None


def _judged(record: RunRecord) -> RunCurve:
    """Of its moments, and of the same episodes at the end."""
    _, frames, minutes, value = zip(*record.moments, strict=True)
    played, trained = next(iter(record.scores.values())), record.trained
    last = np.mean([reward for _, reward, _ in played[: record.asked["judge.moment_episodes"]]])
    columns = ((*frames, trained["frames"]), (*minutes, trained["seconds"] / 60), (*value, last))
    return RunCurve(JUDGED, *(np.array(column, np.float64) for column in columns))


def _kept(curve: dict[str, Any]) -> RunCurve | None:
    try:
        columns = [np.array(curve[name], np.float64) for name in ("frames", "minutes", "value")]
    except (KeyError, TypeError, ValueError):
        return None
    whole = columns[0].ndim == 1 and len({column.shape for column in columns}) == 1 and len(columns[0]) > 1
    return RunCurve(str(curve.get("tag", "")), *columns) if whole else None
