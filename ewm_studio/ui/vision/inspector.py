"""Looks into saved models for the Vision page: off the GUI thread, one look at a time, only the latest request kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject

from ewm_studio.analysis.vision_view import VisionView, VisionViewer
from ewm_studio.errors import UserError
from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.latents.slow_decoder import SlowDecoder
from ewm_studio.ui.vision.page import VisionPage
from ewm_studio.workspace import Run

Find = Callable[[], Path | None]  # where the model is; may take a while


class VisionInspector(QObject):
    """Joins the Vision page to saved models. Nothing is loaded while the page is not seen."""

    def __init__(self, page: VisionPage, background: Background, parent: QObject) -> None:
        super().__init__(parent)
        self._page = page
        self._background = background
        self._viewer = VisionViewer()
        self._find: Find | None = None
        self._turn = 0  # counts what was asked for since; an answer to an older question is dropped
        self._wanted = False
        self._looking = False
        self._failed = False  # the last look came to nothing
        self._decoder = SlowDecoder(page.latents, background, self._on_not_decoded, self)

    @property
    def idle(self) -> bool:
        """Whether everything that can be shown now is shown."""
        return not self._looking and self._decoder.idle and not (self._wanted and self._page.isVisible())

    def forget(self) -> None:
        """Another run: the page was cleared."""
        self._find, self._wanted, self._failed = None, False, False
        self._turn += 1

    def show_model(self, path: str | Path) -> None:
        """Look into a model file: a checkpoint that was just saved."""
        found = Path(path)
        self._find = lambda: found
        self._ask()

    def show_run(self, run: Run) -> None:
        """Look into the best model of a run, or the newest while another process trains it."""
        self.forget()
        self._find = lambda: run.newest_model() if run.alive else run.best_checkpoint()
        self._ask()

    def frames_changed(self) -> None:
        """The page has other frames now."""
        if self._find is not None:
            self._ask()

    def look_again(self) -> None:
        """Look into what waits, and once more into what could not be looked into."""
        self._wanted = self._wanted or self._failed
        self.look()

    def _ask(self) -> None:
        self._wanted = True
        self.look()

    def look(self) -> None:
        """Look into what is asked for and not looked into yet, if the page is seen."""
        find = self._find
        if find is None or not self._wanted or self._looking or not self._page.isVisible():
            return
        self._wanted, self._looking, self._failed = False, True, False
        frames, turn = self._page.frames, self._turn
        work = partial(_view, self._viewer, find, frames)
        self._background(work, partial(self._on_view, turn), partial(self._on_failed, turn))

    def _on_view(self, turn: int, view: VisionView | None) -> None:
        self._looking = False
        if turn == self._turn:
            if view is None:
                self._page.say("this run has saved no model yet")
            elif view is not self._page.view:
                self._page.show_view(view)
        self.look()

    def _on_failed(self, turn: int, error: BaseException) -> None:
        self._looking = False
        if turn == self._turn:
            self._failed = True
            words = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            self._page.say(f"the model cannot be shown: {words}")
        self.look()

    def _on_not_decoded(self, error: BaseException) -> None:
        self._page.say(f"the latent cannot be decoded: {error}")


def _view(viewer: VisionViewer, find: Find, frames: np.ndarray | None) -> VisionView | None:
    path = find()
    return None if path is None else viewer.view(path, frames)
