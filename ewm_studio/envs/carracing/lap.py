"""Laps of CarRacing: whether an environment has them, and how far round the track the car is."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from ewm_studio.envs.carracing.known import FAST_MODULE, STOCK_MODULE

AHEAD = 30  # tiles; a tile touched further ahead than this was not driven to but came up from behind


def has_laps(env: gym.Env) -> bool:
    """Whether the info of an episode's last step says `lap_finished` where every tile was visited: CarRacing."""
    return type(env.unwrapped).__module__ in (STOCK_MODULE, FAST_MODULE)


def lap_finished(info: dict[str, Any]) -> bool:
    """Whether every tile was visited, by the `info` of the last step of an episode with laps."""
    return bool(info.get("lap_finished", False))


class Lap:
    """Follows the car round the track by the tiles it touches, and tells which it left out.

    CarRacing ends an episode when every tile was touched; with one left out it goes on round the track, where the
    same road is worth nothing, until the time is up.
    """

    def __init__(self, env: gym.Env) -> None:
        self._env: Any = env.unwrapped
        self.begin()

    def begin(self) -> None:
        """An episode begins."""
        self._furthest: int | None = None  # the first tile that is touched tells where the car began
        self._touched = 0

    def skipped(self) -> int:
        """Tiles that the car has driven past without touching them, since the last time it was asked."""
        if self._env.tile_visited_count == self._touched:
            return 0
        self._touched = self._env.tile_visited_count
        if self._furthest is None:
            touched = [i for i, tile in enumerate(self._env.road) if tile.road_visited]
            self._furthest = 0 if 0 in touched else touched[-1]
        ahead = self._env.road[self._furthest + 1 : self._furthest + 1 + AHEAD]
        touched = [i for i, tile in enumerate(ahead) if tile.road_visited]
        if not touched:
            return 0
        self._furthest += touched[-1] + 1
        return touched[-1] + 1 - len(touched)

    @property
    def round(self) -> bool:
        """Whether the car has come to the end of the round."""
        return self._furthest is not None and self._furthest >= len(self._env.road) - 1
