"""What a study comes to as tables and plots, the same in the report and in the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ewm_studio.analysis.intervals import Estimate
from ewm_studio.analysis.svg import Bar, Series
from ewm_studio.formatting import count, significant
from ewm_studio.jobs.studies.figures import CellFigures, StudyFigures
from ewm_studio.settings.cells import Values, axes_of
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.settings.study_file import StudyFile

CURVE_WORDS = {
    "judged": "mean of unseen episodes, judged on the way",
    "reward/mean_100": "mean of the last 100 training episodes",
    "real/score": "mean of the judgements on the way, greedy and sampled",
}
BETTER = "The probability that a run of the row beats one of the column at the same episode; a draw counts half."
PROFILES = "Share of all episodes above each reward."
Curve = Literal["by_frames", "by_minutes", "profile"]


@dataclass(frozen=True)
class Table:
    """A table of texts; what follows a line's end stands small below.

    Attributes:
        heads: of the columns; the first names the rows.
        rows: as many texts each.
        shades: from 0 to 1 how strong a cell is, without the first column; None where there is no value.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    shades: Sequence[Sequence[float | None]] | None = None


def scores_table(file: StudyFile, figures: StudyFigures) -> Table:
    """Every cell with its runs, its scores and what learning took."""
    ways, judge = file.study.judge.ways, file.study.judge
    heads = ["", "runs", *(f"{way}, mean" for way in ways), f"IQM, {ways[0]}", f"{judge.level:.0%} interval"]
    if judge.target is not None:
        heads.append("optimality gap")
    heads += ["frames", "minutes"]
    longest = max((cell.minutes for cell in figures.cells if cell.minutes), default=0.0)
    rows = []
    for cell in figures.cells:
        row = [cell.name, f"{cell.done} of {cell.asked}" + (f"\n{cell.failed} failed" if cell.failed else "")]
        row += [significant(float(cell.scores[way].mean())) if cell.done else "–" for way in ways]
        row += [significant(cell.iqm.value) if cell.iqm else "–", _interval(cell.iqm)]
        if judge.target is not None:
            row.append(significant(cell.gap.value) if cell.gap else "–")
        row += [count(cell.frames) if cell.frames else "–", _minutes(cell.minutes, longest)]
        rows.append(row)
    return Table(heads, rows)


def _minutes(value: float | None, longest: float) -> str:
    """With as many decimals as the longest time of a column has use for."""
    return f"{value:.{2 if longest < 10 else 1}f}" if value else "–"


def _interval(found: Estimate | None) -> str:
    if found is None or found.low is None:
        return "–"
    return f"{significant(found.low)} to {significant(found.high)}"


def matrix(figures: StudyFigures) -> Table | None:
    """Two axes as a table of their own: the middle of each cell; None where there are not two."""
    axes = list(figures.cells[0].options)
    if len(axes) != 2:
        return None
    rows, columns = ([*dict.fromkeys(cell.options[axis] for cell in figures.cells)] for axis in axes)
    by_options = {tuple(cell.options.values()): cell for cell in figures.cells}
    values = [cell.iqm.value for cell in figures.cells if cell.iqm]
    low, span = min(values, default=0.0), max(values, default=0.0) - min(values, default=0.0)
    texts, shades = [], []
    for row in rows:
        cells = [by_options.get((row, column)) for column in columns]  # None of what is left out
        texts.append([row, *(_middle(cell) if cell else "" for cell in cells)])
        shades.append([(cell.iqm.value - low) / (span or 1.0) if cell and cell.iqm else None for cell in cells])
    return Table(["", *columns], texts, shades)


def _middle(cell: CellFigures) -> str:
    return f"{significant(cell.iqm.value) if cell.iqm else '–'}\n{cell.done} of {cell.asked}"


def better_table(figures: StudyFigures) -> Table | None:
    """The probability that a run of the row beats one of the column; None before two cells have runs."""
    if not figures.better:
        return None
    played = [(place, cell.name) for place, cell in enumerate(figures.cells) if cell.done]
    rows = []
    for i, name in played:
        row = [name]
        for j, _ in played:
            found = figures.better.get((i, j))
            interval = f"\n{found.low:.2f} to {found.high:.2f}" if found and found.low is not None else ""
            row.append(f"{found.value:.2f}{interval}" if found else "")
        rows.append(row)
    return Table(["", *(name for _, name in played)], rows)


def options_of(file: StudyFile) -> dict[str, dict[str, list[str]]]:
    """What varies: of each axis its options, by name, with their settings in words; a list's only axis is `cell`."""
    if file.study.cells:
        axes = {"cell": {cell.name: cell.values for cell in file.cells}}
    else:
        axes = axes_of(file.study, str(file.path))
    return {axis: {name: _in_words(values) for name, values in options.items()} for axis, options in axes.items()}


def _in_words(values: Values) -> list[str]:
    """Settings as forms show them, a part by its name alone."""
    found = []
    for section, group in values.items():
        for name, value in group.items():
            text = "default" if value is None else ("on" if value else "off") if isinstance(value, bool) else str(value)
            found.append(text if name == "name" and section in COMPONENTS else f"{section}.{name} {text}")
    return found


def bars(figures: StudyFigures, way: str) -> list[Bar]:
    """The runs of each cell, their middle and its interval."""
    found = []
    for place, cell in enumerate(figures.cells):
        if cell.iqm is not None:
            middle = cell.iqm
            found.append(Bar(cell.name, cell.scores[way].tolist(), middle.value, middle.low, middle.high, place))
    return found


def lines(figures: StudyFigures, curve: Curve) -> list[Series]:
    """A line a cell, of those that have one."""
    return [made for place, cell in enumerate(figures.cells) if (made := _series(cell, place, curve)) is not None]


def _series(cell: CellFigures, place: int, curve: Curve) -> Series | None:
    found = getattr(cell, curve)
    return found and Series(cell.name, found.x, found.middle, found.low, found.high, found.each, place)
