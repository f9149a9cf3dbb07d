"""Joins the Dream page to everything around a dream: its session, its starts, its films, the window's bar."""

from __future__ import annotations

from functools import partial

from ewm_studio.driving.dream_beginning import Source
from ewm_studio.ui.dream.keeping_controller import KeepingController
from ewm_studio.ui.dream.page import DreamPage
from ewm_studio.ui.dream.session_controller import DreamSessionController
from ewm_studio.ui.dream.start_controller import StartController
from ewm_studio.ui.page import Page, PageController
from ewm_studio.ui.services import Services

ASSESSED = 10  # episodes that an assessment from here takes


class DreamController(PageController):
    """Dreams of one model, from one start, at a time."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._services = services
        self.page = DreamPage()
        self.starts = StartController(self.page, services, self)
        self.dream = DreamSessionController(self.page, services, self)
        self.keeping = KeepingController(self.page, self.dream, services, self)
        page, dream = self.page, self.dream
        page.dream_asked.connect(self._on_dream)
        page.start.begin_asked.connect(self._begin)
        page.memory_asked.connect(lambda: services.turn_to("vision"))
        page.strip.model_chosen.connect(lambda name: dream.swap(name) if dream.dreaming else None)
        page.trust.assess_asked.connect(services.notices.guarded(self._assess, ""))
        dream.told.connect(self.activity)
        dream.ended.connect(self._on_ended)
        dream.failed.connect(partial(services.notices.fail, doing="dream"))
        services.dream_from.connect(self._on_dream_from)
        services.jobs.ended.connect(lambda *_: self.starts.refresh())

    def shown(self) -> None:
        """Look what there is to dream in and to begin from."""
        self.starts.refresh()

    def show_workspace(self) -> None:
        """A dream that goes on belonged to another one."""
        self.dream.end()
        self.starts.forget()

    def end(self) -> None:
        """End the dream."""
        self.starts.end()
        self.dream.end()
        self.keeping.end()

    def _on_dream(self) -> None:
        if self.dream.dreaming:
            self.dream.resume()
        else:
            self._begin()

    def _begin(self) -> None:
        model, source = self.starts.model, self.page.start.source
        if model is None:
            return
        if source is None:
            self.page.start.say("There is no frame to begin at: choose another start.")
            return
        self.dream.models = self.starts.models
        self.dream.begin(model, source, self.starts.measure)

    def _on_ended(self) -> None:
        self.activity.emit(None)

    def _on_dream_from(self, source: Source, model: str) -> None:
        """Another page names a frame to dream on from."""
        self.dream.end()
        self._services.turn_to("dream")
        self.starts.choose(source, model)

    def _assess(self) -> None:
        model = self.starts.model
        if model is not None:
            chosen = self._services.experiment.with_values(("infer.episodes", ASSESSED), ("run.seed", 0))
            self._services.play(chosen, model.name, f"Assess {model.name}", "assess")


def make_page(services: Services) -> Page:
    """The page of dreams that are driven."""
    controller = DreamController(services)
    shortcuts = (("Backspace", "Rewind a dream"), (".", "One step of a dream"))
    return Page(
        "dream",
        "Dream",
        "dream",
        controller.page,
        controller,
        beside_panel=False,  # it needs the room
        shortcuts=shortcuts,
    )
