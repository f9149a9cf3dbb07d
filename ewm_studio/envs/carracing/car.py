"""The car of CarRacing, moving exactly as the stock one does with less Python around it."""

from __future__ import annotations

import math
from typing import Any

from gymnasium.envs.box2d.car_dynamics import ENGINE_POWER, FRICTION_LIMIT, SIZE, WHEEL_MOMENT_OF_INERTIA, Car

_STIFFNESS = 205000 * SIZE * SIZE  # of the stock environment: how fast friction takes up a difference of speeds
_BRAKE_FORCE = 15  # radians a second
_FORWARD = (0.0, 1.0)


class FastCar(Car):
    """The stock car; its own floats in place of NumPy's scalars, each operation in the stock order."""

    def gas(self, gas: float) -> None:
        """Press the gas pedal, 0 to 1: more gas comes by at most 0.1 a call, less at once."""
        gas = min(max(float(gas), 0.0), 1.0)
        for wheel in self.wheels[2:4]:
            wheel.gas += min(gas - wheel.gas, 0.1)

    def steer(self, s: float) -> None:
        """Turn the front wheels towards `s`, in radians, left above 0."""
        super().steer(float(s))

    def brake(self, b: float) -> None:
        """Press the brake pedal, 0 to 1; from 0.9 on it blocks the wheels."""
        super().brake(float(b))

    def step(self, dt: float) -> None:
        """Steer, turn and push the wheels for `dt` seconds."""
        power = dt * ENGINE_POWER
        for wheel in self.wheels:
            joint = wheel.joint
            turn = wheel.steer - joint.angle
            joint.motorSpeed = math.copysign(min(50.0 * abs(turn), 3.0), turn)

            grass, limit = True, FRICTION_LIMIT * 0.6
            for tile in wheel.tiles:
                limit = max(limit, FRICTION_LIMIT * tile.road_friction)
                grass = False

            forward_x, forward_y = wheel.GetWorldVector(_FORWARD).tuple
            side_x, side_y = forward_y, -forward_x  # the same rotation, of (1, 0)
            velocity_x, velocity_y = wheel.linearVelocity.tuple
            speed = forward_x * velocity_x + forward_y * velocity_y
            side_speed = side_x * velocity_x + side_y * velocity_y

            omega = wheel.omega
            omega += power * wheel.gas / WHEEL_MOMENT_OF_INERTIA / (abs(omega) + 5.0)
            self.fuel_spent += power * wheel.gas
            omega = _braked(omega, wheel.brake)
            wheel.phase += omega * dt

            # Towards equal speeds of the wheel's rim and the ground, and against sliding sideways.
            along = (-speed + omega * wheel.wheel_rad) * _STIFFNESS
            across = -side_speed * _STIFFNESS
            force = math.sqrt(along * along + across * across)
            self._skid(wheel, force > 2.0 * limit, grass)
            if force > limit:
                along, across = along / force * limit, across / force * limit
            wheel.omega = omega - dt * along * wheel.wheel_rad / WHEEL_MOMENT_OF_INERTIA
            wheel.ApplyForceToCenter((across * side_x + along * forward_x, across * side_y + along * forward_y), True)

    def _skid(self, wheel: Any, skids: bool, grass: bool) -> None:
        """Lengthen, begin or end the mark that a wheel leaves."""
        if not skids:
            wheel.skid_start = wheel.skid_particle = None
            return
        mark = wheel.skid_particle
        if mark and mark.grass == grass and len(mark.poly) < 30:
            mark.poly.append(wheel.position.tuple)
        elif wheel.skid_start is None:
            wheel.skid_start = wheel.position
        else:
            wheel.skid_particle = self._create_particle(wheel.skid_start, wheel.position, grass)
            wheel.skid_start = None


def _braked(omega: float, brake: float) -> float:
    """Angular speed of a wheel after its brake, 0 to 1, took hold of it; 0.9 blocks it."""
    if brake >= 0.9:
        return 0.0
    if brake > 0:
        return omega - math.copysign(min(_BRAKE_FORCE * brake, abs(omega)), omega)
    return omega
