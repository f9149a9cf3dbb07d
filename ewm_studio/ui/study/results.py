"""What is seen of a study that was begun: its runs, and below them what they come to by now."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QWidget

from ewm_studio.analysis.intervals import LEAST_RUNS
from ewm_studio.formatting import significant
from ewm_studio.jobs.studies.figures import StudyFigures
from ewm_studio.jobs.studies.tables import CURVE_WORDS, bars, better_table, lines, matrix, scores_table
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.ui.kit.widgets import Segments, column, label, row, scrolled
from ewm_studio.ui.study.key import ColorKey
from ewm_studio.ui.study.plots import IntervalsPlot, LinesPlot
from ewm_studio.ui.study.tables import Box, FiguresTable, RunGrid

_SIDE_BY_SIDE = 820  # pixels from which on two plots stand in a row
_PLOT_HEIGHT = 236
_WORDS = {"waiting": "", "running": "starts", "failed": "failed"}


class StudyResults(QWidget):
    """The grid of runs, the tables and the plots of the report."""

    run_asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._file: StudyFile | None = None
        self._figures: StudyFigures | None = None
        self.grid = RunGrid()
        self.grid.run_asked.connect(self.run_asked)
        self.scores, self.matrix = FiguresTable("Scores of the cells"), FiguresTable("Scores, one axis by the other")
        self.better = FiguresTable("Probability that a run of the row beats one of the column")
        self.intervals = IntervalsPlot("Interquartile mean, and the points of the seeds")
        self.curves, self.profiles = LinesPlot("Score while it learned"), LinesPlot("Share of episodes above a reward")
        self.axis = Segments((("by_frames", "By frames"), ("by_minutes", "By minutes")), "Curves", tight=True)
        self.axis.chosen.connect(lambda _: self._show_curves())
        self.curve_key, self.profile_key = ColorKey(), ColorKey()
        self._few = label("", "secondary", wrap=True)
        self._curve_words = label("", "secondary", wrap=True)
        self._scores_card = _card("Scores", self.scores, self.matrix)
        self._better_card = _card(
            "Is it better?",
            label(
                "The probability that a run of the row beats one of the column, episode by episode.",
                "secondary",
                wrap=True,
            ),
            self.better,
        )
        for plot in (self.intervals, self.curves, self.profiles):
            plot.setMinimumHeight(150)
        self._pairs = [
            self._pair(
                _card("Interquartile mean", self._few, self.intervals),
                _card("While it learned", self._curve_words, self.curves, self.curve_key, beside=self.axis),
            ),
            self._pair(_card("How often at least so good", self.profiles, self.profile_key), self._better_card),
        ]
        inside = QWidget()
        inside.setObjectName("scrolled")
        body = column(spacing=10, margins=(0, 0, 10, 4))
        body.addWidget(_card("Runs", self.grid))
        body.addWidget(self._scores_card)
        for pair in self._pairs:
            body.addLayout(pair[0])
        body.addStretch(1)
        inside.setLayout(body)
        self._inside = inside
        outer = column(spacing=0)
        self._scroll = scrolled(inside, focus=False)
        outer.addWidget(self._scroll, 1)
        self.setLayout(outer)
        self.clear()

    def clear(self) -> None:
        """Show nothing of the study before."""
        self._file = self._figures = None
        self._scroll.verticalScrollBar().setValue(0)
        for part in (self._scores_card, *self._cards()):
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
        self._file, self._figures = file, figures
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
        profiles = lines(figures, "profile")
        self.profiles.show_series(profiles, "reward")
        self.profile_key.show_series(profiles)
        self._show_curves()
        done = any(cell.done for cell in figures.cells)
        for part in (self._scores_card, *self._cards()):
            part.setVisible(done and (part is not self._better_card or better is not None))

    def _show_curves(self) -> None:
        if self._figures is None:
            return
        by = self.axis.value()
        found = lines(self._figures, "by_minutes" if by == "by_minutes" else "by_frames")
        self.curves.show_series(found, "min" if by == "by_minutes" else "frames")
        self.curve_key.show_series(found)
        what = CURVE_WORDS.get(self._figures.curve, self._figures.curve)
        self._curve_words.setText(f"{what}; thin lines are seeds" if what else "no curve was logged")

    def _cards(self) -> list[QWidget]:
        """The cards that stand in pairs."""
        return [card for _, *cards in self._pairs for card in cards]

    def _pair(self, left: QWidget, right: QWidget) -> tuple[QBoxLayout, QWidget, QWidget]:
        made = row(spacing=10)
        for card in (left, right):
            made.addWidget(card, 1)
        return made, left, right

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Two plots side by side where there is room."""
        super().resizeEvent(event)
        wide = self.width() >= _SIDE_BY_SIDE
        direction = QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom
        for pair, *_ in self._pairs:
            if pair.direction() != direction:
                pair.setDirection(direction)


def _card(title: str, *inside: QWidget, beside: QWidget | None = None) -> QFrame:
    card = QFrame()
    card.setProperty("role", "plate")
    body = column(spacing=6, margins=(12, 10, 12, 12))
    head = row(label(title, "heading"), None)
    if beside is not None:
        head.addWidget(beside)
    body.addLayout(head)
    for part in inside:
        plot = isinstance(part, IntervalsPlot | LinesPlot)
        body.addWidget(part, int(plot))
        if plot:
            part.setMinimumHeight(_PLOT_HEIGHT - 60)
    if not any(isinstance(part, IntervalsPlot | LinesPlot) for part in inside):
        body.addStretch(1)
    card.setLayout(body)
    return card


def _box(row: dict[str, Any], low: float, span: float) -> Box:
    state, score = row["state"], row["score"]
    share = float(row["share"])
    if state == "finished" and score is not None:
        text = significant(score)
    elif state == "running" and share > 0:
        text = f"{share:.0%}"
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
