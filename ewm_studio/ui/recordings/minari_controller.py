"""Joins the dialog of Minari's datasets to what is read of them, off the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

from ewm_studio.ui.recordings.minari_dialog import MinariDialog
from ewm_studio.ui.services import Services

if TYPE_CHECKING:
    from ewm_studio.data.minari_catalog import DatasetEpisodes, DatasetInfo  # brings environments


class MinariController(QObject):
    """Fetches what the dialog shows, each thing when it is asked for; only `remote` and `download` use a network."""

    def __init__(
        self, services: Services, import_it: Callable[[str, str, float, float], None], parent: QObject
    ) -> None:
        """`import_it` is given the dataset, the recording's name, and the least and the most return."""
        super().__init__(parent)
        self._background, self._import = services.background, import_it
        self._fail = services.notices.fail
        self._dialog: MinariDialog | None = None

    def open(self, window: QWidget, name_problem: Callable[[str], str]) -> None:
        """List what is on this machine, and show it."""
        doing = "list the Minari datasets"
        show = partial(self._show, window, name_problem)
        self._background(_local, show, lambda error: self._fail(error, doing))

    def _show(self, window: QWidget, problem: Callable[[str], str], found: list[DatasetInfo]) -> None:
        dialog = self._dialog = MinariDialog(window, problem)
        dialog.finished.connect(self._closed)
        dialog.looked_at.connect(self._look)
        dialog.public_asked.connect(self._list_public)
        dialog.download_asked.connect(self._download)
        dialog.chosen.connect(self._import)
        dialog.show_datasets(found)
        dialog.open()

    def _closed(self) -> None:
        self._dialog = None

    def _look(self, dataset: str) -> None:
        self._fetch(partial(_episodes, dataset), lambda dialog, found: dialog.show_episodes(dataset, found))

    def _list_public(self) -> None:
        self._fetch(_remote, lambda dialog, found: dialog.show_public(found))

    def _download(self, dataset: str) -> None:
        self._fetch(partial(_downloaded, dataset), lambda dialog, found: dialog.show_datasets(found, dataset))

    def _fetch(self, work: Callable[[], Any], show: Callable[[MinariDialog, Any], None]) -> None:
        """Do something for the dialog that is open now; what fails is said in it."""
        dialog = self._dialog

        def done(found: Any) -> None:
            if dialog is not None and dialog is self._dialog:
                show(dialog, found)

        def fail(error: BaseException) -> None:
            if dialog is not None and dialog is self._dialog:
                dialog.show_problem(str(error))

        self._background(work, done, fail)


# These run off the GUI thread, and environments are imported there.


def _local() -> list[DatasetInfo]:
    from ewm_studio.data import minari_catalog

    return minari_catalog.local_datasets()


def _remote() -> list[DatasetInfo]:
    from ewm_studio.data import minari_catalog

    return minari_catalog.remote_datasets()


def _episodes(dataset: str) -> DatasetEpisodes:
    from ewm_studio.data import minari_catalog

    return minari_catalog.dataset_episodes(dataset)


def _downloaded(dataset: str) -> list[DatasetInfo]:
    from ewm_studio.data import minari_catalog

    minari_catalog.download(dataset)
    return minari_catalog.local_datasets()
