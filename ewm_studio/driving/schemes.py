"""How each environment is driven by hand: its moves, their usual keys, its pace and its speed."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from ewm_studio.data.idle import RESTS
from ewm_studio.driving.controls import Axis, Scheme
from ewm_studio.envs.factory import NAMED_ACTIONS
from ewm_studio.envs.spaces import describe
from ewm_studio.errors import UserError

USUAL_RATE = 30.0  # steps a second where an environment names none
KMH = 3.6  # of a meter a second

_LEFT, _RIGHT, _UP, _DOWN = ("left", "a"), ("right", "d"), ("up", "w"), ("down", "s")
_USUAL_KEYS = {
    "left": _LEFT,
    "right": _RIGHT,
    "up": _UP,
    "down": _DOWN,
    "torque left": _LEFT,
    "torque right": _RIGHT,
    "main engine": _UP,
    "left engine": _RIGHT,  # it pushes to the right
    "right engine": _LEFT,
    "pick up": ("e",),
    "drop off": ("q",),
}
_TAKES_TURNS = {"CartPole": (0, 1), "CartPoleNoVel": (0, 1)}  # without a key: pushes that cancel out

_PEDALS = (
    # The wheel turns in a quarter of a second. A brake of 0.9 locks the wheels: only who holds it on gets there.
    Axis("Steer", -1, 1, "left", "right", rise=4, fall=6),
    Axis("Gas", 0, 1, more="gas", rise=3, fall=6),
    Axis("Brake", 0, 1, more="brake", rise=4, fall=8, soft_high=0.8, soft_seconds=1.0),
)
_PEDAL_KEYS = {"left": _LEFT, "right": _RIGHT, "gas": _UP, "brake": _DOWN}


def scheme_of(env: gym.Env) -> Scheme:
    """How an environment is driven by keys.

    Raises:
        UserError: its actions are of a kind that a few keys cannot give.
    """
    space, name = env.action_space, env.spec.name if env.spec else ""
    if isinstance(space, gym.spaces.Discrete):
        return _choices(space, name)
    if isinstance(space, gym.spaces.Box) and np.isfinite(space.low).all() and np.isfinite(space.high).all():
        low, high = space.low.reshape(-1).tolist(), space.high.reshape(-1).tolist()
        if (low, high) == ([-1, 0, 0], [1, 1, 1]):
            return Scheme(_PEDAL_KEYS, _PEDALS)
        if space.shape == (1,) and low[0] < 0 < high[0]:
            return Scheme({"left": _LEFT, "right": _RIGHT}, (_axis("Force", "left", "right", low[0], high[0]),))
        if name in ("LunarLander", "LunarLanderContinuous") and space.shape == (2,):
            main, side = _axis("Main engine", "", "main engine", low[0], high[0]), ("left", "right")
            keys = {"left": _LEFT, "right": _RIGHT, "main engine": _UP}
            return Scheme(keys, (main, _axis("Side engines", *side, low[1], high[1])))
    raise UserError(
        f"{env.spec.id if env.spec else env} cannot be driven by keys: it takes {describe(space)}. Discrete actions, "
        "CarRacing's pedals and a single force can be driven"
    )


def steps_per_second(env: gym.Env) -> float:
    """The environment's own pace."""
    return float(env.metadata.get("render_fps") or USUAL_RATE)


def speed_of(env: gym.Env) -> float | None:
    """How fast the car drives, in km/h; None where nothing drives."""
    car: Any = getattr(env.unwrapped, "car", None)
    return None if car is None else float(car.hull.linearVelocity.length) * KMH


def _choices(space: gym.spaces.Discrete, name: str) -> Scheme:
    first, count = int(space.start), int(space.n)
    words = NAMED_ACTIONS.get(name, "").split(", ")
    if len(words) != count:
        words = [f"action {number}" for number in range(count)]
    actions = {word: first + number for number, word in enumerate(words)}
    rest = _TAKES_TURNS.get(name) or tuple(action for word, action in actions.items() if word in RESTS)
    moves = {word: action for word, action in actions.items() if word not in RESTS}
    keys = {word: _USUAL_KEYS.get(word, (str(number),) if number < 10 else ()) for number, word in enumerate(words)}
    return Scheme({word: keys[word] for word in moves}, actions=moves, rest=rest)


def _axis(name: str, less: str, more: str, low: float, high: float) -> Axis:
    """An axis that crosses its range in half a second."""
    return Axis(name, low, high, less, more, rise=4 * (high - low) / 2, fall=6 * (high - low) / 2)
