"""Joins the view of a run's assessment to the job that makes one, and to what is kept beside the run."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import QObject

from ewm_studio.errors import UserError
from ewm_studio.events import Event, Finished, Progress
from ewm_studio.jobs.kept_assessment import kept_assessment, kept_pictures
from ewm_studio.ui.runs.page import RunsPage
from ewm_studio.ui.services import Services

KIND = "assess"
EPISODES = 10


class Assessing(QObject):
    """Starts an assessment, says how far it is, and shows what it found."""

    def __init__(self, page: RunsPage, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self._page, self._view, self._services = page, page.assessment, services
        self._view.assess_asked.connect(lambda name: services.notices.guarded(lambda: self.start(name), "")())
        self._view.back_asked.connect(page.show_table)
        services.jobs.started.connect(self._show_busy)
        services.jobs.ended.connect(self._show_busy)
        services.jobs.events.connect(self._on_events)

    def open(self, name: str) -> None:
        """Show what is known of a run's dreams.

        Raises:
            UserError: the run is gone, or what is kept cannot be read.
        """
        folder = self._services.workspace.run(name).folder
        found = kept_assessment(folder)
        self._view.show_run(name, found, kept_pictures(folder, found))
        self._show_busy()
        self._page.show_assessment()

    def open_chosen(self) -> None:
        """Show what is known of the dreams of the model that the next run starts from, or else of the chosen run.

        Raises:
            UserError: there is none.
        """
        chosen = self._page.chosen
        name = self._services.experiment.start.load_path or (chosen.name if chosen is not None else "")
        if not name:
            raise UserError("There is no model to assess yet: train or pretrain one, or choose one to start from.")
        self._services.turn_to("runs")
        if self._is_run(name):
            self.open(name)
        else:
            self._view.show_run(name, None, {})
            self._show_busy()
            self._page.show_assessment()

    def _is_run(self, name: str) -> bool:
        return any(info.name == name for info in self._services.workspace.runs())

    def start(self, name: str) -> None:
        """Assess a model on episodes that training never saw."""
        chosen: tuple[tuple[str, Any], ...] = (("infer.episodes", EPISODES), ("run.seed", 0))
        self._services.play(self._services.experiment.with_values(*chosen), name, f"Assess {name}", KIND)

    def _on_events(self, events: list[Event]) -> None:
        if self._services.jobs.kind != KIND or self._services.jobs.model != self._view.run:
            return
        for event in events:
            if isinstance(event, Progress) and event.total:
                self._view.show_busy(True, f"{event.done} of {event.total} {event.unit}")
            elif isinstance(event, Finished) and event.stopped_by != "stop" and self._page.shows_assessment:
                self._services.notices.guarded(partial(self._show_found, event.result), "show the assessment")()

    def _show_found(self, found: dict[str, Any]) -> None:
        name = self._view.run
        if self._is_run(name):
            self.open(name)
        else:  # a file, or a model that came with the studio: beside it nothing is kept
            self._view.show_run(name, found, {})

    def _show_busy(self, *_: object) -> None:
        jobs = self._services.jobs
        self._view.show_busy(jobs.kind == KIND and jobs.model == self._view.run)
