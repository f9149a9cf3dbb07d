"""How far a model's dreams can be trusted, as its assessment found it, and how soon the dream answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from ewm_studio import formatting as format
from ewm_studio.driving.dream_snapshot import DreamSnapshot
from ewm_studio.ui.kit.widgets import Elided, button, column, label, row

_NOTHING = (
    "Not measured yet for this model: Assess tries its dreams on episodes that it has not seen, in a few minutes."
)


class Figures(QWidget):
    """Names and values in two columns."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(0, 1)
        self._cells: list[tuple[Elided, QLabel]] = []
        self.rows: tuple[tuple[str, str], ...] = ()

    def show_rows(self, rows: Sequence[tuple[str, str]]) -> None:
        """Show (name, value) each."""
        if tuple(rows) == self.rows:
            return
        self.rows = tuple(rows)
        while len(self._cells) < len(rows):
            name, value = Elided("", "secondary"), label("", "value")
            at = len(self._cells)
            self._grid.addWidget(name, at, 0)
            self._grid.addWidget(value, at, 1, Qt.AlignmentFlag.AlignRight)
            self._cells.append((name, value))
        for number, (name, value) in enumerate(self._cells):
            shown = number < len(rows)
            name.setVisible(shown)
            value.setVisible(shown)
            if shown:
                name.setText(rows[number][0])
                value.setText(rows[number][1])


class TrustPanel(QWidget):
    """Shows the assessment of the model that dreams, or how to get one; and figures of the dream as it runs."""

    assess_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.figures, self.pace = Figures("How far it can be trusted"), Figures("How soon it answers")
        self._about = Elided("", "secondary")
        self._nothing = label(_NOTHING, "secondary", wrap=True)
        self.assess = button("Assess", "", "Measure how far this model's dreams can be trusted", self.assess_asked.emit)
        self.assess.setAccessibleName("Assess this model")
        head = row(label("How far it can be trusted", "heading"), spacing=8)
        head.addWidget(self._about, 1)
        body = column(spacing=8)
        body.addLayout(head)
        body.addWidget(self._nothing)
        body.addWidget(self.assess)
        body.addWidget(self.figures)
        body.addSpacing(8)
        body.addWidget(label("How soon it answers", "heading"))
        body.addWidget(self.pace)
        self.setLayout(body)
        self.show_assessment(None)
        self.show_snapshot(None)

    def show_assessment(self, found: Mapping[str, Any] | None) -> None:
        """Show what was found; None where nothing was."""
        rows = rows_of(found) if found else []
        self._nothing.setVisible(not rows)
        self.assess.setVisible(not rows)
        self.figures.setVisible(bool(rows))
        windows = (found or {}).get("windows")
        self._about.setText(f"{format.count(windows)} starts" if isinstance(windows, int | float) else "")
        self.figures.show_rows(rows)

    def show_snapshot(self, snapshot: DreamSnapshot | None) -> None:
        """Show the pace of a dream."""
        if snapshot is None:
            self.pace.show_rows([("Decisions a second", "–"), ("A decision takes", "–"), ("Key to picture", "–")])
            return
        key, rate = snapshot.key_to_picture, snapshot.decisions_per_second
        self.pace.show_rows(
            [
                ("Decisions a second", f"{rate:.1f}" if snapshot.state == "driving" else "–"),
                ("A decision takes", f"{snapshot.decision_seconds * 1000:.0f} ms"),
                ("Latest decision late by", f"{snapshot.late * 1000:.0f} ms"),
                ("Key to picture", f"{key * 1000:.0f} ms" if key == key else "–"),
            ]
        )


def rows_of(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The figures of an assessment that tell most at the wheel; those that are not there are left out."""
    rows: list[tuple[str, str]] = []
    horizons = found.get("horizons") or []
    psnr = _inside(found, "psnr", "draw")
    errors = _inside(found, "z_error", "draw")
    if isinstance(psnr, list):
        rows += [(_ahead(k), f"{value:.1f} dB") for k, value in zip(horizons, psnr, strict=False)]
    elif isinstance(errors, list):
        rows += [(f"z error, {_ahead(k)}", f"{value:.2f}") for k, value in zip(horizons, errors, strict=False)]
    if (steps := found.get("usable_horizon")) is not None:
        rows.append(("Better than the mean for", f"{steps} steps"))
    if isinstance(share := _inside(found, "action_read_back", "share"), int | float):
        rows.append(("Keys read back from dreams", f"{share:.0%}"))
    if isinstance(correlations := found.get("return_correlation"), Mapping) and correlations:
        value = list(correlations.values())[-1]
        if isinstance(value, int | float):
            rows.append(("Dreamt return against real", f"r {value:.2f}"))
    if isinstance(meter := _inside(found, "trust", "meter"), int | float):
        rows.append(("Trust meter against true error", f"r {meter:.2f}"))
    return rows


def _inside(found: Mapping[str, Any], name: str, key: str) -> Any:
    part = found.get(name)
    return part.get(key) if isinstance(part, Mapping) else None


def _ahead(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps} steps"
