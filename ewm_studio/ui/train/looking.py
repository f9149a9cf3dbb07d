"""Looks into the newest evaluation of the run that is shown, and drives its worst laps again, one after another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import shiboken6
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from ewm_studio.errors import UserError
from ewm_studio.ui.services import Services
from ewm_studio.ui.train.evaluation_dialog import EvaluationDialog
from ewm_studio.workspace import Run
from ewm_studio.workspace.replays import Replay

if TYPE_CHECKING:
    from ewm_studio.analysis.evaluated import Evaluated
    from ewm_studio.analysis.track_map import TrackMap

WITH_TRACKS = "CarRacing"  # is in the name of environments that have one


class Looking(QObject):
    """Opens one dialog after another."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._services = services

    def look(self, parent: QWidget) -> None:
        """Open a dialog on the evaluation that the side panel names."""
        run = self._services.shown.run
        if run is None:
            return
        fail = partial(self._services.notices.fail, doing="look into the evaluation")
        self._services.background(partial(_look, run), partial(self._open, run.name, parent), fail)

    def _open(self, name: str, parent: QWidget, found: Evaluated) -> None:
        laps = list(found.worst) if WITH_TRACKS in found.env else []
        window = parent.window()
        dialog = EvaluationDialog(name, found, len(laps), window)
        dialog.open()
        self._drive(dialog, laps)

    def _drive(self, dialog: EvaluationDialog, laps: list[Replay]) -> None:
        """Drive the next of the laps again, as long as somebody looks."""
        if not laps or not shiboken6.isValid(dialog):
            return

        def show(lap: TrackMap) -> None:
            if shiboken6.isValid(dialog):
                dialog.add_lap(lap)
                self._drive(dialog, laps[1:])

        def fail(error: BaseException) -> None:
            if shiboken6.isValid(dialog):
                dialog.say_problem(str(error))
                self._drive(dialog, laps[1:])

        self._services.background(partial(_map, laps[0]), show, fail)


def _look(run: Run) -> Evaluated:
    from ewm_studio.analysis.evaluated import look_into

    newest = next(iter(run.evaluations()), None)
    if newest is None:
        raise UserError(f"{run.name} has no evaluation: press Evaluate first")
    return look_into(newest)


def _map(replay: Replay) -> TrackMap:
    from ewm_studio.analysis.track_map import track_map

    return track_map(replay)
