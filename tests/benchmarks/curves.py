"""How a figure of a trial went: by steps, minutes and seconds of the processor, and where it first passed a mark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ewm_studio.analysis.curve import Line, draw_curves
from ewm_studio.workspace import Workspace
from tests.benchmarks.trials import Found

TRAINING, GREEDY, SAMPLED = "reward/mean_100", "real/greedy", "real/sampled"


@dataclass(frozen=True)
class Point:
    """Where a run stood: `steps` that it acted, `judged` that it was judged by before, its time, and the figure."""

    steps: int
    judged: int
    minutes: float
    cpu_seconds: float
    value: float

    def told(self, repeat: int = 1, unit: str = "steps") -> str:
        """In words; `repeat` units a step."""
        judged = f" (+ {self.judged * repeat:,} to judge)" if self.judged else ""
        return f"{self.steps * repeat:,} {unit}{judged}, {self.minutes:.1f} min, {self.cpu_seconds:,.0f} CPU s"


def curve(workspace: Workspace, found: Found, tag: str) -> list[Point]:
    """A tag's points in a trial's run; none where it was never logged."""
    run = workspace.run(found.run)
    points, judged = run.metrics(tag), run.metrics("real/steps")
    spent = np.array(found.values["spent"], float).reshape(-1, 2)
    seconds = np.interp(points.step, [0, *spent[:, 0]], [0, *spent[:, 1]])
    # A figure was learned with what was judged before it, not with its own judgement.
    before = np.searchsorted(judged.step, points.step)
    totals = np.concatenate([[0], judged.value])
    return [
        Point(int(step), int(totals[earlier]), float(clock) / 60, float(cpu), float(value))
        for step, earlier, clock, cpu, value in zip(
            points.step, before, points.seconds, seconds, points.value, strict=True
        )
    ]


def first(points: list[Point], mark: float) -> Point | None:
    """The first that reached a mark."""
    return next((point for point in points if point.value >= mark), None)


def draw_panels(path: Path, panels: list[tuple[list[Line], str, str]]) -> None:
    """Several pictures of curves, each with the titles of its axes, one below the other in one PNG file."""
    pictures = []
    for number, (lines, x_title, y_title) in enumerate(panels):
        part = path.with_name(f"{path.stem}-{number}.png")
        draw_curves(part, lines, x_title, y_title)
        with Image.open(part) as picture:
            pictures.append(picture.convert("RGB"))
        part.unlink()
    whole = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    whole.save(path, optimize=True)
