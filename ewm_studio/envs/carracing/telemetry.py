"""Where the car of CarRacing is and how fast, by the environment itself."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from ewm_studio.envs.carracing.lap import has_laps


def telemetry(env: gym.Env) -> tuple[float, bool] | None:
    """The car's speed, and whether none of its wheels is on the road; None where there is no such car."""
    if not has_laps(env):
        return None
    car: Any = env.unwrapped.car  # type: ignore[attr-defined]
    return float(car.hull.linearVelocity.length), not any(wheel.tiles for wheel in car.wheels)
