"""What can be chosen, and what fits: found out in the background whenever the choices change."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from ewm_studio.analysis.history import REWARD
from ewm_studio.analysis.inspection import Catalog, EnvironmentInfo, Inspection
from ewm_studio.settings import Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.kit.background import Background
from ewm_studio.ui.window.main_window import MainWindow

SETTLE_MILLISECONDS = 250  # after a change, before it is looked into


class Fitting(QObject):
    """Keeps the experiment panel told about components, environments, fits and sizes."""

    ready = Signal()  # the catalog is there

    def __init__(
        self, document: ExperimentDocument, window: MainWindow, in_background: Background, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._document, self._window, self._in_background = document, window, in_background
        self._environments: dict[str, EnvironmentInfo] = {}
        self._ready = False  # the catalog is there: inspections may be made
        self._later = QTimer(self)
        self._later.setInterval(SETTLE_MILLISECONDS)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._inspect)
        window.panel.inspection_wanted.connect(self._later.start)

    @property
    def busy(self) -> bool:
        """Whether something is still to be found out, besides what is in the background."""
        return not self._ready or self._later.isActive()

    def begin(self) -> None:
        """Load the catalog, which imports PyTorch."""
        self._in_background(_load_catalog, self._on_catalog)

    def end(self) -> None:
        """Look into nothing more."""
        self._later.stop()

    def _on_catalog(self, catalog: Catalog) -> None:
        self._ready = True
        self._window.panel.show_catalog(catalog)
        self._inspect()
        self.ready.emit()

    def _inspect(self) -> None:
        """Find out what the choices come to."""
        if not self._ready:
            return
        experiment = self._document.experiment
        known = self._environments.get(experiment.env.id)
        self._in_background(lambda: _inspect(experiment), self._on_inspection)
        if known is not None:
            self._on_environment(known)
        else:
            id = experiment.env.id
            self._in_background(lambda: _describe(id), self._on_environment, self._on_no_environment)

    def _on_inspection(self, inspection: Inspection) -> None:
        self._window.panel.show_inspection(inspection)
        self._window.vision_page.show_numbers(inspection.chosen.get("vision") == "Identity")

    def _on_environment(self, info: EnvironmentInfo) -> None:
        self._environments[info.id] = info
        self._window.panel.show_environment(info)
        page = self._window.train_page
        if info.id == self._document.experiment.env.id and not page.history[REWARD].value.size:
            page.set_threshold(info.reward_threshold)

    def _on_no_environment(self, error: BaseException) -> None:
        self._window.panel.environment.show_problem(str(error))


def _load_catalog() -> Catalog:
    from ewm_studio.analysis.inspection import load_catalog

    return load_catalog()


def _inspect(experiment: Experiment) -> Inspection:
    from ewm_studio.analysis.inspection import inspect

    return inspect(experiment)


def _describe(id: str) -> EnvironmentInfo:
    from ewm_studio.analysis.inspection import describe_environment

    return describe_environment(id)
