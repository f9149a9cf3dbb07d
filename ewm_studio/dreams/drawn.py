"""Dreams of numbers as pictures: drawn by the environment where its state can be set, else as lines over time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ewm_studio.dreams.real_world import RealWorld
from ewm_studio.errors import JobError, UserError

# Of environments whose observation is not their state: the state that it is of.
_STATES: dict[str, Callable[[NDArray], NDArray]] = {
    "Pendulum": lambda seen: np.array([math.atan2(seen[1], seen[0]), seen[2]]),
    "Acrobot": lambda seen: np.array([math.atan2(seen[1], seen[0]), math.atan2(seen[3], seen[2]), seen[4], seen[5]]),
}
SIZE = (240, 160)  # of a picture of lines, width and height
SHOWN = 120  # steps of one
_BACKGROUND = (20, 22, 26)
_LINES = ((167, 139, 250), (45, 212, 191), (251, 146, 60), (96, 165, 250), (244, 114, 182), (163, 230, 53))


class StateCamera:
    """Has an environment draw states that it is not in."""

    def __init__(self, world: RealWorld) -> None:
        """Look whether the environment can; see `works`."""
        self._world = world
        self._inner: Any = world.env.unwrapped
        spec = world.env.spec
        self._state_of = _STATES.get(spec.name if spec else "", lambda seen: seen)
        self.works = self._tried()

    def picture(self, seen: NDArray) -> np.ndarray | None:
        """What it draws where numbers (D,) are observed; None where it does not."""
        if not self.works:
            return None
        kind = type(self._inner.state)
        state = self._state_of(np.asarray(seen, np.float64))
        self._inner.state = tuple(state.tolist()) if kind is tuple else state
        return self._world.picture()

    def _tried(self) -> bool:
        """Whether what it observes is its state, and it draws."""
        with contextlib.suppress(JobError, UserError):
            self._world.lead(0, np.zeros(0))
            state = getattr(self._inner, "state", None)
            if not isinstance(state, tuple | list | np.ndarray):
                return False
            seen = np.asarray(self._world.raw(), np.float64)
            found = self._state_of(seen)
            return np.shape(state) == found.shape and np.allclose(state, found, atol=1e-5) and self._drew()
        return False

    def _drew(self) -> bool:
        return self._world.picture() is not None


def lines(values: Sequence[NDArray]) -> np.ndarray:
    """Numbers (D,) of each step as lines over time, the last steps, uint8 (H, W, 3)."""
    width, height = SIZE
    image = Image.new("RGB", SIZE, _BACKGROUND)
    draw = ImageDraw.Draw(image)
    shown = np.stack(values[-SHOWN:]).astype(float).reshape(min(len(values), SHOWN), -1)
    least, most = np.nanmin(shown, 0), np.nanmax(shown, 0)
    span = np.where(most > least, most - least, 1.0)
    lane = height / shown.shape[1]
    for column in range(shown.shape[1]):
        height_of = (column + 0.9 - 0.8 * (shown[:, column] - least[column]) / span[column]) * lane
        points = [(float(t * (width - 1) / max(SHOWN - 1, 1)), float(y)) for t, y in enumerate(height_of)]
        color = _LINES[column % len(_LINES)]
        draw.line(points, fill=color, width=1) if len(points) > 1 else draw.point(points, fill=color)
    return np.array(image)
