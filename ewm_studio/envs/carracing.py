"""CarRacing, many times faster, with the same frames, rewards and infos, bit for bit.

The stock environment spends nearly all its time drawing: some 700 polygons a frame are transformed one corner at a
time, of which about 25 touch the screen, and a picture of 1000x800 is made, turned over and shrunk to 96x96. Here
the polygons that touch the screen are found with one NumPy expression, buffers, font and texts are kept, and the
picture is turned over after it was shrunk in width, when it is a tenth as large. Frames that nobody looks at are not
drawn at all (`draw`, `frame`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pygame
from gymnasium.envs.box2d.car_dynamics import SIZE, WHEEL_R, WHEEL_W, WHEEL_WHITE
from gymnasium.envs.box2d.car_racing import (
    FPS,
    GRASS_DIM,
    PLAYFIELD,
    SCALE,
    STATE_H,
    STATE_W,
    WINDOW_H,
    WINDOW_W,
    ZOOM,
    CarRacing,
)
from pygame import gfxdraw

ZOOM_FRAMES = FPS  # at the start of an episode, in which the camera comes down to the car: one second
BAR_H = WINDOW_H // 8  # rows of the instrument bar: 5 of 40 parts
VIEW_H = WINDOW_H - BAR_H  # rows of the picture that show the track
_MARGIN = 3.0  # pixels around the screen from which a polygon could still touch it
_BAR_LIMIT = (BAR_H - 2) / (WINDOW_H / 40) - 1  # the tallest instrument that stays inside the bar


def _grass() -> np.ndarray:
    """Corners (400, 4, 2) of the grass patches, in the order in which they are drawn."""
    corners = np.array([(GRASS_DIM, 0), (0, 0), (0, GRASS_DIM), (GRASS_DIM, GRASS_DIM)])
    origins = np.array([(GRASS_DIM * x, GRASS_DIM * y) for x in range(-20, 20, 2) for y in range(-20, 20, 2)])
    return origins[:, None] + corners


class _Polygons:
    """Quadrilaterals of the track, and which of them the camera sees."""

    def __init__(self, corners: np.ndarray) -> None:
        self.corners = corners  # (N, 4, 2), in units of the world
        self.x, self.y = np.ascontiguousarray(corners[:, :, 0]), np.ascontiguousarray(corners[:, :, 1])
        center = corners.mean(axis=1)
        self.center_x, self.center_y = np.ascontiguousarray(center[:, 0]), np.ascontiguousarray(center[:, 1])
        self.radius = float(np.sqrt(((corners - center[:, None]) ** 2).sum(axis=2)).max(initial=0.0))

    def seen(self, camera: _Camera) -> tuple[list[int], list[list[tuple[float, float]]]]:
        """Numbers and corners, in pixels, of those that may touch the screen."""
        cos, sin, zoom, (shift_x, shift_y) = camera.cos, camera.sin, camera.zoom, camera.shift
        # First a rough choice by centers, then corners, computed as the stock environment does, in its order.
        reach = self.radius * zoom + _MARGIN
        off_x = (cos * self.center_x - sin * self.center_y) * zoom + (shift_x - WINDOW_W / 2)
        off_y = (sin * self.center_x + cos * self.center_y) * zoom + (shift_y - (camera.top + WINDOW_H) / 2)
        near = (np.abs(off_x) < WINDOW_W / 2 + reach) & (np.abs(off_y) < (WINDOW_H - camera.top) / 2 + reach)
        index = near.nonzero()[0]
        x, y = self.x[index], self.y[index]
        pixels = np.empty((len(index), 4, 2))
        pixels[:, :, 0] = (cos * x - sin * y) * zoom + shift_x
        pixels[:, :, 1] = (sin * x + cos * y) * zoom + shift_y
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        touches = (high > camera.low).all(axis=1) & (low < camera.high).all(axis=1)
        return index[touches].tolist(), pixels[touches].tolist()


class _Camera:
    """From the world to pixels: turn by an angle, zoom, shift. Rows above `top` are not looked at."""

    def __init__(self, angle: float, zoom: float, shift: tuple[float, float], top: int) -> None:
        # As pygame turns vectors, its special treatment of right angles included.
        unit = pygame.math.Vector2(1, 0).rotate_rad(angle)
        self.cos, self.sin = unit.x, unit.y
        self.zoom, self.shift, self.top = zoom, shift, top
        self.low = np.array([-_MARGIN, top - _MARGIN])
        self.high = np.array([WINDOW_W + _MARGIN, WINDOW_H + _MARGIN])

    def pixels(self, points: Any) -> list[tuple[float, float]]:
        """Points of the world in pixels."""
        cos, sin, zoom, (x, y) = self.cos, self.sin, self.zoom, self.shift
        return [((cos * p[0] - sin * p[1]) * zoom + x, (sin * p[0] + cos * p[1]) * zoom + y) for p in points]

    def inside_field(self) -> bool:
        """Whether the whole screen lies inside the playfield."""
        for x in (-_MARGIN, WINDOW_W + _MARGIN):
            for y in (-_MARGIN, WINDOW_H + _MARGIN):
                across, along = (x - self.shift[0]) / self.zoom, (y - self.shift[1]) / self.zoom
                world_x, world_y = self.cos * across + self.sin * along, self.cos * along - self.sin * across
                if max(abs(world_x), abs(world_y)) > PLAYFIELD - 1:
                    return False
        return True


_GRASS = _grass()


class _Canvas:
    """Surfaces, font and texts that outlive a frame and an episode; one for each process."""

    def __init__(self) -> None:
        self.world = pygame.Surface((WINDOW_W, WINDOW_H), depth=32)
        self.view = self.world.subsurface((0, BAR_H, WINDOW_W, VIEW_H))  # before it is turned over
        self.bar = pygame.Surface((WINDOW_W, WINDOW_H), depth=32)
        self.bar_view = self.bar.subsurface((0, VIEW_H, WINDOW_W, BAR_H))
        self.turned, self.turned_pixels = _shared(STATE_W, VIEW_H)
        self.narrow, self.narrow_pixels = _shared(STATE_W, WINDOW_H)
        self.narrow_bar = self.narrow.subsurface((0, VIEW_H, STATE_W, BAR_H))
        self.small, self.small_pixels = _shared(STATE_W, STATE_H)
        self.font = self._load_font()
        self.texts: dict[str, pygame.Surface] = {}

    @staticmethod
    def _load_font() -> pygame.font.Font:
        pygame.font.init()
        return pygame.font.Font(pygame.font.get_default_font(), 42)

    def text(self, words: str) -> pygame.Surface:
        """White letters on black."""
        if words not in self.texts:
            if len(self.texts) > 4096:
                self.texts.clear()
            try:
                text = self.font.render(words, True, (255, 255, 255), (0, 0, 0))
            except pygame.error:  # closing any environment's window ends pygame, and with it the font
                self.font = self._load_font()
                text = self.font.render(words, True, (255, 255, 255), (0, 0, 0))
            self.texts[words] = text
        return self.texts[words]


def _shared(width: int, height: int) -> tuple[pygame.Surface, np.ndarray]:
    """A surface, and the memory (height, width, 4) of its pixels, blue, green, red and one unused."""
    pixels = np.zeros((height, width, 4), np.uint8)
    return pygame.image.frombuffer(pixels.data, (width, height), "BGRA"), pixels


_canvas: _Canvas | None = None


def _get_canvas() -> _Canvas:
    global _canvas
    if _canvas is None:
        _canvas = _Canvas()
    return _canvas


class FastCarRacing(CarRacing):
    """Gymnasium's CarRacing with another way of drawing the same pictures.

    Attributes:
        draw: whether `reset` and `step` draw the frame that they return. If not, they return the frame drawn last,
            and `frame()` draws the present one for those who want to see it.
    """

    draw: bool = True
    state: np.ndarray | None = None
    car: Any
    surf: Any
    _shown_reward = 0.0
    _polygons: _Polygons
    _polygons_of: Any = None  # the track that `_polygons` is of
    _body_of: Any = None
    _body: list[Any]

    def frame(self) -> np.ndarray:
        """The frame after the last step, uint8 (96, 96, 3), as that step would have returned it."""
        canvas = _get_canvas()
        camera = self._camera(BAR_H)
        self._draw_track(canvas.world, camera)
        self._draw_car(canvas.world, camera)
        if not self._draw_bar(canvas):  # an instrument covers part of the track
            return self._frame_of_tall_bar(canvas)
        # Shrinking works row by row and then column by column, so turning over may come in between.
        pygame.transform.smoothscale(canvas.view, (STATE_W, VIEW_H), canvas.turned)
        pygame.transform.smoothscale(canvas.bar_view, (STATE_W, BAR_H), canvas.narrow_bar)
        canvas.narrow_pixels[:VIEW_H] = canvas.turned_pixels[::-1]
        pygame.transform.smoothscale(canvas.narrow, (STATE_W, STATE_H), canvas.small)
        return _rgb(canvas)

    def _render(self, mode: str) -> Any:
        if mode != "state_pixels" or "t" not in self.__dict__:
            return super()._render(mode)
        # The stock step draws before it takes off the frame's 0.1, so the number shown lags.
        self._shown_reward = self.reward
        return self.frame() if self.draw else self.state

    def _render_road(self, zoom: float, translation: tuple[float, float], angle: float) -> None:
        """As the stock one, for pictures other than the observation."""
        self._draw_track(self.surf, _Camera(angle, zoom, translation, 0))

    def _camera(self, top: int) -> _Camera:
        angle = -self.car.hull.angle
        zoom = 0.1 * SCALE * max(1 - self.t, 0) + ZOOM * SCALE * min(self.t, 1)
        x, y = self.car.hull.position
        turned = pygame.math.Vector2((-x * zoom, -y * zoom)).rotate_rad(angle)
        return _Camera(angle, zoom, (WINDOW_W / 2 + turned[0], WINDOW_H / 4 + turned[1]), top)

    def _draw_track(self, surface: Any, camera: _Camera) -> None:
        """Background, grass and road."""
        if self._polygons_of is not self.road_poly:
            self._polygons_of = self.road_poly
            road = np.array([corners for corners, _ in self.road_poly], dtype=np.float64).reshape(-1, 4, 2)
            self._polygons = _Polygons(np.concatenate([_GRASS, road]))
            self._background = _painted(self.bg_color)
            self._grass_color = _painted(self.grass_color)
        if camera.inside_field():
            surface.fill(self._background, (0, camera.top, WINDOW_W, WINDOW_H - camera.top))
        else:
            surface.fill((0, 0, 0))
            field = camera.pixels(
                [(PLAYFIELD, PLAYFIELD), (PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, PLAYFIELD)]
            )
            gfxdraw.aapolygon(surface, field, self._background)
            gfxdraw.filled_polygon(surface, field, self._background)
        outline, fill = gfxdraw.aapolygon, gfxdraw.filled_polygon
        grass, road_poly = self._grass_color, self.road_poly
        for number, corners in zip(*self._polygons.seen(camera), strict=True):
            if number < len(_GRASS):
                color = grass
            else:
                red, green, blue = road_poly[number - len(_GRASS)][1]  # a tile changes color when it is driven on
                color = (int(red), int(green), int(blue), 255)
            outline(surface, corners, color)
            fill(surface, corners, color)

    def _draw_car(self, surface: pygame.Surface, camera: _Camera) -> None:
        """Wheels and hull, as `Car.draw` does without particles."""
        if self._body_of is not self.car:
            self._body_of, self._body = self.car, _body(self.car)
        for body, color, shapes, is_wheel in self._body:
            transform = body.transform
            for corners in shapes:
                points = camera.pixels([transform * corner for corner in corners])
                pygame.draw.polygon(surface, color, points)
            if is_wheel and (stripe := _stripe(body.phase)):
                pygame.draw.polygon(surface, WHEEL_WHITE, camera.pixels([transform * corner for corner in stripe]))

    def _draw_bar(self, canvas: _Canvas) -> bool:
        """Instruments and score; False where an instrument reaches out of the bar."""
        wheels = self.car.wheels
        speed = self.car.hull.linearVelocity.length
        if max(0.02 * speed, *(0.01 * wheel.omega for wheel in wheels)) > _BAR_LIMIT:
            return False
        surf, self.surf = self.surf, canvas.bar
        self._render_indicators(WINDOW_W, WINDOW_H)
        self.surf = surf
        self._blit_score(canvas, canvas.bar)
        return True

    def _blit_score(self, canvas: _Canvas, surface: pygame.Surface) -> None:
        text = canvas.text(f"{self._shown_reward:04.0f}")
        place = text.get_rect()
        place.center = (60, WINDOW_H - WINDOW_H * 2.5 / 40.0)
        surface.blit(text, place)

    def _frame_of_tall_bar(self, canvas: _Canvas) -> np.ndarray:
        """The frame where an instrument covers a part of the track: the whole picture, the long way."""
        surf, self.surf = self.surf, pygame.transform.flip(canvas.world, False, True)
        self._render_indicators(WINDOW_W, WINDOW_H)
        self._blit_score(canvas, self.surf)
        pygame.transform.smoothscale(self.surf, (STATE_W, STATE_H), canvas.small)
        self.surf = surf
        return _rgb(canvas)


def _rgb(canvas: _Canvas) -> np.ndarray:
    """A copy of the finished frame, (96, 96, 3)."""
    blue_green_red = canvas.small_pixels
    frame = np.empty((STATE_H, STATE_W, 3), np.uint8)
    for channel in range(3):
        frame[:, :, channel] = blue_green_red[:, :, 2 - channel]
    return frame


def _painted(color: Any) -> tuple[int, int, int, int]:
    """The color that pygame paints for this one, which may have fractions."""
    dot = pygame.Surface((4, 4), depth=32)
    gfxdraw.filled_polygon(dot, [(0, 0), (3, 0), (3, 3), (0, 3)], color)
    return tuple(dot.get_at((1, 1)))  # type: ignore[return-value]


def _body(car: Any) -> list[Any]:
    """What there is to draw of a car: (body, color, corners of each shape, whether it is a wheel)."""
    from Box2D import b2Vec2

    return [
        (
            part,
            [int(c * 255) for c in part.color],
            [[b2Vec2(v) for v in fixture.shape.vertices] for fixture in part.fixtures],
            "phase" in part.__dict__,
        )
        for part in car.drawlist
    ]


def _stripe(phase: float) -> list[tuple[float, float]]:
    """The white mark on a wheel that has turned by `phase`; empty where it is below."""
    first, second = phase, phase + 1.2
    sin1, sin2, cos1, cos2 = np.sin(first), np.sin(second), np.cos(first), np.cos(second)
    if sin1 > 0 and sin2 > 0:
        return []
    if sin1 > 0:
        cos1 = np.sign(cos1)
    if sin2 > 0:
        cos2 = np.sign(cos2)
    width, radius1, radius2 = WHEEL_W * SIZE, WHEEL_R * cos1 * SIZE, WHEEL_R * cos2 * SIZE
    return [(-width, radius1), (width, radius1), (width, radius2), (-width, radius2)]
