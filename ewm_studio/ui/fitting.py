"""What can be chosen, and what fits: found out in the background when the choices change."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer, Signal

from ewm_studio.analysis.inspection import Catalog, EnvironmentInfo, Inspection
from ewm_studio.errors import Untrusted
from ewm_studio.settings import Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.kit.background import Background

SETTLE_MILLISECONDS = 250  # after a change, before it is looked into


class Fitting(QObject):
    """Looks into components, environments, fits and sizes, and tells what it finds."""

    ready = Signal(object)  # the Catalog is there
    inspected = Signal(object)  # an Inspection of the present choices
    described = Signal(object)  # an EnvironmentInfo
    unknown = Signal(str)  # why the environment cannot be made
    untrusted = Signal(Untrusted)  # a file chose it, and its module was never agreed to

    def __init__(self, document: ExperimentDocument, background: Background, parent: QObject) -> None:
        super().__init__(parent)
        self._document, self._background = document, background
        self._environments: dict[str, EnvironmentInfo] = {}
        self._ready = False  # the catalog is there: inspections may be made
        self._later = QTimer(self)
        self._later.setInterval(SETTLE_MILLISECONDS)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._inspect)

    @property
    def busy(self) -> bool:
        """Whether something is still to be found out, besides what is in the background."""
        return not self._ready or self._later.isActive()

    def begin(self) -> None:
        """Load the catalog, which imports PyTorch."""
        self._background(_load_catalog, self._on_catalog)

    def inspect_soon(self) -> None:
        """The choices changed: find out what they come to, once they stay as they are."""
        self._later.start()

    def end(self) -> None:
        """Look into nothing more."""
        self._later.stop()

    def _on_catalog(self, catalog: Catalog) -> None:
        self._ready = True
        self.ready.emit(catalog)
        self._inspect()

    def _inspect(self) -> None:
        """Find out what the choices come to."""
        if not self._ready:
            return
        experiment = self._document.experiment
        known = self._environments.get(experiment.env.id)
        self._background(lambda: _inspect(experiment), self.inspected.emit)
        if known is not None:
            self._on_environment(known)
        else:
            id = experiment.env.id
            self._background(lambda: _describe(id), self._on_environment, self._on_no_environment)

    def _on_environment(self, info: EnvironmentInfo) -> None:
        self._environments[info.id] = info
        self.described.emit(info)

    def _on_no_environment(self, error: BaseException) -> None:
        self.unknown.emit(str(error))
        if isinstance(error, Untrusted):
            self.untrusted.emit(error)


def _load_catalog() -> Catalog:
    from ewm_studio.analysis.inspection import load_catalog
    from ewm_studio.processes.libraries import load_torch_libraries

    load_torch_libraries()  # else the import would hold the window up while the system loads them
    return load_catalog()


def _inspect(experiment: Experiment) -> Inspection:
    from ewm_studio.analysis.inspection import inspect

    return inspect(experiment)


def _describe(id: str) -> EnvironmentInfo:
    from ewm_studio.analysis.inspection import describe_environment

    return describe_environment(id)
