"""What is shown of a dream that is driven: its pictures, when they were drawn, and all that stands beside them."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ewm_studio.driving.dream_snapshot import DreamPath, DreamSnapshot, DreamState

if TYPE_CHECKING:
    from ewm_studio.driving.dream_drive import DreamDrive

LATE_DECISIONS = 50  # over which the worst lateness is told


class DreamView:
    """The pictures of a dream and of reality as they are now, and how soon they answer a key."""

    def __init__(self, between: bool) -> None:
        """`between`: draw what lies between two decisions."""
        self._between = between
        self._dream: np.ndarray | None = None
        self._real: np.ndarray | None = None
        self._rival: np.ndarray | None = None
        self._plan: np.ndarray | None = None
        self._drawn_at = 0.0
        self._trusted_until: int | None = None
        self._parted: int | None = None
        self._key_at: float | None = None
        self._key_decided, self._key_to_picture = False, math.nan

    def press(self) -> None:
        """A key went down."""
        self._key_at = self._key_at or time.monotonic()

    def decide(self) -> None:
        """What is held now is decided by; the next picture answers it."""
        self._key_decided = self._key_at is not None

    def judge(self, drive: DreamDrive) -> None:
        """Look at the whole way that led here."""
        self._trusted_until, self._parted, self._plan = drive.trusted_until, drive.parted, drive.plan

    def draw(self, drive: DreamDrive, frame: int) -> None:
        """Draw the dream and reality as they are `frame` frames into the decision."""
        between = drive.between(frame / drive.repeat) if self._between and frame < drive.repeat else None
        self._dream = drive.picture() if between is None else between
        if frame == 1 or frame == drive.repeat:
            self._rival = drive.rival_picture()
        beside = drive.tree.beside
        if beside is not None:
            shown = beside.pictures
            self._real = shown[min(frame, len(shown)) - 1] if shown else beside.picture
        self._drawn_at = time.monotonic()
        if self._key_at is not None and self._key_decided:
            self._key_to_picture, self._key_at, self._key_decided = self._drawn_at - self._key_at, None, False

    def newer(self, snapshot: DreamSnapshot, drive: DreamDrive) -> DreamSnapshot:
        """The same snapshot with the pictures and what is held as they are now."""
        return replace(
            snapshot,
            dream=self._dream,
            real=self._real,
            drawn_at=self._drawn_at,
            held=drive.controls.held,
            key_to_picture=self._key_to_picture,
        )

    def snapshot(
        self,
        drive: DreamDrive,
        *,
        state: DreamState,
        path: DreamPath,
        decisions_per_second: float,
        period: float,
        decision_seconds: float,
        late: deque[float],
    ) -> DreamSnapshot:
        """How all stands now."""
        tree = drive.tree
        last, beside = tree.last, tree.beside
        steps = path.steps
        return DreamSnapshot(
            state=state,
            words=drive.start.words,
            dream=self._dream,
            real=self._real,
            rival=self._rival,
            rival_return=drive.rival.dreamt_return(tree.place.step) if drive.rival is not None else 0.0,
            no_reality="" if beside is not None else drive.start.no_moment or "reality is not beside",
            drawn_at=self._drawn_at,
            driver=drive.driver,
            looking_ahead=drive.looking_ahead and drive.driver == "planner",
            recorded_left=drive.recorded_left,
            place=tree.place,
            steps=tree.place.step,
            seconds=drive.seconds,
            path=path,
            dreamt_return=sum(step.reward for step in steps),
            real_return=sum(step.real.reward if step.real else math.nan for step in steps) if beside else math.nan,
            reward=last.reward if last else 0.0,
            end=last.end if last else 0.0,
            trust=last.trust if last else math.nan,
            trusted_until=self._trusted_until,
            drift=last.real.drift if last and last.real else math.nan,
            parted=self._parted,
            real_over=beside is not None and beside.world.over,
            temperature=tree.temperature,
            z=tree.belief.z[0].float().cpu().numpy(),
            spread=drive.spread,
            plan=self._plan if drive.driver == "planner" else None,
            held=drive.controls.held,
            values=_axes(drive),
            action=last.action if last else None,
            branches=tuple(tree.infos()),
            model=tree.names[tree.branch.model],
            decisions_per_second=decisions_per_second,
            period=period,
            decision_seconds=decision_seconds,
            late=late[-1] if late else 0.0,
            worst=max(list(late)[-LATE_DECISIONS:], default=0.0),
            key_to_picture=self._key_to_picture,
        )


def _axes(drive: DreamDrive) -> tuple[float, ...]:
    """Where the axes stand, whoever decides."""
    last = drive.tree.last
    if drive.driver != "person" and last is not None and drive.controls.values:
        return tuple(float(value) for value in np.asarray(last.action).reshape(-1))
    return drive.controls.values
