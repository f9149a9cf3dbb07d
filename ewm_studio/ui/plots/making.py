"""Making a page's plots without holding the window up."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

from ewm_studio.ui.kit.background import Background


def import_plots() -> None:
    """Have what draws plots ready: half a second, which must not be the window's."""
    import ewm_studio.ui.plots.card  # noqa: F401


class PlotMaking(QObject):
    """Makes plots one after the other while nothing else is to do, once what draws them is imported.

    Until then nothing on the window's thread may ask for one: it would wait for another thread's import.

    Args:
        make_one: makes the next plot; whether one was missing.
        made: is called when all are there.
    """

    def __init__(
        self, background: Background, make_one: Callable[[], bool], made: Callable[[], None], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._background, self._make_one, self._made = background, make_one, made
        self._idle = QTimer(self)
        self._idle.timeout.connect(self._on_idle)
        self.going_on = False

    def begin(self) -> None:
        """Import, then make."""
        self.going_on = True
        self._background(import_plots, lambda _: self._idle.start(0), lambda _: self._on_made())

    def end(self) -> None:
        """Make no more."""
        self._idle.stop()

    def _on_idle(self) -> None:
        if not self._make_one():
            self._on_made()

    def _on_made(self) -> None:
        self._idle.stop()
        self.going_on = False
        self._made()
