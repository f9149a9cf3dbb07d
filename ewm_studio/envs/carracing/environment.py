"""CarRacing, many times faster, with the same frames, rewards and infos, bit for bit.

The stock environment spends nearly all its time drawing: some 700 polygons a frame are transformed one corner at a
time, of which about 25 touch the screen, and a picture of 1000x800 is made, turned over and shrunk to 96x96. Here
the polygons that touch the screen are found with one NumPy expression, buffers, font and texts are kept, the picture
stays in the processor's cache, and it is turned over after it was shrunk in width, when it is a tenth as large. What
the instruments hide is not painted. Frames that nobody looks at are not drawn at all (`draw`, `frame`). The same goes
for the pictures of `render()`.

What is shown is made of the same calls of pygame, in the same order, with the same numbers; that it is the same holds
for the sources of Gymnasium that are listed in `carracing_known`, and no other is replaced.
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
from ewm_studio.envs.carracing.start import random_pose
from ewm_studio.envs.carracing.view import BAR_H, Camera, Canvas, Point, Polygons, drawing, get_canvas, grass, painted

ZOOM_FRAMES = FPS  # at the start of an episode, in which the camera comes down to the car: one second
_BAR_LIMIT = (BAR_H - 2) / (WINDOW_H / 40) - 1  # the tallest instrument that stays inside the bar
_FIELD = [(PLAYFIELD, PLAYFIELD), (PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, -PLAYFIELD), (-PLAYFIELD, PLAYFIELD)]
_GRASS = grass()


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
    _shown_reward = 0.0
    _polygons: Polygons
    _polygons_of: Any = None  # the track that `_polygons` is of
    _body_of: Any = None  # the car that `_body` is of
    _body: list[_Part]

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
        if camera.inside_field():
            canvas.fill(self._background, camera.top)
        else:
            self._draw_field(canvas.world, camera)
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

    def _draw_particles(self, surface: pygame.Surface, camera: Camera) -> None:
        """Skid marks, as `Car.draw` does."""
        for particle in self.car.particles:
            pygame.draw.lines(surface, particle.color, False, camera.pixels(particle.poly), 2)

    def _draw_car(self, surface: pygame.Surface, camera: Camera) -> None:
        """Wheels and hull, as `Car.draw` does."""
        if self._body_of is not self.car:
            self._body_of, self._body = self.car, _body(self.car)
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
        text = canvas.text(f"{reward:04.0f}")
        place = text.get_rect()
        place.center = (60, WINDOW_H - WINDOW_H * 2.5 / 40.0)
        surface.blit(text, place)


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
