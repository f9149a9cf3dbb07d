"""From keys held to actions: what a person holds now, and the action that follows from it at the next step.

Knows neither a keyboard nor a gamepad: both say which named keys ("left", "w", ...) are held and how far. Every method
may be called from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

KeyMap = Mapping[str, tuple[str, ...]]  # a move and the keys that make it


@dataclass(frozen=True)
class Axis:
    """One number of a Box action, pulled by two moves; without them it goes back to zero.

    Speeds are in units of the number a second.
    """

    name: str
    low: float
    high: float
    less: str = ""  # the move that pulls it down
    more: str = ""  # the move that pulls it up
    rise: float = 4.0  # speed away from zero
    fall: float = 8.0  # speed back to zero
    soft_high: float | None = None  # as far up as it goes until it was held for `soft_seconds`
    soft_seconds: float = 0.0


@dataclass(frozen=True)
class Scheme:
    """What can be done in an environment, and the keys that do it unless others are chosen.

    Attributes:
        keys: every move in the order in which it is shown, and its keys.
        axes: of a Box action, one for each number; empty where actions are discrete.
        actions: the discrete action of each move.
        rest: discrete actions taken in turn while no key is held; none: the environment waits for a key.
    """

    keys: KeyMap
    axes: tuple[Axis, ...] = ()
    actions: Mapping[str, int] = field(default_factory=dict)
    rest: tuple[int, ...] = ()

    def with_keys(self, chosen: KeyMap) -> Scheme:
        """The same moves by other keys; moves that `chosen` does not name keep theirs."""
        keys = {move: tuple(chosen.get(move, own)) for move, own in self.keys.items()}
        return Scheme(keys, self.axes, self.actions, self.rest)


class Controls:
    """What is held now."""

    def __init__(self, space: gym.Space, scheme: Scheme) -> None:
        self.scheme = scheme
        self._space: Any = space
        self._lock = threading.Lock()
        self._held: dict[str, float] = {}  # key -> how far, in the order of pressing
        self._tapped: dict[str, float] = {}  # pressed and let go since the last action
        self._values = [0.0] * len(scheme.axes)
        self._seconds = [0.0] * len(scheme.axes)  # for which each axis was held up
        self._rests = 0

    def use(self, keys: KeyMap) -> None:
        """Take other keys for some moves; what is held is let go."""
        self.clear()
        self.scheme = self.scheme.with_keys(keys)

    def press(self, key: str, amount: float = 1.0) -> bool:
        """A key goes down, or a stick or trigger moves to `amount`, 0 to 1; whether the key means anything."""
        if not any(key in keys for keys in self.scheme.keys.values()):
            return False
        with self._lock:
            if amount <= 0:
                self._held.pop(key, None)
            else:
                self._held[key] = amount
                self._tapped[key] = amount
        return True

    def release(self, key: str) -> None:
        """A key goes up. One that was down for less than a step still counts for a step."""
        with self._lock:
            self._held.pop(key, None)

    def clear(self) -> None:
        """Nothing is held any more, and every axis is back at zero at once."""
        with self._lock:
            self._held.clear()
            self._tapped.clear()
        self.center()

    def center(self) -> None:
        """Every axis is back at zero at once, whatever is held."""
        with self._lock:
            self._values = [0.0] * len(self._values)
            self._seconds = [0.0] * len(self._seconds)

    @property
    def held(self) -> tuple[str, ...]:
        """The keys that are down, in the order of pressing."""
        with self._lock:
            return tuple(self._held)

    @property
    def values(self) -> tuple[float, ...]:
        """Where the axes stand."""
        with self._lock:
            return tuple(self._values)

    def action(self, seconds: float) -> Any:
        """The action of a step that lasts so long; None where the environment waits for a key."""
        with self._lock:
            held = {**self._held, **{key: far for key, far in self._tapped.items() if key not in self._held}}
            self._tapped.clear()
            moves = self._moves(held)
            return self._axes_at(moves, seconds) if self.scheme.axes else self._choice(moves)

    def _moves(self, held: Mapping[str, float]) -> dict[str, float]:
        """Moves and how far each is made, those of the keys pressed last at the end."""
        made: dict[str, float] = {}
        for key, amount in held.items():
            for move, keys in self.scheme.keys.items():
                if key in keys:
                    made[move] = max(amount, made.pop(move, 0.0))
        return made

    def _choice(self, moves: Mapping[str, float]) -> Any:
        made = [move for move, amount in moves.items() if amount >= 0.5]
        if made:
            chosen = self.scheme.actions[made[-1]]
        elif self.scheme.rest:
            chosen = self.scheme.rest[self._rests % len(self.scheme.rest)]
            self._rests += 1
        else:
            return None
        return self._space.dtype.type(chosen)

    def _axes_at(self, moves: Mapping[str, float], seconds: float) -> np.ndarray:
        for number, axis in enumerate(self.scheme.axes):
            pull = moves.get(axis.more, 0.0) - moves.get(axis.less, 0.0)
            self._seconds[number] = self._seconds[number] + seconds if pull > 0 else 0.0
            self._values[number] = _moved(axis, self._values[number], pull, self._seconds[number], seconds)
        return np.array(self._values, self._space.dtype)


def _moved(axis: Axis, value: float, pull: float, held: float, seconds: float) -> float:
    """Where an axis stands after a step in which it was pulled by -1 to 1, having been held up for `held` seconds."""
    goal = pull * (axis.high if pull > 0 else -axis.low)
    if axis.soft_high is not None and held < axis.soft_seconds:
        goal = min(goal, axis.soft_high)
    away = value * goal >= 0 and abs(goal) > abs(value)
    reach = (axis.rise if away else axis.fall) * seconds
    return float(np.clip(goal, value - reach, value + reach))
