"""Which workspace is open: choosing another one, what each remembers, and what an empty page offers to begin with."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QTimer

from ewm_studio.errors import UserError
from ewm_studio.resources import resource
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit import store
from ewm_studio.ui.kit.empty_state import Place
from ewm_studio.ui.kit.files import ask_folder
from ewm_studio.ui.kit.machine import short_path
from ewm_studio.ui.services import Services
from ewm_studio.ui.window import remembered
from ewm_studio.ui.window.main_window import MainWindow
from ewm_studio.ui.window.pretrained_controller import PretrainedController
from ewm_studio.ui.window.rebuilding import ask_to_rebuild, readable
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.database import Damaged

DRAFT_MILLISECONDS = 1000  # after a change, before it is kept for the next start
MOST_RECENT = 4  # that an empty page offers
_OPEN = "open the workspace"


def ready_made() -> list[Path]:
    """Workspaces that come with a checkout, each with an `experiment.toml`; none where the program is installed."""
    return sorted(path.parent.resolve() for path in resource("..", "workspaces").glob("*/experiment.toml"))


class Workspaces(QObject):
    """Opens one workspace after another."""

    def __init__(self, services: Services, window: MainWindow) -> None:
        super().__init__(services)
        self._services, self._window = services, window
        self._recent = window.menus["Workspace"].addMenu("Recent")
        self._recent.aboutToShow.connect(self._fill_recent)
        self.pretrained = PretrainedController(services, window.menus["Help"])
        window.actions_by_name["workspace"].triggered.connect(services.notices.guarded(self._choose, _OPEN))
        for page in window.pages.values():
            page.controller.place_asked.connect(self._on_place)
            page.controller.place_asked.connect(self.pretrained.answer)
        self._draft = QTimer(self)  # until the settings stay as they are
        self._draft.setSingleShot(True)
        self._draft.setInterval(DRAFT_MILLISECONDS)
        self._draft.timeout.connect(self._remember_draft)
        services.document.subscribe(lambda _: self._draft.start())
        self._show()

    def end(self) -> None:
        """Keep nothing any more."""
        self._draft.stop()

    def _remember_draft(self) -> None:
        remembered.remember_draft(self._services.document, self._services.workspace.path)

    def open(self, path: Path) -> None:
        """Work in another workspace.

        Raises:
            UserError: a job runs, or the folder cannot be one.
        """
        if self._services.jobs.running:
            raise UserError("Stop the run before you open another workspace.")
        try:
            opened = readable(path)
        except Damaged as error:
            rebuild = self._services.notices.guarded(lambda: self._rebuild(path), "rebuild the list of runs")
            ask_to_rebuild(path, error, self._window, rebuild)
            return
        self._draft.stop()
        self.remember()
        self._services.change_workspace(opened)
        self._services.document.replace(Experiment())
        self.take_up_settings()
        self._show()
        self._services.show_last_run()

    def _rebuild(self, path: Path) -> None:
        Workspace.rebuild(path)
        self.open(path)

    def take_up_settings(self) -> None:
        """Take up the workspace's unsaved settings of last time, or else its `experiment.toml`."""
        try:
            remembered.restore_settings(self._services.document, self._services.workspace.path)
        except UserError as error:
            self._services.notices.tell(str(error), "error")

    def remember(self) -> None:
        """Keep size, layout and unsaved settings for next time."""
        remembered.remember(self._window, self._services.document, self._services.workspace.path)

    def _show(self) -> None:
        """Name the workspace, and bring it to every page."""
        self._window.workspace_label.setText(short_path(self._services.workspace.path))
        for page in self._window.pages.values():
            page.controller.show_workspace()
        self._show_places()

    def _show_places(self) -> None:
        """Offer trained agents, the ready-made workspaces and the recent ones."""
        here = self._services.workspace.path.resolve()
        ready = [path for path in ready_made() if path != here]
        recent = [Path(text) for text in store.texts("recent") if Path(text) not in (here, *ready)]
        groups = (
            ("Ready-made workspaces", [_folder(_title(path), path) for path in ready]),
            ("Recent", [_folder(path.name, path) for path in recent if path.is_dir()][:MOST_RECENT]),
        )
        for page in self._window.pages.values():
            page.controller.show_places(self.pretrained.group, groups)

    def _on_place(self, key: str) -> None:
        if (path := Path(key)).is_absolute():
            self._services.notices.guarded(lambda: self.open(path), _OPEN)()

    def _choose(self) -> None:
        path = ask_folder(self._window, "Open workspace", "workspace", self._services.workspace.path.parent, above=True)
        if path is not None:
            self.open(path)

    def _fill_recent(self) -> None:
        self._recent.clear()
        ready = [str(path) for path in ready_made()]
        recent = [text for text in store.texts("recent") if Path(text).is_dir()]
        for path in dict.fromkeys([*recent, *ready]):
            open_it = self._services.notices.guarded(partial(self.open, Path(path)), _OPEN)
            self._recent.addAction(path).triggered.connect(open_it)
        if self._recent.isEmpty():
            self._recent.addAction("None yet").setEnabled(False)


def _title(workspace: Path) -> str:
    """A ready-made workspace by its environment: CartPole."""
    try:
        return Experiment.from_toml(workspace / "experiment.toml").env.id.partition("-v")[0]
    except UserError:
        return workspace.name


def _folder(text: str, path: Path) -> Place:
    return Place(text, str(path), f"Open {text}", str(path))
