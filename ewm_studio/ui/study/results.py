"""What is seen of a study that was begun: its runs, and below them what they come to by now."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QWidget

from ewm_studio.analysis.intervals import LEAST_RUNS
from ewm_studio.formatting import printable, significant
from ewm_studio.jobs.studies.figures import StudyFigures
from ewm_studio.jobs.studies.tables import (
    BETTER,
    CURVE_WORDS,
    PROFILES,
    Curve,
    bars,
    better_table,
    lines,
    matrix,
    scores_table,
)
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.ui.kit.widgets import column, label, row, scrolled
from ewm_studio.ui.study.key import ColorKey
from ewm_studio.ui.study.plots import IntervalsPlot, LinesPlot
from ewm_studio.ui.study.tables import Box, FiguresTable, RunGrid

_SIDE_BY_SIDE = 820  # pixels from which on two plots stand in a row
_PLOT_HEIGHT = 190
_WORDS = {"waiting": "", "failed": "failed"}


class StudyResults(QWidget):
    """The grid of runs, the tables and the plots of the report."""

    run_asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.grid = RunGrid()
        self.grid.run_asked.connect(self.run_asked)
        self.scores, self.matrix = FiguresTable("Scores of the cells"), FiguresTable("Scores, one axis by the other")
        self.better = FiguresTable("Probability that a run of the row beats one of the column")
        self.intervals = IntervalsPlot("Interquartile mean, and the points of the seeds")
        self.by_frames, self.by_minutes = LinesPlot("Score by frames"), LinesPlot("Score by minutes")
        self.profiles = LinesPlot("Share of episodes above a reward")
        self._keys = [ColorKey() for _ in range(3)]
        self._few, self._by_frames_words, self._by_minutes_words, better_words = (
            label(text, "secondary", wrap=True) for text in ("", "", "", BETTER)
        )
        self._scores_card = _card("Scores", self.matrix, self.scores)
        self._better_card = _card("Is it better?", better_words, self.better)
        self._pairs = [
            _pair(
                _card("Interquartile mean", self._few, self.intervals),
                _card("While it learned, by frames", self._by_frames_words, self.by_frames, self._keys[0]),
            ),
            _pair(
                _card("How often at least so good", label(PROFILES, "secondary"), self.profiles, self._keys[1]),
                _card("While it learned, by minutes", self._by_minutes_words, self.by_minutes, self._keys[2]),
            ),
        ]
        inside = QWidget()
        inside.setObjectName("scrolled")
        body = column(spacing=10, margins=(0, 0, 10, 4))
        body.addWidget(_card("Runs", self.grid))
        body.addWidget(self._scores_card)
        body.addLayout(self._pairs[0][0])
        body.addWidget(self._better_card)
        body.addLayout(self._pairs[1][0])
        body.addStretch(1)
        inside.setLayout(body)
        outer = column(spacing=0)
        self._scroll = scrolled(inside, focus=False)
        outer.addWidget(self._scroll, 1)
        self.setLayout(outer)
        self.clear()

    def clear(self) -> None:
        """Show nothing of the study before."""
        self._scroll.verticalScrollBar().setValue(0)
        for part in self._cards():
            part.hide()

    def show_runs(self, file: StudyFile, standing: dict[str, Any]) -> None:
        """Show how every run stands."""
        rows = standing["runs"]
        scores = [row["score"] for row in rows if row["score"] is not None]
        low, span = min(scores, default=0.0), max(scores, default=0.0) - min(scores, default=0.0)
        by_run = {(row["cell"], row["seed"]): _box(row, low, span) for row in rows}
        cells, seeds = [cell.name for cell in file.cells], file.study.seeds.reported
        self.grid.runs.show_boxes(cells, seeds, [[by_run[(cell, seed)] for seed in seeds] for cell in cells])

    def show_figures(self, file: StudyFile, figures: StudyFigures) -> None:
        """Show what it comes to."""
        judge = file.study.judge
        self.scores.show_table(scores_table(file, figures))
        two = matrix(figures)
        self.matrix.setVisible(two is not None)
        if two is not None:
            self.matrix.show_table(two)
        limits = [value for value in (judge.floor, judge.target) if value is not None]
        drawn = bars(figures, judge.ways[0])
        self.intervals.show_bars(drawn, limits)
        few = any(0 < cell.done < LEAST_RUNS for cell in figures.cells)
        words = f"{judge.ways[0]}, points are seeds"
        self._few.setText(
            f"{words}; {LEAST_RUNS} or more have an interval" if few else f"{words}, bars {judge.level:.0%}"
        )
        better = better_table(figures)
        if better is not None:
            self.better.show_table(better)
        what = CURVE_WORDS.get(figures.curve, figures.curve)
        words = f"{what}; thin lines are seeds" if what else "no curve was logged"
        for said in (self._by_frames_words, self._by_minutes_words):
            said.setText(words)
        plots: tuple[tuple[LinesPlot, Curve, str], ...] = (
            (self.by_frames, "by_frames", "frames"),
            (self.profiles, "profile", "reward"),
            (self.by_minutes, "by_minutes", "min"),
        )
        for (plot, curve, unit), key in zip(plots, self._keys, strict=True):
            series = lines(figures, curve)
            plot.show_series(series, unit)
            key.show_series(series)
        done = any(cell.done for cell in figures.cells)
        for part in self._cards():
            part.setVisible(done and (part is not self._better_card or better is not None))

    def _cards(self) -> list[QWidget]:
        """The cards that show figures."""
        return [self._scores_card, self._better_card, *(card for _, *cards in self._pairs for card in cards)]

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Two plots side by side where there is room."""
        super().resizeEvent(event)
        wide = self.width() >= _SIDE_BY_SIDE
        direction = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        for pair, *_ in self._pairs:
            if pair.direction() != direction:
                pair.setDirection(direction)


def _pair(left: QWidget, right: QWidget) -> tuple[QBoxLayout, QWidget, QWidget]:
    made = row(spacing=10)
    for card in (left, right):
        made.addWidget(card, 1)
    return made, left, right


def _card(title: str, *inside: QWidget) -> QFrame:
    card = QFrame()
    card.setProperty("role", "plate")
    body = column(label(title, "heading"), spacing=6, margins=(12, 10, 12, 12))
    for part in inside:
        plot = isinstance(part, IntervalsPlot | LinesPlot)
        body.addWidget(part, int(plot))
        if plot:
            part.setMinimumHeight(_PLOT_HEIGHT)
    if not any(isinstance(part, IntervalsPlot | LinesPlot) for part in inside):
        body.addStretch(1)
    card.setLayout(body)
    return card


def _box(row: dict[str, Any], low: float, span: float) -> Box:
    state, score = row["state"], row["score"]
    share = float(row["share"])
    if state == "finished" and score is not None:
        text = significant(score)
    elif state == "running":
        text = printable(row["doing"]) or (f"{share:.0%}" if share > 0 else "starts")
    elif state == "waiting" and row["run"]:
        text = "stopped"
    else:
        text = _WORDS.get(state, state)
    facts = [f"{row['cell']}, seed {row['seed']}", f"{state}{f', {text}' if state == 'finished' else ''}"]
    facts += row["failures"][-1:]
    if row["run"]:
        facts.append(f"run {row['run']}: click to see it")
    strength = (score - low) / span if score is not None and span else 0.0
    return Box(state, share, text, strength, row["run"], "\n".join(facts))
