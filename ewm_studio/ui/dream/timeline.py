"""The card of what a dream is along its steps: lanes, how far it can be trusted, and where reality parts from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QWidget

from ewm_studio.analysis.replay_loader import Lane
from ewm_studio.dreams.branches import BranchInfo, Place
from ewm_studio.driving.dream_snapshot import LANES, DreamPath, DreamSnapshot
from ewm_studio.ui.kit.widgets import Elided, column, label, row, scrolled
from ewm_studio.ui.plots.lanes import Lanes, Mark

# Quantity, name, token of its color, bounds.
SHOWN: tuple[tuple[str, str, str, tuple[float, float] | None], ...] = (
    ("drift", "drift", "memory", (0.0, 1.0)),
    ("trust", "trust", "memory", None),
    ("reward", "reward, dreamt", "memory", None),
    ("real_reward", "reward, real", "accent", None),
    ("end", "end", "memory", (0.0, 1.0)),
    ("surprise", "surprise", "memory", None),
    ("difference", "difference", "vision", None),
    ("value", "value", "controller", None),
    ("entropy", "entropy", "controller", None),
)
_LEAST = 64  # steps of the axis
_ROUND = 32


class _Known:
    """The lanes of a way that grows: only what is new is read."""

    def __init__(self) -> None:
        self._steps: Any = None
        self._count = 0
        self.values: dict[str, NDArray] = {name: np.full(1, np.nan) for name in LANES}

    def take(self, path: DreamPath) -> None:
        """Bring the lanes up to date; the first value is of the start, where nothing is known."""
        if path.steps is not self._steps or path.count < self._count:
            self._steps, self._count = path.steps, 0
            self.values = {name: np.full(1, np.nan) for name in LANES}
        fresh = DreamPath(path.steps[self._count : path.count], path.count - self._count)
        if fresh.count:
            self.values = {name: np.concatenate([kept, fresh.lane(name)]) for name, kept in self.values.items()}
            self._count = path.count


class Timeline(QFrame):
    """Shows the lanes up to where one stands, and of what was driven beyond it before one went back."""

    went = Signal(object)  # a Place

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "plate")
        self.lanes = Lanes(names=118)
        self.lanes.setAccessibleName("Steps of the dream")
        self.lanes.setToolTip("Click or drag to go to a step")
        self.lanes.jumped.connect(self._on_jumped)
        self._known = _Known()
        self._far: DreamSnapshot | None = None  # the farthest place on the way that is shown
        self._branches: tuple[BranchInfo, ...] = ()
        self._words = Elided("", "secondary")
        inside = QWidget()
        inside.setObjectName("scrolled")
        inside.setLayout(column(self.lanes, spacing=0))
        scroll = scrolled(inside, focus=False)
        head = row(label("Along the dream", "heading"), spacing=8)
        head.addWidget(self._words, 1)
        body = column(spacing=4, margins=(12, 8, 12, 8))
        body.addLayout(head)
        body.addWidget(scroll, 1)
        self.setLayout(body)
        self.setMinimumHeight(104)
        self.show_snapshot(None)

    @property
    def words(self) -> str:
        """What is said of trust and of reality."""
        return self._words.text()

    def show_snapshot(self, snapshot: DreamSnapshot | None) -> None:
        """Show a dream as it stands; None where there is none."""
        if snapshot is None:
            self._known, self._far = _Known(), None
            self.lanes.show_lanes([Lane(name, token, np.full(1, np.nan)) for _, name, token, _ in SHOWN[:5]], _LEAST)
            self.lanes.show_marks(())
            self.lanes.show_frame(0)
            self._words.setText("")
            return
        self._branches = snapshot.branches
        if self._far is None or not self._leads_to_far(snapshot):
            self._far = snapshot
        self._known.take(self._far.path)
        values = self._known.values
        steps = len(values["reward"]) - 1
        frames = max(_LEAST, -(-steps // _ROUND) * _ROUND)
        lanes = [
            Lane(name, token, values[key], _wide(bounds, values[key]))
            for key, name, token, bounds in SHOWN
            if np.isfinite(values[key]).any() or (not steps and key in ("reward", "trust", "end"))
        ]
        self.lanes.show_lanes(lanes, frames)
        self.lanes.show_frame(snapshot.steps)
        self.lanes.show_marks(marks_of(self._far))
        self._words.setText("; ".join(mark.words for mark in self.lanes.marks))

    def _leads_to_far(self, snapshot: DreamSnapshot) -> bool:
        """Whether the present place is on the way that is shown, which goes farther."""
        far, here = self._far, snapshot.path
        if far is None or here.count >= far.path.count or self._branch_at(far.place.branch, here.count) is None:
            return False
        if not here.count:
            return bool(self._branches) and self._has(far.place.branch)
        return far.path.steps[here.count - 1] is here.steps[here.count - 1]

    def _has(self, number: int) -> bool:
        return any(info.number == number for info in self._branches)

    def _branch_at(self, number: int, step: int) -> int | None:
        """The branch that holds a step on the way to the tip of another."""
        by_number = {info.number: info for info in self._branches}
        info = by_number.get(number)
        while info is not None and step < info.at and info.parent is not None:
            info = by_number.get(info.parent)
        return None if info is None else info.number

    def _on_jumped(self, frame: int) -> None:
        if self._far is None:
            return
        step = min(frame, self._far.path.count)
        branch = self._branch_at(self._far.place.branch, step)
        if branch is not None:
            self.went.emit(Place(branch, step))


def _wide(bounds: tuple[float, float] | None, values: NDArray) -> tuple[float, float] | None:
    """Bounds of a lane, farther where values go beyond them."""
    known = values[np.isfinite(values)]
    if bounds is None or not len(known):
        return bounds
    return min(bounds[0], float(known.min())), max(bounds[1], float(known.max()))


def marks_of(snapshot: DreamSnapshot) -> list[Mark]:
    """Where trust ends, and where dream and reality part company."""
    marks = []
    if snapshot.trusted_until is not None:
        marks.append(Mark(snapshot.trusted_until, "good", f"trusted until step {snapshot.trusted_until}"))
    if snapshot.parted is not None:
        marks.append(Mark(snapshot.parted, "accent", f"parts from reality at step {snapshot.parted}"))
    return marks
