"""Joins the Vision page to the run that is shown, to what its job sends, and to its saved models."""

from __future__ import annotations

from ewm_studio.analysis.inspection import Inspection
from ewm_studio.events import CheckpointSaved, Event, Images
from ewm_studio.ui.page import Page, PageController
from ewm_studio.ui.plots.making import PlotMaking
from ewm_studio.ui.services import Services
from ewm_studio.ui.vision.inspector import VisionInspector
from ewm_studio.ui.vision.page import VisionPage
from ewm_studio.workspace import Run

NUMBERS = "Identity"  # the vision that hands numbers on as they are


class VisionController(PageController):
    """Shows what vision makes of frames."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._services = services
        self.page = VisionPage(services.shown.plots)
        self.inspector = VisionInspector(self.page, services.background, self)
        self._making = PlotMaking(services.background, self.page.make_plot, self._on_made, self)
        self.page.pretrain_asked.connect(lambda: services.start("pretrain"))
        self.page.pixels_asked.connect(self._observe_pictures)
        shown = services.shown
        shown.replaced.connect(lambda: self.page.show_history(shown.history))
        shown.emptied.connect(self._on_emptied)
        shown.grew.connect(self.page.mark)
        shown.read_again.connect(self._on_read_again)
        shown.model_chosen.connect(self._look_into)
        services.jobs.events.connect(self._on_events)
        services.fitting.inspected.connect(self._on_inspected)

    def begin(self) -> None:
        """Make the plots bit by bit: at once they would hold the window up."""
        self._making.begin()

    def end(self) -> None:
        """Make no more plots."""
        self._making.end()

    def _on_made(self) -> None:
        self.page.show_history(self._services.shown.history)

    def shown(self) -> None:
        """Look into the model that waits for it, or could not be looked into before."""
        self.inspector.look_again()

    def redraw_one(self) -> bool:
        """Redraw a plot that changed."""
        return self.page.redraw_one()

    def _on_read_again(self) -> None:
        self.page.refresh(self._services.shown.history)
        self.inspector.frames_changed()

    def _look_into(self, run: Run) -> None:
        self._clear()
        self.page.show_run(run.name)
        self.page.say("looking into its model…")
        self.inspector.show_run(run)

    def _on_emptied(self) -> None:
        """A run begins, or none is shown any more."""
        self._clear()
        shown = self._services.shown
        if shown.run is not None:
            about = shown.history.about
            self.page.show_run(shown.run.name, about is not None and NUMBERS in about.parts)

    def _clear(self) -> None:
        self.page.clear()
        self.inspector.forget()

    def _on_inspected(self, inspection: Inspection) -> None:
        self.page.show_numbers(inspection.chosen.get("vision") == NUMBERS)

    def _on_events(self, events: list[Event]) -> None:
        """Show what the job sends of the run that is shown; of another nothing."""
        if not self._services.shown.live:
            return
        latest: Images | None = None
        for event in events:
            if isinstance(event, Images):
                latest = event
            elif isinstance(event, CheckpointSaved):
                self.inspector.show_model(event.path)
        if latest is not None:
            self.page.show_pictures(latest.pictures, latest.step)
            self.inspector.frames_changed()

    def _observe_pictures(self) -> None:
        """Have the environment's picture observed in place of its numbers, by a vision that sees pictures."""
        document = self._services.document
        document.set("env.pixels", True)
        if document.experiment.vision.name == NUMBERS:
            document.set("vision.name", "auto")
        if not self._services.shown.live:
            self._clear()


def make_page(services: Services) -> Page:
    """The page of what vision sees."""
    controller = VisionController(services)
    return Page("vision", "Vision", "vision", controller.page, controller)
