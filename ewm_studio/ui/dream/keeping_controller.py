"""Saves dreams: the whole tree in a folder, or the way to here as a film that is made off the GUI thread."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject

from ewm_studio.driving.dream_commands import SaveDream
from ewm_studio.driving.dream_snapshot import DreamSaved
from ewm_studio.errors import JobError, UserError
from ewm_studio.ui.dream.page import DreamPage
from ewm_studio.ui.dream.session_controller import DreamSessionController
from ewm_studio.ui.kit.files import ask_folder, ask_save
from ewm_studio.ui.services import Services

_FILTERS = {"mp4": "Films (*.mp4)", "gif": "Moving pictures (*.gif)", "png": "Pictures (*.png)"}


class KeepingController(QObject):
    """Asks where to, has the session save its tree, and makes a film of what was saved."""

    def __init__(self, page: DreamPage, dream: DreamSessionController, services: Services, parent: QObject) -> None:
        super().__init__(parent)
        self._page, self._dream, self._services = page, dream, services
        self._films: dict[str, tuple[tempfile.TemporaryDirectory[str], Path]] = {}  # by the folder that is awaited
        page.strip.film_asked.connect(self._on_film)
        page.strip.save_asked.connect(self._on_save)
        dream.saved.connect(self._on_saved)

    @property
    def idle(self) -> bool:
        """Whether every film that was asked for is there."""
        return not self._films

    def _name(self) -> str:
        model = self._dream.model
        return f"dream-{model.name}" if model is not None else "dream"

    def _on_film(self, kind: str) -> None:
        start = self._services.workspace.path / f"{self._name()}.{kind}"
        path = ask_save(self._page.window(), "Export film", "films", start, _FILTERS[kind])
        if path is not None:
            self.film(path if path.suffix else Path(f"{path}.{kind}"))

    def _on_save(self) -> None:
        folder = ask_folder(
            self._page.window(), "Save the dream into a folder", "dreams", self._services.workspace.path
        )
        if folder is not None:
            self.save(folder / self._name())

    def save(self, folder: Path) -> None:
        """Write the whole tree."""
        session = self._dream.session
        if session is not None:
            session.ask(SaveDream(folder))

    def film(self, path: Path) -> None:
        """Film the way from the start to here; the dream goes on meanwhile."""
        session = self._dream.session
        if session is None:
            return
        aside = tempfile.TemporaryDirectory(prefix="ewm-dream-")
        folder = Path(aside.name) / "dream"
        self._films[str(folder)] = aside, path
        self._page.say(f"Filming {path.name}")
        session.ask(SaveDream(folder))

    def _on_saved(self, saved: DreamSaved) -> None:
        film = self._films.get(saved.folder)
        if film is None:
            self._page.say(f"saved in {saved.folder}")
            return
        _, path = film
        self._services.background(
            partial(_film, Path(saved.folder), path),
            partial(self._on_filmed, saved.folder, path),
            partial(self._on_not_filmed, saved.folder),
        )

    def _on_filmed(self, folder: str, path: Path, _: None) -> None:
        self._forget(folder)
        self._page.say(f"filmed: {path}")

    def _on_not_filmed(self, folder: str, error: BaseException) -> None:
        self._forget(folder)
        if isinstance(error, UserError | JobError):
            self._page.say(str(error))
        else:
            self._services.notices.fail(error, "film the dream")

    def _forget(self, folder: str) -> None:
        self._films.pop(folder)[0].cleanup()

    def end(self) -> None:
        """Leave nothing on the disk that was only for a film."""
        for aside, _ in self._films.values():
            aside.cleanup()
        self._films.clear()


def _film(folder: Path, path: Path) -> None:
    """Make a film of a saved dream."""
    from ewm_studio.acting.agent import load_agent
    from ewm_studio.analysis.dream_film import dream_strip, way_filmed
    from ewm_studio.analysis.film import check_target, export
    from ewm_studio.dreams.kept_dream import load_dream

    check_target(path)
    tree = load_dream(folder, load_agent, beside=False)
    panes, fps = way_filmed(tree)
    if path.suffix.lower() == ".png":
        dream_strip(path, panes)
    else:
        export(path, panes, fps)
