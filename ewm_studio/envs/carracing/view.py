"""What the fast CarRacing draws with: a camera, the polygons that it sees, and surfaces that outlive a frame."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
import pygame
from gymnasium.envs.box2d.car_racing import GRASS_DIM, PLAYFIELD, STATE_H, STATE_W, WINDOW_H, WINDOW_W
from pygame import gfxdraw

from ewm_studio.envs.carracing.compiled import Painter, load_kernel

BAR_H = WINDOW_H // 8  # rows of the instrument bar: 5 of 40 parts
VIEW_H = WINDOW_H - BAR_H  # rows of the picture that show the track
MARGIN = 3.0  # pixels around the screen from which a polygon could still touch it
_SLACK = 10.0  # how far, in units of the world, the camera moves before polygons are chosen anew

Point = tuple[float, float]


class Camera:
    """From the world to pixels: turn by an angle, zoom, shift. Rows above `top` are not looked at."""

    def __init__(self, angle: float, zoom: float, shift: Point, top: int) -> None:
        # As pygame turns vectors, its special treatment of right angles included.
        unit = pygame.math.Vector2(1, 0).rotate_rad(angle)
        self.cos, self.sin = unit.x, unit.y
        self.zoom, self.shift, self.top = zoom, shift, top

    @property
    def numbers(self) -> np.ndarray:
        """Cosine, sine, zoom and shift, float64 (5,)."""
        return np.array((self.cos, self.sin, self.zoom, *self.shift))

    def pixels(self, points: Iterable[Point]) -> list[Point]:
        """Points of the world in pixels, computed as the stock environment does, in its order."""
        cos, sin, zoom, (shift_x, shift_y) = self.cos, self.sin, self.zoom, self.shift
        return [((cos * x - sin * y) * zoom + shift_x, (sin * x + cos * y) * zoom + shift_y) for x, y in points]

    def inside_field(self) -> bool:
        """Whether the whole screen lies inside the playfield."""
        for x in (-MARGIN, WINDOW_W + MARGIN):
            for y in (-MARGIN, WINDOW_H + MARGIN):
                across, along = (x - self.shift[0]) / self.zoom, (y - self.shift[1]) / self.zoom
                world_x, world_y = self.cos * across + self.sin * along, self.cos * along - self.sin * across
                if max(abs(world_x), abs(world_y)) > PLAYFIELD - 1:
                    return False
        return True


class Polygons:
    """Quadrilaterals of the world, and which of them the camera sees.

    Args:
        corners: (N, 4, 2), in units of the world.
    """

    corners: np.ndarray

    def __init__(self, corners: np.ndarray) -> None:
        self.corners = corners
        self._x, self._y = np.ascontiguousarray(corners[:, :, 0]), np.ascontiguousarray(corners[:, :, 1])
        center = corners.mean(axis=1)
        self._center = center[:, 0] + 1j * center[:, 1]
        self._radius = np.sqrt(((corners - center[:, None]) ** 2).sum(axis=2)).max(axis=1, initial=0.0)
        self._near: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # numbers, and their corners' x and y
        self._near_to, self._near_zoom = 0j, 0.0

    def seen(self, camera: Camera) -> tuple[list[int], list[list[Point]]]:
        """Numbers and corners, in pixels, of those that may touch the screen."""
        cos, sin, zoom, (shift_x, shift_y) = camera.cos, camera.sin, camera.zoom, camera.shift
        index, x, y = self._around(camera)
        # By corners, computed as the stock environment does, in its order.
        pixels = np.empty((len(index), 4, 2))
        across, along = pixels[:, :, 0], pixels[:, :, 1]
        across[:] = (cos * x - sin * y) * zoom + shift_x
        along[:] = (sin * x + cos * y) * zoom + shift_y
        touches = (across.max(axis=1) > -MARGIN) & (across.min(axis=1) < WINDOW_W + MARGIN)
        touches &= (along.max(axis=1) > camera.top - MARGIN) & (along.min(axis=1) < WINDOW_H + MARGIN)
        return index[touches].tolist(), pixels[touches].tolist()

    def _around(self, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A rough choice: numbers (n,) of those around what the camera sees, and their corners' x and y (n, 4).

        It is made anew only where the camera has moved further than `_SLACK`, or zooms.
        """
        height = WINDOW_H - camera.top
        middle = complex(WINDOW_W / 2 - camera.shift[0], camera.top + height / 2 - camera.shift[1]) / camera.zoom
        middle *= complex(camera.cos, -camera.sin)  # turned back into the world
        if self._near is None or camera.zoom != self._near_zoom or abs(middle - self._near_to) > _SLACK:
            reach = (math.hypot(WINDOW_W, height) / 2 + 2 * MARGIN) / camera.zoom + _SLACK
            index = (np.abs(self._center - middle) < self._radius + reach).nonzero()[0]
            self._near = index, self._x[index], self._y[index]
            self._near_to, self._near_zoom = middle, camera.zoom
        return self._near


def grass() -> np.ndarray:
    """Corners (400, 4, 2) of the grass patches, in the order in which they are drawn."""
    corners = np.array([(GRASS_DIM, 0), (0, 0), (0, GRASS_DIM), (GRASS_DIM, GRASS_DIM)])
    origins = np.array([(GRASS_DIM * x, GRASS_DIM * y) for x in range(-20, 20, 2) for y in range(-20, 20, 2)])
    return origins[:, None] + corners


class Canvas:
    """Surfaces, font and texts; one canvas serves every environment of a process.

    Attributes:
        world: the picture before it is turned over, 1000x800; its first `BAR_H` rows end up under the instruments.
        seen: the same picture, which takes no paint in the rows that nobody sees. Only for what may be clipped:
            antialiased lines may not, since where they are clipped decides how they are shaded.
        bar: a picture of which only the lowest `BAR_H` rows are used, the instruments; turned over already.
        bar_view: those rows.
        painter: paints frames by compiled code; None where there is none.
    """

    def __init__(self) -> None:
        self.world, pixels = _surface(WINDOW_W, WINDOW_H)
        self.seen = pygame.image.frombuffer(pixels.data, (WINDOW_W, WINDOW_H), "RGBX")
        self.seen.set_clip((0, BAR_H, WINDOW_W, VIEW_H))
        self._words = pixels.view(np.uint32)[:, :, 0]
        self._view = self.world.subsurface((0, BAR_H, WINDOW_W, VIEW_H))
        self.bar, bar_pixels = _surface(WINDOW_W, WINDOW_H)
        self.bar_view = self.bar.subsurface((0, VIEW_H, WINDOW_W, BAR_H))
        self._shrinkers: dict[tuple[int, int], _Shrinker] = {}
        self._font = self._load_font()
        self._texts: dict[str, pygame.Surface] = {}
        kernel = load_kernel()
        words = bar_pixels.view(np.uint32)[VIEW_H:, :, 0]
        self.painter = Painter(kernel, self._words, words) if kernel else None

    def fill(self, color: tuple[int, ...], top: int) -> None:
        """Paint the rows of `world` from `top` on.

        By NumPy, since pygame's `fill` goes past the processor's cache, from where the polygons are drawn twice as
        fast.
        """
        self._words[top:].fill(np.array([*color[:3], 0], np.uint8).view(np.uint32)[0])

    def shrunk(self, width: int, height: int) -> np.ndarray:
        """The picture of `world`, turned over, above that of `bar`: uint8 (height, width, 3)."""
        return self._shrinker(width, height).two_parts(self._view, self.bar_view)

    def frame(self) -> np.ndarray:
        """What the painter has painted: uint8 (96, 96, 3)."""
        assert self.painter is not None
        return self._shrinker(STATE_W, STATE_H).painted(self.painter)

    def shrunk_whole(self, surface: pygame.Surface, width: int, height: int) -> np.ndarray:
        """The picture of `surface`, of the size and format of `world`: uint8 (height, width, 3)."""
        return self._shrinker(width, height).whole(surface)

    def text(self, words: str) -> pygame.Surface:
        """White letters on black."""
        if words not in self._texts:
            if len(self._texts) > 4096:
                self._texts.clear()
            try:
                text = self._font.render(words, True, (255, 255, 255), (0, 0, 0))
            except pygame.error:  # closing any environment's window ends pygame, and with it the font
                self._font = self._load_font()
                text = self._font.render(words, True, (255, 255, 255), (0, 0, 0))
            self._texts[words] = text.convert(self.world)
        return self._texts[words]

    @staticmethod
    def _load_font() -> pygame.font.Font:
        pygame.font.init()
        return pygame.font.Font(pygame.font.get_default_font(), 42)

    def _shrinker(self, width: int, height: int) -> _Shrinker:
        if (width, height) not in self._shrinkers:
            self._shrinkers[width, height] = _Shrinker(width, height)
        return self._shrinkers[width, height]


class _Shrinker:
    """Shrinks pictures of the window to one size, as `smoothscale` does: first in width, then in height."""

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self._turned, self._turned_pixels = _surface(width, VIEW_H)
        self._narrow, self._narrow_pixels = _surface(width, WINDOW_H)
        self._narrow_words = self._narrow_pixels.view(np.uint32)[:, :, 0]
        self._narrow_bar = self._narrow.subsurface((0, VIEW_H, width, BAR_H))
        self._small, self._small_pixels = _surface(width, height)

    def two_parts(self, view: pygame.Surface, bar: pygame.Surface) -> np.ndarray:
        """`view`, which is still to be turned over, above `bar`."""
        # Width and height are shrunk one after the other, so turning over may come in between.
        pygame.transform.smoothscale(view, self._turned.get_size(), self._turned)
        pygame.transform.smoothscale(bar, self._narrow_bar.get_size(), self._narrow_bar)
        self._narrow_pixels[:VIEW_H] = self._turned_pixels[::-1]
        return self.whole(self._narrow)

    def painted(self, painter: Painter) -> np.ndarray:
        """What `painter` has painted."""
        painter.shrink(self._narrow_words)
        return self.whole(self._narrow)

    def whole(self, surface: pygame.Surface) -> np.ndarray:
        """One picture."""
        pygame.transform.smoothscale(surface, self._size, self._small)
        picture = np.empty((*self._size[::-1], 3), np.uint8)
        for channel in range(3):
            picture[:, :, channel] = self._small_pixels[:, :, channel]
        return picture


def _surface(width: int, height: int) -> tuple[pygame.Surface, np.ndarray]:
    """A surface, and the memory (height, width, 4) of its pixels, red, green, blue and one unused."""
    pixels = np.zeros((height, width, 4), np.uint8)
    return pygame.image.frombuffer(pixels.data, (width, height), "RGBX"), pixels


# Held while drawing: threads share the canvas, and gfxdraw's one buffer for polygons, which it uses without the GIL.
drawing = threading.Lock()
_canvas: Canvas | None = None


def get_canvas() -> Canvas:
    """The canvas of this process, for who holds `drawing`."""
    global _canvas
    if _canvas is None:
        _canvas = Canvas()
    return _canvas


def painted(color: Any) -> tuple[int, int, int, int]:
    """The color that pygame paints for this one, which may have fractions."""
    dot = pygame.Surface((4, 4), depth=32)
    gfxdraw.filled_polygon(dot, [(0, 0), (3, 0), (3, 3), (0, 3)], color)
    return tuple(dot.get_at((1, 1)))  # type: ignore[return-value]
