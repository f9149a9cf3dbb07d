"""The compiled drawing of CarRacing: used where Numba is installed and paints what pygame paints."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pygame
from Box2D import b2World
from gymnasium.envs.box2d.car_racing import WINDOW_H, WINDOW_W
from pygame import gfxdraw

_KERNEL = "ewm_studio.envs.carracing.kernel"
_TOP, _COLUMNS, _MARGIN = 100, 96, 3.0  # of the pictures that are compared
_PICTURES, _POLYGONS = 4, 24
_CORNERS = 8
_UNTURNED = np.array([1.0, 0.0, 1.0, 0.0, 0.0])  # a camera that looks straight at the pixels


def load_kernel() -> ModuleType | None:
    """The compiled functions; None where Numba is not installed, does not work here, or paints other pixels."""
    try:
        if importlib.import_module("numba").config.DISABLE_JIT:
            return None
        kernel = importlib.import_module(_KERNEL)
        return kernel if agrees(kernel) else None
    except Exception:  # whatever is wrong with an optional compiler: pygame draws as well
        return None


def agrees(kernel: Any) -> bool:
    """Whether `kernel` paints, places and shrinks random polygons as pygame and Box2D do, bit for bit."""
    rng = np.random.default_rng(0)
    return _moves_alike(rng) and all(_paints_alike(kernel, rng) for _ in range(_PICTURES))


def _paints_alike(kernel: Any, rng: np.random.Generator) -> bool:
    pixels = np.zeros((WINDOW_H, WINDOW_W, 4), np.uint8)
    surface = pygame.image.frombuffer(pixels.data, (WINDOW_W, WINDOW_H), "RGBX")
    words = np.zeros((WINDOW_H, WINDOW_W), np.uint32)
    cell = kernel.cells(WINDOW_W, _COLUMNS)
    mixed = np.zeros((WINDOW_H, _COLUMNS + 1), bool)
    unmoved, first = np.array([[0, 0, 0, 1]], np.float32), np.zeros(1, np.int64)
    for _ in range(_POLYGONS):
        middle, size = rng.uniform((-100, 0), (WINDOW_W + 100, WINDOW_H + 100)), rng.choice((5, 60, 600))
        corners = (middle + rng.uniform(-size, size, (_CORNERS, 2))).astype(np.float32).astype(np.float64)
        color = rng.integers(0, 256, 3)
        word = (color @ (1, 256, 65536)).astype(np.uint32)[None]
        points, paint = [tuple(point) for point in corners.tolist()], (*color.tolist(), 255)
        gfxdraw.aapolygon(surface, points[:4], paint)
        gfxdraw.filled_polygon(surface, points[:4], paint)
        kernel.paint_track(words, mixed, cell, 0, _MARGIN, corners[None, :4], word, _UNTURNED)
        pygame.draw.polygon(surface, tuple(255 - color), [(y, x) for x, y in points])
        count, shape = np.array([_CORNERS]), corners[None, :, ::-1].astype(np.float32)
        kernel.paint_car(words, mixed, cell, 0, unmoved, shape, count, first, word ^ np.uint32(0xFFFFFF), _UNTURNED)
    if (words != pixels.view(np.uint32)[:, :, 0] & 0xFFFFFF).any():
        return False
    shrunk = pygame.transform.smoothscale(surface, (_COLUMNS, WINDOW_H))
    rows = np.empty((WINDOW_H - _TOP, _COLUMNS), np.uint32)
    kernel.shrink_rows(words, mixed, _TOP, True, rows)
    expected = pygame.surfarray.array3d(shrunk).transpose(1, 0, 2)[: _TOP - 1 : -1]
    return bool((rows.view(np.uint8).reshape(*rows.shape, 4)[:, :, :3] == expected).all())


def _moves_alike(rng: np.random.Generator) -> bool:
    """Whether Box2D places points with the roundings of 32 bits, each operation by itself."""
    world = b2World()  # lives as long as its bodies are looked at
    body = world.CreateDynamicBody(position=rng.uniform(-300, 300, 2), angle=2.3)
    points = rng.uniform(-3, 3, (50, 2)).astype(np.float32)
    turn, at = body.transform.q, np.array(body.position.tuple, np.float32)
    sin, cos = np.float32(turn.s), np.float32(turn.c)
    x, y = points.T
    placed = np.stack([(cos * x - sin * y) + at[0], (sin * x + cos * y) + at[1]], axis=1)
    return bool((placed == np.array([body.GetWorldPoint(point).tuple for point in points.tolist()])).all())


class Painter:
    """Paints the pictures of an environment of 96 x 96 with the compiled functions; one serves a process.

    Args:
        kernel: of `load_kernel`.
        words, bar: memory of the picture (800, 1000), and of its instruments (100, 1000).
    """

    def __init__(self, kernel: Any, words: np.ndarray, bar: np.ndarray) -> None:
        self._kernel, self._words, self._bar = kernel, words, bar
        self._cell = kernel.cells(WINDOW_W, _COLUMNS)
        self._mixed = np.zeros((len(words), _COLUMNS + 1), bool)
        self._bar_mixed = np.zeros((len(bar), _COLUMNS + 1), bool)

    def begin(self, plain: bool) -> None:
        """Begin on a picture of one color, or on one of which nothing is known."""
        self._mixed.fill(not plain)

    def track(self, corners: np.ndarray, colors: np.ndarray, view: np.ndarray, margin: float) -> None:
        """Quadrilaterals (N, 4, 2) of the world and their colors, uint32 (N,), as a camera sees them."""
        top = len(self._bar)
        self._kernel.paint_track(self._words, self._mixed, self._cell, top, margin, corners, colors, view)

    def car(self, car: Shapes, bodies: np.ndarray, view: np.ndarray) -> None:
        """A car whose bodies are at `bodies`: position, sine and cosine of each, float32 (B, 4)."""
        self._kernel.paint_car(
            self._words, self._mixed, self._cell, len(self._bar), bodies, car.corners, car.counts, car.body_of,
            car.colors, view,
        )  # fmt: skip

    def boxes(self, boxes: np.ndarray, colors: np.ndarray) -> None:
        """Instruments on black: two corners (N, 4) each, in pixels of the picture, and their colors, uint32 (N,)."""
        self._bar.fill(0)
        self._bar_mixed.fill(False)
        first = len(self._words) - len(self._bar)
        self._kernel.paint_boxes(self._bar, self._bar_mixed, self._cell, first, boxes, colors)

    def mix_bar(self, rect: pygame.Rect) -> None:
        """Tell that pygame painted on a part of the instruments."""
        left, right = max(rect.left, 0), min(rect.right, WINDOW_W)
        self._bar_mixed[max(rect.top, 0) : rect.bottom, self._cell[left] : self._cell[right] + 1] = True

    def shrink(self, out: np.ndarray) -> None:
        """The picture, turned over, and the instruments below it, shrunk in width: uint32 (800, 96)."""
        split = len(self._words) - len(self._bar)
        self._kernel.shrink_rows(self._words, self._mixed, len(self._bar), True, out[:split])
        self._kernel.shrink_rows(self._bar, self._bar_mixed, 0, False, out[split:])


class Shapes:
    """What there is to draw of a car, as arrays.

    Attributes:
        corners, counts: (K, P, 2) in units of each shape's body, and how many of the P corners it has.
        body_of, colors: number of the body, and the color as a word, of each shape (K,).
    """

    def __init__(self, shapes: list[list[tuple[float, float]]], body_of: list[int], colors: list[int]) -> None:
        self.counts = np.array([len(shape) for shape in shapes], np.int64)
        self.corners = np.zeros((len(shapes), max(4, *self.counts), 2), np.float32)
        for corners, shape in zip(self.corners, shapes, strict=True):
            corners[: len(shape)] = np.reshape(shape, (-1, 2))
        self.body_of, self.colors = np.array(body_of, np.int64), np.array(colors, np.uint32)

    def reshape(self, number: int, corners: list[tuple[float, float]]) -> None:
        """Give a shape other corners, at most four; or none, and it is not drawn."""
        self.counts[number] = len(corners)
        if corners:
            self.corners[number, : len(corners)] = corners
