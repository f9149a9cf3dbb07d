"""Joins the Replay page to the evaluations that are kept, and to the one that a job has just made."""

from __future__ import annotations

from collections.abc import Sequence

from ewm_studio.driving.dream_beginning import FromReplay
from ewm_studio.events import EvaluationKept, Event, Finished, RunStarted
from ewm_studio.ui.page import Page, PageController, PlaceGroup
from ewm_studio.ui.replay.latent_controller import LatentController
from ewm_studio.ui.replay.page import ReplayPage
from ewm_studio.ui.replay.watch_controller import WatchController
from ewm_studio.ui.services import Services


class ReplayController(PageController):
    """Episodes to watch, frame by frame and in latent space."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._services = services
        self.page = ReplayPage()
        self.watching = WatchController(self.page, services, self)
        self.latents = LatentController(self.page, self.watching, services, self)
        self._kept = ""  # folder of the evaluation that goes on
        self.page.evaluate_asked.connect(lambda: services.start("infer"))
        self.page.empty.asked.connect(self.place_asked)
        self.page.dream_asked.connect(self._dream_on)
        services.jobs.events.connect(self._on_events)
        services.evaluation_asked.connect(self.watching.show)

    def shown(self) -> None:
        """Look which evaluations there are."""
        self.watching.refresh()

    def take_space(self) -> bool:
        """Play, or stop."""
        if self.page.watched is not None:
            self.page.player.toggle()
        return not self.page.empty_shown

    def show_workspace(self) -> None:
        """Nothing that is watched is in it."""
        self.watching.forget()

    def show_places(self, agents: PlaceGroup, workspaces: Sequence[PlaceGroup]) -> None:
        """Offer the trained agents."""
        self.page.empty.show_places((agents,))

    def end(self) -> None:
        """Stop playing, and what is being made."""
        self.watching.end()

    def _dream_on(self) -> None:
        """Dream on from the frame that is seen, in the model that played where it can dream."""
        evaluation, episode = self.watching.evaluation, self.page.table.chosen
        if evaluation is not None and episode is not None:
            name = evaluation.run or evaluation.model.name
            frame = min(self.page.player.frame, episode.frames - 1)
            words = f"replay {episode.path.stem} of {name}"
            self._services.dream_from.emit(FromReplay(episode.path, frame, words), name)

    def _on_events(self, events: list[Event]) -> None:
        """Watch an evaluation once it is whole."""
        for event in events:
            if isinstance(event, RunStarted):
                self._kept = ""
            elif isinstance(event, EvaluationKept):
                self._kept = event.folder
            elif isinstance(event, Finished) and self._kept:
                self.watching.show(self._kept)


def make_page(services: Services) -> Page:
    """The page of episodes that were played."""
    controller = ReplayController(services)
    return Page(
        "replay",
        "Replay",
        "replay",
        controller.page,
        controller,
        beside_panel=False,  # it needs the room
        shortcuts=(("Left, Right", "Step through a replay"),),
    )
