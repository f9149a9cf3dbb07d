"""Beside the table of runs: what is known of the one that is selected, and what differs from another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QWidget

from ewm_studio import formatting as format
from ewm_studio.analysis.run_detail import NOT_GIVEN, Compared, Difference, Evaluated, RunDetail, Saved
from ewm_studio.analysis.run_tags import tags_of, words_without
from ewm_studio.analysis.settings_diff import label_of
from ewm_studio.ui.kit.focus import tab_on
from ewm_studio.ui.kit.tags import Tags
from ewm_studio.ui.kit.widgets import Elided, Select, button, column, hairline, label, row, scrolled
from ewm_studio.ui.runs.table import steps_of
from ewm_studio.workspace import RunInfo

DEFAULTS = "the defaults"
NOTHING = "Select a run to see its settings, notes, evaluations and checkpoints here."
MOST = 12  # evaluations or checkpoints that are listed


class RunPane(QFrame):
    """Shows and tells; a controller fills it."""

    note_asked = Signal()
    tags_asked = Signal()
    rival_chosen = Signal(str)  # the run that it is compared with; empty for the defaults
    watch_asked = Signal(object)  # an Evaluation
    log_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("sidePanel")
        self.setMinimumWidth(300)
        self.title = Elided("", "title", Qt.TextElideMode.ElideMiddle)
        self._name = Elided("", "secondary", Qt.TextElideMode.ElideMiddle)  # beneath a title, which is not it
        self._state = label("", "secondary", wrap=True)
        self._nothing = label(NOTHING, "secondary", wrap=True)
        self.tags = Tags()
        self.note = label("", wrap=True)
        self.edit_note = button("Edit note", "link", "Write a note beside the run", self.note_asked.emit)
        self.edit_tags = button("Tags…", "link", "Mark the run by words that the filter finds", self.tags_asked.emit)
        self.rival = Select()
        self.rival.setAccessibleName("Compare settings with")
        self.rival.setToolTip("Whose settings this run's are compared with")
        self.rival.activated.connect(lambda _: self.rival_chosen.emit(str(self.rival.currentData() or "")))
        self.log = button("Show the log", "link", "The run's log, below its plots", self.log_asked.emit)
        self._settings, self._evaluations, self._checkpoints = (QWidget() for _ in range(3))
        # What is told: told again, as it is every two seconds, it leaves the focus and an open list alone.
        self._detail: RunDetail | None = None
        self._settings_told: tuple[Compared, str] = (Compared(), "")
        self._rivals: list[tuple[str, str]] = []
        self.others = button("", "link", "Those that are alike, and what auto found", self._turn_rest)
        self.others.setAccessibleName("Show the other settings")
        self._rest, self._rest_shown = label("", "secondary", wrap=True), False
        links = row(self.edit_note, self.edit_tags, None, spacing=12)
        self._parts = QWidget()
        inside = column(self._state, self.tags, self.note, spacing=8)
        inside.addLayout(links)
        self._head_differs = label("Settings that differ from", "heading")
        for widget in (
            hairline(),
            self._head_differs,
            self.rival,
            self._settings,
            self.others,
            self._rest,
            hairline(),
            label("Evaluations", "heading"),
            self._evaluations,
            hairline(),
            label("Checkpoints", "heading"),
            self._checkpoints,
            hairline(),
            self.log,
        ):
            inside.addWidget(widget)
        self._parts.setLayout(inside)
        content = QWidget()
        content.setObjectName("scrolled")
        content.setLayout(
            column(self.title, self._name, self._nothing, self._parts, None, spacing=8, margins=(14, 12, 14, 14))
        )
        self.setLayout(column(scrolled(content), spacing=0))
        self.show_run(None)

    def show_run(self, info: RunInfo | None, more: int = 0) -> None:
        """Show a run's row; `more` others are selected with it."""
        self._parts.setVisible(info is not None)
        self._nothing.setVisible(info is None)
        self.title.setVisible(info is not None)
        self._name.setVisible(info is not None and bool(info.title))
        if info is None:
            return
        self.title.setText((info.title or info.name) + (f" and {more} more" if more else ""))
        self._name.setText(info.name)
        steps = steps_of(info) if info.job == "pretrain" else f"{steps_of(info)} steps"
        words = [info.state, f"{info.env}, seed {info.seed}", steps]
        if info.best_reward is not None:
            words.append(f"best reward {format.significant(info.best_reward)}")
        self._state.setText(" · ".join(words) + (f"\n{info.error}" if info.error else ""))
        note = words_without(info.note)
        self.tags.show_words(tags_of(info.note))
        self.tags.setVisible(bool(tags_of(info.note)))
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self.edit_note.setText("Edit note" if note else "Add a note")

    def show_detail(self, detail: RunDetail | None) -> None:
        """Show what was read of it; None while it is read."""
        if detail is not None and detail == self._detail:
            return
        self._detail = detail
        if detail is None:
            for box in (self._evaluations, self._checkpoints):
                _fill(box, ["Reading…"], [])
            return
        evaluations, checkpoints = detail.evaluations, detail.checkpoints
        _fill(self._evaluations, ["None yet"], [_evaluation(self, found) for found in evaluations[:MOST]], evaluations)
        _fill(self._checkpoints, ["None yet"], [_checkpoint(saved) for saved in checkpoints[:MOST]], checkpoints)
        tab_on(self.edit_note, self._parts)

    def show_rivals(self, runs: Sequence[tuple[str, str]], chosen: str) -> None:
        """Offer these runs, by name and title, to compare settings with."""
        offered = [("", DEFAULTS), *runs]
        if offered != self._rivals:
            self._rivals = offered
            self.rival.clear()
            for name, title in offered:
                self.rival.addItem(title, name)
        self.rival.setCurrentIndex(max(0, self.rival.findData(chosen)))

    def show_settings(self, found: Compared, problem: str = "") -> None:
        """List settings that are not alike, here and there; the rest is a click away."""
        if (found, problem) == self._settings_told:
            return
        self._settings_told = found, problem
        _fill(self._settings, [problem or "None"], [_difference(different) for different in found.different])
        self._show_rest()

    def _turn_rest(self) -> None:
        self._rest_shown = not self._rest_shown
        self._show_rest()

    def _show_rest(self) -> None:
        rest, shown = self._settings_told[0].rest, self._rest_shown
        self.others.setVisible(bool(rest))
        self.others.setText(f"{'Hide' if shown else 'Show'} the other {format.count(len(rest))}")
        self.others.setAccessibleName(f"{self.others.text()} settings")
        self._rest.setText("\n".join(f"{label_of(path)}: {text}" for path, text in rest) if shown else "")
        self._rest.setVisible(shown and bool(rest))


def _fill(box: QWidget, nothing: Sequence[str], widgets: Sequence[QWidget], listed: Sequence[object] = ()) -> None:
    """Put widgets below each other into a box, or else a word on that there are none; say what is left out."""
    layout = box.layout()
    if layout is None:
        layout = column(spacing=4)
        box.setLayout(layout)
    while (item := layout.takeAt(0)) is not None:
        if (widget := item.widget()) is not None:
            widget.hide()
            widget.deleteLater()
    for widget in widgets or [label(text, "secondary", wrap=True) for text in nothing]:
        layout.addWidget(widget)
    if len(listed) > len(widgets):
        layout.addWidget(label(f"and {format.count(len(listed) - len(widgets))} older", "secondary"))


def difference_words(different: Difference) -> str:
    """A setting that is not alike: what it is here, and there."""
    if different.there == NOT_GIVEN:
        return different.here
    if different.here == NOT_GIVEN:
        return f"only there: {different.there}"
    return f"{different.here}, not {different.there}"


def _difference(different: Difference) -> QWidget:
    name = label_of(different.path)
    box = column_of(difference_words(different), name)
    box.setToolTip(different.path)
    box.setAccessibleName(f"{name}: {different.here} here, {different.there} there")
    return box


def _evaluation(pane: RunPane, found: Evaluated) -> QWidget:
    words = f"{format.significant(found.mean)} ± {format.significant(found.spread)} in {found.episodes}"
    when = f"{format.date(found.evaluation.created)}, {found.evaluation.manner}"
    watch = button("Watch", "link", "See its episodes on the Replay page", partial(_watch, pane, found))
    watch.setAccessibleName(f"Watch the evaluation of {when}")
    line, box = row(column_of(words, when), spacing=8), QWidget()
    line.addWidget(watch, 0, Qt.AlignmentFlag.AlignTop)
    box.setLayout(line)
    return box


def column_of(words: str, under: str) -> QWidget:
    """A value, and what it is of under it."""
    box = QWidget()
    box.setLayout(column(Elided(words, "value"), Elided(under, "secondary"), spacing=0))
    return box


def _watch(pane: RunPane, found: Evaluated) -> None:
    pane.watch_asked.emit(found.evaluation)


def _checkpoint(saved: Saved) -> QWidget:
    reward = "" if saved.mean_reward is None else f" · reward {format.significant(saved.mean_reward)}"
    best = " · best" if saved.best else ""
    return Elided(f"step {format.count(saved.step)}{reward} · {format.size(saved.bytes)}{best}", "secondary")
