"""CarRacing, many times faster, with the same frames, rewards and infos, bit for bit.

The stock environment spends nearly all its time drawing: some 700 polygons a frame are transformed one corner at a
time, of which about 25 touch the screen, and a picture of 1000x800 is made, turned over and shrunk to 96x96. Here
the polygons that touch the screen are found with one NumPy expression, buffers, font and texts are kept, the picture
stays in the processor's cache, and it is turned over after it was shrunk in width, when it is a tenth as large. What
the instruments hide is not painted. Frames that nobody looks at are not drawn at all (`draw`, `frame`). The same goes
for the pictures of `render()`. Where Numba is installed, frames are painted by compiled code (`compiled`, `kernel`).

What is shown is made of the same calls of pygame, or of what does the same to every pixel, in the same order, with the
same numbers; that it is the same holds for the sources of Gymnasium that are listed in `carracing_known`, and no other
is replaced.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pygame
from gymnasium.envs.box2d.car_dynamics import SIZE, WHEEL_R, WHEEL_W, WHEEL_WHITE
from gymnasium.envs.box2d.car_racing import (
    FPS,
    PLAYFIELD,
    SCALE,
    STATE_H,
    STATE_W,
    VIDEO_H,
    VIDEO_W,
    WINDOW_H,
    WINDOW_W,
    ZOOM,
    CarRacing,
)
from pygame import gfxdraw

from ewm_studio.envs.carracing.car import FastCar
from ewm_studio.envs.carracing.compiled import Painter, Shapes
from ewm_studio.envs.carracing.start import random_pose
from ewm_studio.envs.carracing.view import (
    BAR_H,
    MARGIN,
    Camera,
    Canvas,
    Point,
    Polygons,
    drawing,
    get_canvas,
    grass,
    painted,
)

ZOOM_FRAMES = FPS  # at the start of an episode, in which the camera comes down to the car: one second
_BAR_LIMIT = (BAR_H - 2) / (WINDOW_H / 40) - 1  # the tallest instrument that stays inside the bar
_FIELD = [(PLAYFIELD, PLAYFIELD), (PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, PLAYFIELD)]
_GRASS = grass()
_WORD = np.array([1, 256, 65536], np.uint32)  # a color's channels in one word
_UPRIGHT, _SIZES = (5, 7, 8, 9, 10), (0.02, 0.01, 0.01, 0.01, 0.01)  # speed, and how fast each wheel turns
_UPRIGHT_COLORS = (0xFFFFFF, 0xFF0000, 0xFF0000, 0xFF0033, 0xFF0033)  # words: red comes last
_UNIT_X, _UNIT_Y = WINDOW_W / 40, WINDOW_H / 40  # in which the instruments are measured


class FastCarRacing(CarRacing):
    """Gymnasium's CarRacing with another way of drawing the same pictures.

    Attributes:
        draw: whether `reset` and `step` draw the frame that they return. If not, they return the frame drawn last,
            and `frame()` draws the present one for those who want to see it.
        random_start: share of the episodes that begin anywhere on the track.
    """

    draw: bool = True
    random_start: float = 0.0
    state: np.ndarray | None = None
    car: Any
    surf: Any
    track: Any
    road: Any
    _shown_reward = 0.0
    _polygons: Polygons
    _polygons_of: Any = None  # the track that `_polygons` is of
    _body_of: Any = None  # the car that `_body` is of
    _body: list[_Part]
    _shapes: Shapes
    _stripes: list[int]  # numbers of the wheels' stripes among `_shapes`
    _colors: np.ndarray  # of `_polygons`, (N, 3)

    def _create_track(self) -> bool:
        """As the stock one; the car is then put where the track's first point is said to be."""
        made = super()._create_track()
        if made and self.random_start and self.np_random.random() < self.random_start:
            self.track[0] = (self.track[0][0], *random_pose(self.track, self.np_random))
        return bool(made)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the stock step."""
        if action is None:  # the first step of an episode, of `reset`, which has just made the stock car
            self.car.__class__ = FastCar
        return super().step(action)

    def frame(self) -> np.ndarray:
        """The frame after the last step, uint8 (96, 96, 3), as that step would have returned it."""
        with drawing:
            return self._picture(STATE_W, STATE_H, self._shown_reward, particles=False)

    def _render(self, mode: str) -> Any:
        if mode == "human" or "t" not in self.__dict__:
            return super()._render(mode)
        if mode == "rgb_array":
            with drawing:
                return self._picture(VIDEO_W, VIDEO_H, self.reward, particles=True)
        # The stock step draws before it takes off the frame's 0.1, so the number shown lags.
        self._shown_reward = self.reward
        return self.frame() if self.draw else self.state

    def _render_road(self, zoom: float, translation: Point, angle: float) -> None:
        """As the stock one, for the window."""
        camera = Camera(angle, zoom, translation, 0)
        with drawing:
            self._look_at_track()
            self._draw_field(self.surf, camera)
            self._draw_track(self.surf, self.surf, camera)

    def _picture(self, width: int, height: int, reward: float, particles: bool) -> np.ndarray:
        """The picture of the present moment, uint8 (height, width, 3), with `reward` as the number shown."""
        canvas, camera = get_canvas(), self._camera()
        self._look_at_track()
        self._draw_ground(canvas, camera)
        if canvas.painter and (width, height) == (STATE_W, STATE_H) and self._fits_bar() and not particles:
            self._paint(canvas, canvas.painter, camera, reward)
            return canvas.frame()
        self._draw_track(canvas.world, canvas.seen, camera)
        if particles:
            self._draw_particles(canvas.world, camera)
        self._draw_car(canvas.world, camera)
        if self._fits_bar():
            self._draw_bar(canvas, canvas.bar, reward)
            return canvas.shrunk(width, height)
        # An instrument covers a part of the track: the long way.
        whole = pygame.transform.flip(canvas.world, False, True)
        self._draw_bar(canvas, whole, reward)
        return canvas.shrunk_whole(whole, width, height)

    def _draw_ground(self, canvas: Canvas, camera: Camera) -> None:
        plain = camera.inside_field()
        if plain:
            canvas.fill(self._background, camera.top)
        else:
            self._draw_field(canvas.world, camera)
        if canvas.painter:
            canvas.painter.begin(plain)

    def _paint(self, canvas: Canvas, painter: Painter, camera: Camera, reward: float) -> None:
        """What lies on the ground, the car and the instruments, by compiled code."""
        view = camera.numbers
        painter.track(self._polygons.corners, self._colors.astype(np.uint32) @ _WORD, view, MARGIN)
        if self._body_of is not self.car:
            self._look_at_car()
        for wheel, number in enumerate(self._stripes):
            self._shapes.reshape(number, _stripe(self.car.wheels[wheel].phase))
        painter.car(self._shapes, _placed(self.car.drawlist), view)
        painter.boxes(*self._instruments())
        painter.mix_bar(self._write(canvas, canvas.bar_view, reward, WINDOW_H - BAR_H))

    def _camera(self) -> Camera:
        angle = -self.car.hull.angle
        zoom = 0.1 * SCALE * max(1 - self.t, 0) + ZOOM * SCALE * min(self.t, 1)
        x, y = self.car.hull.position
        turned = pygame.math.Vector2((-x * zoom, -y * zoom)).rotate_rad(angle)
        return Camera(angle, zoom, (WINDOW_W / 2 + turned[0], WINDOW_H / 4 + turned[1]), BAR_H)

    def _look_at_track(self) -> None:
        """Take up the track and the colors of this episode."""
        if self._polygons_of is not self.road_poly:
            self._polygons_of = self.road_poly
            road = np.array([corners for corners, _ in self.road_poly], dtype=np.float64).reshape(-1, 4, 2)
            self._polygons = Polygons(np.concatenate([_GRASS, road]))
            self._background, self._grass_color = painted(self.bg_color), painted(self.grass_color)
            self._colors = np.empty((len(_GRASS) + len(road), 3))
            self._colors[: len(_GRASS)] = self._grass_color[:3]
            # A tile's color changes in place, so it is kept in the row of all colors that is the tile's.
            tiles = {id(tile.color): tile for tile in self.road}
            for number, (corners, color) in enumerate(self.road_poly):
                row = self._colors[len(_GRASS) + number]
                row[:] = color
                if tile := tiles.get(id(color)):
                    tile.color = row
                    self.road_poly[number] = corners, row

    def _draw_field(self, surface: pygame.Surface, camera: Camera) -> None:
        """The playfield, and black beyond it."""
        surface.fill((0, 0, 0))
        field = camera.pixels(_FIELD)
        gfxdraw.aapolygon(surface, field, self._background)
        gfxdraw.filled_polygon(surface, field, self._background)

    def _draw_track(self, surface: pygame.Surface, inner: pygame.Surface, camera: Camera) -> None:
        """Grass and road: outlines on `surface`, and what they enclose on `inner`, of the same pixels."""
        outline, fill = gfxdraw.aapolygon, gfxdraw.filled_polygon
        grass_color, road_poly, first = self._grass_color, self.road_poly, len(_GRASS)
        for number, corners in zip(*self._polygons.seen(camera), strict=True):
            if number < first:
                color = grass_color
            else:
                red, green, blue = road_poly[number - first][1]  # a tile changes color when it is driven on
                color = (int(red), int(green), int(blue), 255)
            outline(surface, corners, color)
            fill(inner, corners, color)

    def _look_at_car(self) -> None:
        """Take up the car of this episode."""
        self._body_of, self._body = self.car, _body(self.car)
        self._shapes, self._stripes = _shapes(self._body)

    def _draw_particles(self, surface: pygame.Surface, camera: Camera) -> None:
        """Skid marks, as `Car.draw` does."""
        for particle in self.car.particles:
            pygame.draw.lines(surface, particle.color, False, camera.pixels(particle.poly), 2)

    def _draw_car(self, surface: pygame.Surface, camera: Camera) -> None:
        """Wheels and hull, as `Car.draw` does."""
        if self._body_of is not self.car:
            self._look_at_car()
        for body, color, shapes, is_wheel in self._body:
            to_world = body.GetWorldPoint
            for corners in shapes:
                points = camera.pixels([to_world(corner).tuple for corner in corners])
                pygame.draw.polygon(surface, color, points)
            if is_wheel and (stripe := _stripe(body.phase)):
                points = camera.pixels([to_world(corner).tuple for corner in stripe])
                pygame.draw.polygon(surface, WHEEL_WHITE, points)

    def _fits_bar(self) -> bool:
        """Whether no instrument reaches out of the bar."""
        speed = self.car.hull.linearVelocity.length
        return max(0.02 * speed, *(0.01 * wheel.omega for wheel in self.car.wheels)) <= _BAR_LIMIT

    def _draw_bar(self, canvas: Canvas, surface: pygame.Surface, reward: float) -> None:
        """Instruments and the return so far, at the bottom of a picture that is turned over."""
        surf, self.surf = self.surf, surface
        self._render_indicators(WINDOW_W, WINDOW_H)
        self.surf = surf
        self._write(canvas, surface, reward, 0)

    def _write(self, canvas: Canvas, surface: pygame.Surface, reward: float, first_row: int) -> pygame.Rect:
        """The return so far, on a surface that begins at a row of the picture; where it is."""
        text = canvas.text(f"{reward:04.0f}")
        place = text.get_rect()
        place.center = (60, WINDOW_H - WINDOW_H * 2.5 / 40.0 - first_row)
        surface.blit(text, place)
        return place

    def _instruments(self) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) and colors (N,) of the instruments that show something, as `_render_indicators` draws them."""
        car, boxes, colors = self.car, [], []
        speed_x, speed_y = car.hull.linearVelocity.tuple
        speed = math.sqrt(speed_x * speed_x + speed_y * speed_y)
        turns = [wheel.omega for wheel in car.wheels]
        for place, value, size, color in zip(_UPRIGHT, (speed, *turns), _SIZES, _UPRIGHT_COLORS, strict=True):
            if abs(value) > 1e-4:
                above = WINDOW_H - (_UNIT_Y + _UNIT_Y * (size * value))
                boxes.append((place * _UNIT_X, above, (place + 1) * _UNIT_X, WINDOW_H - _UNIT_Y))
                colors.append(color)
        for place, value, size, color in (
            (20, car.wheels[0].joint.angle, -10.0, 0x00FF00),
            (30, car.hull.angularVelocity, -0.8, 0x0000FF),
        ):
            if abs(value) > 1e-4:
                across = (place + size * value) * _UNIT_X
                boxes.append((place * _UNIT_X, WINDOW_H - 4 * _UNIT_Y, across, WINDOW_H - 2 * _UNIT_Y))
                colors.append(color)
        return np.array(boxes, np.float64).reshape(-1, 4), np.array(colors, np.uint32)


# A body, its color, the corners of its shapes, and whether it is a wheel.
_Part = tuple[Any, tuple[int, ...], list[list[Point]], bool]


def _body(car: Any) -> list[_Part]:
    """What there is to draw of a car."""
    return [
        (
            part,
            tuple(int(c * 255) for c in part.color),
            [list(fixture.shape.vertices) for fixture in part.fixtures],
            "phase" in part.__dict__,
        )
        for part in car.drawlist
    ]


def _shapes(parts: list[_Part]) -> tuple[Shapes, list[int]]:
    """The same as arrays, a stripe after the shape of each wheel; and the numbers of the stripes."""
    corners: list[list[Point]] = []
    body_of: list[int] = []
    colors: list[int] = []
    stripes: list[int] = []
    for number, (_, color, shapes, is_wheel) in enumerate(parts):
        red, green, blue = color[:3]
        corners += shapes
        body_of += [number] * len(shapes)
        colors += [red | green << 8 | blue << 16] * len(shapes)
        if is_wheel:
            stripes.append(len(corners))
            corners.append([])
            body_of.append(number)
            colors.append(WHEEL_WHITE[0] | WHEEL_WHITE[1] << 8 | WHEEL_WHITE[2] << 16)
    return Shapes(corners, body_of, colors), stripes


def _placed(bodies: list[Any]) -> np.ndarray:
    """Position, sine and cosine of each, float32 (B, 4)."""
    turns = [body.transform.q for body in bodies]
    return np.array([(*b.position.tuple, q.s, q.c) for b, q in zip(bodies, turns, strict=True)], np.float32)


def _stripe(phase: float) -> list[Point]:
    """The white mark on a wheel that has turned by `phase`; empty where it is below."""
    sin1, sin2, cos1, cos2 = math.sin(phase), math.sin(phase + 1.2), math.cos(phase), math.cos(phase + 1.2)
    if sin1 > 0 and sin2 > 0:
        return []
    if sin1 > 0:
        cos1 = float(np.sign(cos1))
    if sin2 > 0:
        cos2 = float(np.sign(cos2))
    width, radius1, radius2 = WHEEL_W * SIZE, WHEEL_R * cos1 * SIZE, WHEEL_R * cos2 * SIZE
    return [(-width, radius1), (width, radius1), (width, radius2), (-width, radius2)]
