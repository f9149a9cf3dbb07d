"""`python -m tests.benchmarks.plots [POINTS]`: how long one plot takes to redraw, the median of 30 times."""

from __future__ import annotations

import os
import statistics
import sys
import time

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np

POINTS = 1_000_000
TIMES = 30


def main(points: int) -> None:
    """Redraw the reward (points) and a loss (line), in full and zoomed in, and print milliseconds."""
    from ewm_studio.analysis.history import REWARD, RunHistory
    from ewm_studio.ui.plots.card import PlotCard
    from ewm_studio.ui.plots.quantities import PlotOptions
    from ewm_studio.ui.window.app import make_app

    app = make_app()
    rng = np.random.default_rng(0)
    steps = np.arange(1.0, points + 1)
    history = RunHistory("benchmark")
    for tag in (REWARD, "ppo/value_loss"):
        history[tag].fill(steps, steps / 100, steps / 1000, np.cumsum(rng.standard_normal(points)) / 100)
    for tag in (REWARD, "ppo/value_loss"):
        card = PlotCard(tag, PlotOptions())
        card.resize(560, 300)
        card.show()
        card.show_history(history)
        for view in ("whole", "zoomed"):
            if view == "zoomed":
                card.canvas.zoomed = True
                card.canvas.getPlotItem().getViewBox().setXRange(points * 0.4, points * 0.41, padding=0)
            took = []
            for _ in range(TIMES):
                began = time.perf_counter()
                card.redraw()
                app.processEvents()
                card.canvas.viewport().repaint()
                took.append(1000 * (time.perf_counter() - began))
            print(f"{tag:16} {view:7} {points:,} points: {statistics.median(took):.1f} ms (worst {max(took):.1f})")
        card.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else POINTS)
