"""Actions in words: the moves of an environment's keys, without a keyboard."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from ewm_studio.driving.controls import Scheme
from ewm_studio.errors import UserError, nearest

NOTHING = ("straight", "nothing", "none")
MOST_TIMES = 100_000


def actions_of(text: str, scheme: Scheme, space: gym.Space) -> list[Any]:
    """The actions of moves in words: `left,left,gas*10,left+gas`; of choices, their numbers do as well.

    Raises:
        UserError: a word is none of a move.
    """
    found: list[Any] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        moves, _, times = word.partition("*")
        if times and not (times.isdecimal() and len(times) < 10 and 0 < int(times) <= MOST_TIMES):
            raise UserError(f"'{word}': give how many times as {moves}*10")
        found += [_action(moves.strip(), scheme, space)] * (int(times) if times else 1)
    if not found:
        raise UserError("no actions are given: name some, such as " + ",".join(list(scheme.keys)[:2]))
    return found


def _action(words: str, scheme: Scheme, space: Any) -> Any:
    if not scheme.axes:
        return _choice(words, scheme, space)
    values = np.zeros(len(scheme.axes))
    for word in (part.strip() for part in words.split("+")):
        if word in NOTHING:
            continue
        _known(word, scheme)
        for number, axis in enumerate(scheme.axes):
            if word == axis.more:
                values[number] = axis.high if axis.soft_high is None else axis.soft_high
            elif word == axis.less:
                values[number] = axis.low
    return values.astype(space.dtype).reshape(space.shape)


def _choice(word: str, scheme: Scheme, space: Any) -> Any:
    if word in scheme.actions:
        return space.dtype.type(scheme.actions[word])
    number = int(word) if word.isdecimal() and len(word) < 10 else -1
    if number >= 0 and isinstance(space, gym.spaces.Discrete) and space.contains(space.dtype.type(number)):
        return space.dtype.type(number)
    if word in NOTHING and scheme.rest:
        return space.dtype.type(scheme.rest[0])
    _known(word, scheme)
    return None


def _known(word: str, scheme: Scheme) -> None:
    if word not in scheme.keys:
        raise UserError(f"no move '{word}'; {nearest(word, [*scheme.keys, *NOTHING[:1]])}")
