"""The column on the right: how a study stands or what it would come to, what varies, and where it runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QProgressBar, QWidget

from ewm_studio import formatting as format
from ewm_studio.jobs.studies.plan import StudyPlan, axes_of_cells
from ewm_studio.jobs.studies.pool import slots_of
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.settings.study_file import StudyFile
from ewm_studio.ui.kit.widgets import Elided, column, hairline, label, row, scrolled

WIDTH = 264
_SHARES = 1000
_MOST_CELLS = 40  # that are listed by name


class StudySide(QFrame):
    """Facts, a line each."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("sidePanel")
        self.setFixedWidth(WIDTH)
        self._title = label("Study", "heading")
        self.progress = QProgressBar()
        self.progress.setRange(0, _SHARES)
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("Progress of the study")
        self._facts = _Rows()
        self._varies = _Rows()
        self._where = _Rows()
        self._cells_title = label("Cells", "heading")
        self._cells = label("", "secondary", wrap=True)
        self._note = label("", "secondary", wrap=True)
        inside = QWidget()
        inside.setObjectName("scrolled")
        body = column(spacing=8, margins=(14, 12, 14, 12))
        for part in (self._title, self._facts, self.progress, self._note, hairline(), label("What varies", "heading")):
            body.addWidget(part)
        for part in (self._varies, hairline(), label("Where it runs", "heading"), self._where):
            body.addWidget(part)
        for part in (self._cells_title, self._cells):
            body.addWidget(part)
        body.addStretch(1)
        inside.setLayout(body)
        self.setLayout(column(scrolled(inside, focus=False), spacing=0))

    def show_plan(self, file: StudyFile | None, plan: StudyPlan | None, problem: str) -> None:
        """Say what a study would come to, or why it cannot be run so."""
        self._title.setText("What it comes to")
        self.progress.hide()
        self._note.setText(problem)
        self._note.setVisible(bool(problem))
        if file is None or plan is None:
            for rows in (self._facts, self._varies, self._where):
                rows.show_rows([])
            self._list([])
            return
        judge = file.study.judge
        self._facts.show_rows(
            [
                ("Runs", f"{format.count(plan.runs)}"),
                ("Time", time_words(plan)),
                ("Judged by", f"{format.count(judge.episodes)} episodes"),
                ("Played", " and ".join(judge.ways)),
            ]
        )
        self._show_what(file, plan.axes, plan.slots)
        self._list(plan.cells)

    def show_standing(self, file: StudyFile, standing: dict[str, Any]) -> None:
        """Say how a study stands."""
        self._title.setText("Study")
        total = len(standing["runs"])
        facts = [("Finished", f"{format.count(standing['finished'])} of {format.count(total)}")]
        if standing["running"]:
            facts.append(("Running", f"{standing['running']}, on {_where(file)}"))
        if standing["failed"]:
            facts.append(("Failed", f"{standing['failed']}, kept in the count"))
        if standing["seconds_left"] is not None and standing["finished"] + standing["failed"] < total:
            facts.append(("Left", f"about {format.about(standing['seconds_left'])}"))
        self._facts.show_rows(facts)
        share = sum(run["share"] for run in standing["runs"]) / max(total, 1)
        self.progress.setValue(round(_SHARES * share))
        self.progress.show()
        going = standing["state"] == "is being run"
        self._note.setText("It goes on when this window is closed." if going else "")
        self._note.setVisible(going)
        self._show_what(file, axes_of_cells(file.cells), slots_of(file.study.place))
        self._list([])

    def _show_what(self, file: StudyFile, axes: dict[str, int], slots: int) -> None:
        study = file.study
        varies = [(axis_title(axis), f"{count} {_of(axis, count)}") for axis, count in axes.items()]
        varies.append(("Seeds", format.count(len(study.seeds.reported))))
        if study.budget.frames:
            varies.append(("Learns for", f"{format.count(study.budget.frames)} frames"))
        if study.budget.minutes:
            varies.append(("At most", f"{study.budget.minutes:g} min"))
        self._varies.show_rows(varies)
        threads, here = study.place.threads, not study.place.on
        first = ("This computer", f"{slots} at once") if here else ("A Ray cluster", study.place.on)
        self._where.show_rows([first, ("Each run", f"{threads} thread{'s' if threads > 1 else ''}")])

    def _list(self, cells: Sequence[str]) -> None:
        shown = list(cells[:_MOST_CELLS])
        if len(cells) > len(shown):
            shown.append(f"and {len(cells) - len(shown)} more")
        self._cells.setText("\n".join(shown))
        for part in (self._cells, self._cells_title):
            part.setVisible(len(cells) > 1)


class _Rows(QWidget):
    """Names on the left, values on the right."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[tuple[QWidget, Any, Elided]] = []
        self._body = column(spacing=6)
        self.setLayout(self._body)

    def show_rows(self, rows: Sequence[tuple[str, str]]) -> None:
        """Show these."""
        while len(self._lines) < len(rows):
            name, value = label("", "secondary"), Elided("", "value")
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            line = QWidget()
            inside = row(name, spacing=8)
            inside.addWidget(value, 1)
            line.setLayout(inside)
            self._body.addWidget(line)
            self._lines.append((line, name, value))
        for place, (line, name, value) in enumerate(self._lines):
            line.setVisible(place < len(rows))
            if place < len(rows):
                name.setText(rows[place][0])
                value.setText(rows[place][1])


def _where(file: StudyFile) -> str:
    return "a cluster" if file.study.place.on else "this computer"


def axis_title(axis: str) -> str:
    """What varies, as a heading: Vision, ppo.lr."""
    return axis.capitalize() if axis in (*COMPONENTS, "cell") else axis


def _of(axis: str, count: int) -> str:
    return ("part" if axis in COMPONENTS else "value") + ("s" if count != 1 else "")


def runs_words(file: StudyFile, axes: dict[str, int], runs: int) -> str:
    """How many runs there are, as a product: 4 V × 5 M × 5 seeds = 100 runs."""
    study, seeds = file.study, len(file.study.seeds.reported)
    if study.search.on:
        return f"{study.search.trials} trials × {len(study.seeds.tuning)} seeds, then 2 × {seeds}: at most {runs} runs"
    letters = {kind: kind[0].upper() for kind in COMPONENTS} | {"cell": "cells"}
    parts = [f"{count} {letters.get(axis, axis)}" for axis, count in axes.items()]
    product = seeds * math.prod(axes.values())
    left_out = f", {format.count(product - runs)} left out" if product > runs else ""
    seeds_words = f"{format.count(seeds)} seed{'s' if seeds != 1 else ''}"
    return " × ".join([*parts, seeds_words]) + f" = {format.count(runs)} run{'s' if runs != 1 else ''}{left_out}"


def time_words(plan: StudyPlan) -> str:
    """About how long a study takes."""
    if plan.seconds is None:
        return "as long as the base says"
    return f"about {format.about(plan.seconds)}" + ("" if plan.measured else ", guessed")
