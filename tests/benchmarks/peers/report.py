"""A benchmark's result as a table in Markdown and, where it has curves, a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ewm_studio.analysis.curve import COLORS, Line, draw_curves


@dataclass
class Table:
    """Rows under columns, sentences below, and curves: a side's name with x and y, one of each run."""

    title: str
    columns: list[str]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    curves: list[tuple[str, list[float], list[float]]] = field(default_factory=list)
    axes: tuple[str, str] = ("", "")

    def add(self, *cells: str) -> None:
        """One more row."""
        self.rows.append(cells)

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [self.title, "", _row(self.columns), _row(["---"] * len(self.columns))]
        lines += [_row(row) for row in self.rows]
        return "\n".join([*lines, "", *self.notes]).rstrip() + "\n"

    def draw(self, path: Path) -> None:
        """The curves as a picture, a colour a side."""
        sides = list(dict.fromkeys(side for side, _, _ in self.curves))
        lines = [
            Line(side, np.array(x, float), np.array(y, float), COLORS[sides.index(side)]) for side, x, y in self.curves
        ]
        draw_curves(path, lines, *self.axes)

    def write(self, folder: Path, name: str) -> None:
        """`<name>.md`, and `<name>.png` where there are curves."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(self.markdown(), encoding="utf-8")
        if self.curves:
            self.draw(folder / f"{name}.png")


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
