"""What the card of a model that was learned in dreams tells of how: dream against reality, by frames and by minutes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ewm_studio.workspace import Run
from ewm_studio.workspace.run import Points

SCORES = {"greedy": "real/greedy", "sampled": "real/sampled"}
WORTHS = {"dreamt": "dream/worth", "real": "dream/real_worth"}


def judgements(run: Run, repeat: int) -> list[dict[str, Any]]:
    """The judgements for real of a run in dreams, oldest first; none of a run that was not judged.

    Args:
        run: what was trained.
        repeat: frames of a decision.

    Returns:
        For each `env_steps` (decisions acted), `frames`, `judging_frames` (what was played to judge so far), `seconds`
        of the clock, `cpu_seconds`, the scores `greedy` and `sampled`, and what a decision was worth, `dreamt` and
        `real`. None where it is not known, or nothing was dreamt since the judgement before.
    """
    scores = {name: run.metrics(tag) for name, tag in SCORES.items()}
    judged, cpu = run.metrics("real/steps"), run.metrics("speed/cpu_seconds")
    worths = {name: run.metrics(tag) for name, tag in WORTHS.items()}
    rows, before = [], -1
    for at, step in enumerate(scores["greedy"].step):
        played = _latest(judged, int(step))
        rows.append(
            {
                "env_steps": int(step),
                "frames": int(step) * repeat,
                "judging_frames": None if played is None else int(played) * repeat,
                "seconds": round(float(scores["greedy"].seconds[at]), 1),
                "cpu_seconds": _latest(cpu, int(step)),
                **{name: round(float(points.value[at]), 1) for name, points in scores.items()},
                **{name: _latest(points, int(step), before) for name, points in worths.items()},
            }
        )
        before = int(step)
    return rows


def _latest(points: Points, step: int, after: int = -1) -> float | None:
    """The last value until a step, if it is of a step `after` another."""
    found = int(np.searchsorted(points.step, step, side="right"))
    if not found or points.step[found - 1] <= after:
        return None
    return round(float(points.value[found - 1]), 3)


def dreams_markdown(rows: list[dict[str, Any]]) -> list[str]:
    """Judgements as a table."""
    lines = [
        "## Learned in dreams",
        "Judged for real on the way, on episodes that were not acted in; beside it what a decision was worth in dreams "
        "and for real. The frames that judging took come on top of those acted.",
        "",
        "| frames | of judging | minutes | CPU minutes | greedy | sampled | worth dreamt | worth for real |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cpu = row["cpu_seconds"]
        cells = [
            f"{row['frames']:,}",
            _told(row["judging_frames"], ","),
            f"{row['seconds'] / 60:.1f}",
            _told(None if cpu is None else cpu / 60, ".1f"),
            f"{row['greedy']:.1f}",
            f"{row['sampled']:.1f}",
            _told(row["dreamt"], ".3g"),
            _told(row["real"], ".3g"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _told(value: float | None, shape: str) -> str:
    return "" if value is None else format(value, shape)
