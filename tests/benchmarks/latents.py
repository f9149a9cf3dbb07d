"""`python -m tests.benchmarks.latents`: milliseconds of the latent explorer's redraws, the median and the worst of 60.

Episodes of 1,000 decisions and 32 latent numbers, one alone and ten in one plane: what a moved pointer and a moved
cursor cost, and what drawing everything anew costs.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np

if TYPE_CHECKING:
    from ewm_studio.analysis.trace import ReplayTrace
    from ewm_studio.models.base import VisionModel

DECISIONS, NUMBERS, REPEAT = 1000, 32, 4
TIMES = 60


def trace(rng: np.random.Generator) -> ReplayTrace:
    """An episode with invented latents and pictures."""
    from ewm_studio.analysis.trace import ReplayTrace

    count, frames = DECISIONS + 1, DECISIONS * REPEAT
    z = np.cumsum(rng.standard_normal((count, NUMBERS)) * np.linspace(1, 0.1, NUMBERS), axis=0).astype(np.float32)
    pictures = rng.integers(0, 256, (64, 96, 96, 3), dtype=np.uint8)
    return ReplayTrace(
        frames=pictures[np.arange(frames + 1) % 64],
        fps=50.0,
        decision_of=np.append(np.arange(frames) // REPEAT, DECISIONS),
        seen=None,
        reconstruction=pictures[np.arange(count) % 64],
        prediction=None,
        z=z,
        h=np.zeros((count, 0), np.float32),
        action=np.zeros((DECISIONS, 1), np.float32),
        action_names=("action",),
        reward=rng.standard_normal(frames),
        value=np.zeros(DECISIONS, np.float32),
        entropy=np.zeros(DECISIONS, np.float32),
        surprise=np.square(rng.standard_normal(count)).astype(np.float32),
    )


def main() -> None:
    """Time every kind of redraw with one episode and with ten."""
    from PySide6.QtCore import QPoint, QPointF
    from PySide6.QtTest import QTest

    from ewm_studio.analysis.latent_space import explore, latent_path_of
    from ewm_studio.ui.latents.explorer import LatentExplorer
    from ewm_studio.ui.window.app import make_app

    app = make_app()
    rng = np.random.default_rng(0)
    watched = trace(rng)
    others = [latent_path_of(trace(rng), seed) for seed in range(1, 10)]
    vision = _vision()
    explorer = LatentExplorer()
    explorer.resize(1600, 900)
    explorer.show()
    plane, over = explorer.plane, explorer.time

    def point(turn: int) -> QPoint:
        return QPointF(*plane.points[turn % len(plane.points)][turn * 13 % DECISIONS]).toPoint()

    works: dict[str, Callable[[int], object]] = {
        "hover, plane": lambda turn: QTest.mouseMove(plane, point(turn)),
        "hover, heat map": lambda turn: QTest.mouseMove(over, QPoint(80 + turn * 7, 60)),
        "moved cursor": lambda turn: explorer.show_frame(turn * 52),
        "drawn anew, plane": lambda turn: plane.forget(),
        "drawn anew, heat map": lambda turn: over.forget(),
    }
    for count in (1, 10):
        began = time.perf_counter()
        exploration = explore(watched, 0, vision, others[: count - 1])
        print(f"{count:2} episodes  laid out off the GUI thread {1000 * (time.perf_counter() - began):7.1f} ms")
        explorer.show_exploration(exploration)
        app.processEvents()
        for name, work in works.items():
            took = []
            for turn in range(TIMES):
                began = time.perf_counter()
                work(turn)
                app.processEvents()
                took.append(1000 * (time.perf_counter() - began))
            print(f"{count:2} episodes  {name:22} {statistics.median(took):6.1f} ms (worst {max(took):.1f})")
    explorer.close()


def _vision() -> VisionModel[Any]:
    """An untrained vision model of the usual size."""
    from gymnasium.spaces import Box

    from ewm_studio.models.vision.conv_vae import ConvVAE

    return ConvVAE(ConvVAE.Settings(latent_dim=NUMBERS), Box(0, 255, (3, 64, 64), np.uint8))


if __name__ == "__main__":
    main()
