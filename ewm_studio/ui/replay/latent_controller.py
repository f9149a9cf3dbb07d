"""Joins the latent explorer to the episode that is watched: lays it out off the GUI thread, alone or with others."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject

from ewm_studio.analysis.latent_space import Exploration, LatentPath, explore
from ewm_studio.analysis.replay_loader import Watched
from ewm_studio.ui.latents.slow_decoder import SlowDecoder
from ewm_studio.ui.replay.page import ReplayPage
from ewm_studio.ui.replay.watch_controller import WatchController
from ewm_studio.ui.services import Services

MOST = 10  # episodes that are laid out together


class LatentController(QObject):
    """Lays out what the page watches while its latents are seen."""

    def __init__(self, page: ReplayPage, watching: WatchController, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self._page, self._explorer, self._watching = page, page.explorer, watching
        self._services, self._background = services, services.background
        self._decoder = SlowDecoder(page.explorer.panel, services.background, self._on_not_decoded, self)
        self._latent_paths: tuple[Path, list[LatentPath]] | None = None  # an evaluation's folder, and its episodes
        self._going: tuple[int, int] | None = None  # a seed, and the frame to stand at once it is watched
        self._working = False
        page.latents_wanted.connect(self._lay_out)
        page.explorer.overlay_asked.connect(lambda _: self._lay_out())
        page.explorer.other_picked.connect(self._on_other)

    @property
    def idle(self) -> bool:
        """Whether everything that was asked for is shown."""
        return not self._working and self._decoder.idle and self._watching.idle

    def _lay_out(self) -> None:
        """Bring the explorer to what is watched and asked for."""
        watched = self._page.watched
        if watched is None or self._working or not self._page.latents_shown:
            return
        self._arrive(watched)
        others, shown = self._others(watched), self._explorer.exploration
        if shown is None or shown.trace is not watched.trace or len(shown.paths) != len(others) + 1:
            self._working = True
            work = partial(explore, watched.trace, watched.replay.seed, watched.vision, others)
            self._background(work, self._on_explored, self._on_failed)
            return
        self._explorer.show_frame(self._page.player.frame)
        if self._explorer.overlay.isChecked() and not others and self._explorer.overlay.isEnabled():
            evaluation = self._watching.evaluation
            if evaluation is not None:
                self._watching.latent_paths(MOST, partial(self._on_latent_paths, evaluation.folder))

    def _others(self, watched: Watched) -> list[LatentPath]:
        """The other episodes that are to be laid out and are known."""
        evaluation = self._watching.evaluation
        if not self._explorer.overlay.isChecked() or self._latent_paths is None or evaluation is None:
            return []
        folder, paths = self._latent_paths
        return [path for path in paths if folder == evaluation.folder and path.seed != watched.replay.seed]

    def _on_explored(self, exploration: Exploration) -> None:
        self._working = False
        watched = self._page.watched
        if watched is not None and watched.trace is exploration.trace:
            self._explorer.show_exploration(exploration, self._page.player.frame)
        self._lay_out()

    def _on_failed(self, error: BaseException) -> None:
        self._working = False
        self._services.notices.fail(error, "look into latent space")

    def _on_not_decoded(self, error: BaseException) -> None:
        self._services.notices.fail(error, "decode the latent")

    def _on_latent_paths(self, folder: Path, paths: list[LatentPath]) -> None:
        self._latent_paths = folder, paths
        self._lay_out()

    def _on_other(self, seed: int, frame: int) -> None:
        """Watch another episode from a frame on."""
        self._going = seed, frame
        self._page.table.pick(seed)

    def _arrive(self, watched: Watched) -> None:
        """Go to the frame that a point of another episode stood for."""
        if self._going is not None:
            seed, frame = self._going
            if seed == watched.replay.seed:
                self._page.player.go(frame)
                self._going = None
