"""Runs laid over one another on a plot: a line in each run's color, and over seeds a mean in its band."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QColor

from ewm_studio.analysis.history import RunHistory
from ewm_studio.analysis.seeds import Band, band_over
from ewm_studio.ui.plots.canvas import Canvas
from ewm_studio.ui.plots.quantities import PlotOptions

FAINT, BAND = 110, 60  # opacity of a run whose group has a mean, and of the band around that
Curve = Callable[[RunHistory], tuple[np.ndarray, np.ndarray]]  # positions and running mean, as they are drawn


class Overlay:
    """The lines on one canvas that are not the shown run's own."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self.lines: list[pg.PlotDataItem] = []
        self.means: list[pg.PlotDataItem] = []
        self.bands: list[tuple[pg.PlotDataItem, pg.PlotDataItem, pg.FillBetweenItem]] = []

    def draw(self, shown: RunHistory, options: PlotOptions, curve: Curve) -> None:
        """Draw all runs but the shown one, and the mean of each group of seeds.

        Args:
            shown: the run whose line is drawn by whoever calls.
            options: which runs, in which colors.
            curve: a run's line.
        """
        item = self._canvas.getPlotItem()
        while len(self.lines) > len(options.compared):
            item.removeItem(self.lines.pop())
        while len(self.lines) < len(options.compared):
            self.lines.append(self._line())
        groups = options.groups(shown)
        in_group = {id(history): group[0] for group in groups for history in group}
        for line, history in zip(self.lines, options.compared, strict=True):
            first = in_group.get(id(history))
            shade = options.colors.color(first.name, FAINT) if first else options.colors.color(history.name)
            line.setPen(pg.mkPen(shade, width=1))
            line.setData(*curve(history), connect="finite")
        self._fit_means(len(groups))
        for mean, band, group in zip(self.means, self.bands, groups, strict=True):
            found = band_over([curve(history) for history in group])
            self._draw_band(mean, band, found, group[0].name, options)

    def _fit_means(self, count: int) -> None:
        item = self._canvas.getPlotItem()
        while len(self.means) > count:
            item.removeItem(self.means.pop())
            for part in reversed(self.bands.pop()):
                item.removeItem(part)
        while len(self.means) < count:
            unseen = pg.mkPen(QColor(0, 0, 0, 0))  # without a pen it would have no path to fill up to
            low, high = pg.PlotDataItem(pen=unseen), pg.PlotDataItem(pen=unseen)
            fill = pg.FillBetweenItem(low, high)
            for part in (low, high, fill):
                item.addItem(part)
            self.bands.append((low, high, fill))
            self.means.append(self._line())

    def _draw_band(
        self,
        mean: pg.PlotDataItem,
        band: tuple[pg.PlotDataItem, pg.PlotDataItem, pg.FillBetweenItem],
        found: Band,
        name: str,
        options: PlotOptions,
    ) -> None:
        low, high, fill = band
        mean.setPen(pg.mkPen(options.colors.color(name), width=2))
        mean.setData(found.x, found.mean)
        low.setData(found.x, found.low)
        high.setData(found.x, found.high)
        fill.setBrush(options.colors.color(name, BAND))

    def _line(self) -> pg.PlotDataItem:
        line = pg.PlotDataItem()
        line.setDownsampling(auto=True, method="peak")
        line.setClipToView(True)
        self._canvas.getPlotItem().addItem(line)
        return line
