"""Raw observations that are no pictures -> one vector (D,) float32, each checked to be of its space.

A Box is flattened; a small board of uint8 is scaled by its bounds. Discrete becomes one-hot, and what has very many
choices the bits of its number. MultiDiscrete, MultiBinary, Dict and Tuple are flattened as Gymnasium does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from ewm_studio.envs.checks import shown
from ewm_studio.envs.failures import WrongOutput
from ewm_studio.envs.spaces import describe, is_board, picture_layout
from ewm_studio.errors import UserError

MOST_ONE_HOT = 4096  # choices; of more every step of a rollout would be a vector of that many zeros


@dataclass(frozen=True)
class Vector:
    """How to make a vector of observations, the vectors' space, and what they are taken for."""

    prepare: Callable[[Any], np.ndarray]
    space: spaces.Box
    words: str


def vector_of(space: gym.Space, earlier: bool = False) -> Vector:
    """How to make a vector of observations of `space`; `earlier`: as version 0.1.0 did.

    Raises:
        UserError: it cannot be made one.
    """
    words = describe(space)
    if isinstance(space, spaces.Discrete):
        if space.n > MOST_ONE_HOT and not earlier:
            return _bits(int(space.n), int(space.start))
        return Vector(_one_hot(space), spaces.Box(0, 1, (int(space.n),), np.float32), f"{words}, one-hot")
    if isinstance(space, spaces.Box):
        if space.dtype == np.uint8 and len(space.shape) > 1 and is_board(space) and not earlier:
            return Vector(
                _board(space), spaces.Box(0, 1, (int(np.prod(space.shape)),), np.float32), _board_words(space)
            )
        plain = len(space.shape) == 1 and space.dtype == np.float32
        return Vector(_numbers(space), space if plain else _float_box(space), words)
    flat: gym.Space | None
    try:
        flat = spaces.flatten_space(space)
    except NotImplementedError:
        flat = None
    if not isinstance(flat, spaces.Box):
        raise UserError(f"observations of the space {words} cannot be made a vector")

    def flattened(raw: Any) -> np.ndarray:
        _check(space, raw, "")
        return np.asarray(spaces.flatten(space, raw), np.float32)

    box = _float_box(flat)
    return Vector(flattened, box, f"{words}, flattened to {describe(box)}{_advice(space)}")


def wrong(raw: Any, shape: tuple[int, ...], dtype: str, place: str = "") -> WrongOutput:
    """The complaint about an observation that is none of its space."""
    if raw is None:
        return WrongOutput(f"None as {place or 'the observation'}")
    try:
        array = np.asarray(raw)
    except ValueError:
        found = shown(raw)
    else:
        found = f"shape {array.shape} and dtype {array.dtype}"
    return WrongOutput(f"{place or 'an observation'} of {found}, where its space says shape {shape} and dtype {dtype}")


def _numbers(space: spaces.Box) -> Callable[[Any], np.ndarray]:
    """A Box as float32 (D,)."""
    shape, flat, dtype = space.shape, len(space.shape) == 1, str(space.dtype)

    def prepare(raw: Any) -> np.ndarray:
        if flat and raw.__class__ is np.ndarray and raw.dtype == np.float32 and raw.shape == shape:
            return raw
        try:
            numbers = np.asarray(raw, np.float32)
        except (TypeError, ValueError):
            raise wrong(raw, shape, dtype) from None
        if numbers.shape != shape or (numbers is not raw and np.asarray(raw).dtype.kind not in "fiub"):
            raise wrong(raw, shape, dtype)
        return numbers if flat else numbers.reshape(-1)

    return prepare


def _board(space: spaces.Box) -> Callable[[Any], np.ndarray]:
    """A board's fields as float32 (D,) in 0 to 1, by their own bounds."""
    low = space.low.astype(np.float32).reshape(-1)
    room = space.high.astype(np.float32).reshape(-1) - low
    numbers = _numbers(space)
    return lambda raw: (numbers(raw) - low) / room


def _board_words(space: spaces.Box) -> str:
    fields = "x".join(str(n) for n in space.shape)
    return f"a board of {fields} fields, each scaled by its own bounds {space.low.min()}..{space.high.max()}"


def _one_hot(space: spaces.Discrete) -> Callable[[Any], np.ndarray]:
    """A choice as float32 (N,), made when it is needed."""
    count, index = int(space.n), _index(space)

    def prepare(raw: Any) -> np.ndarray:
        one = np.zeros(count, np.float32)
        one[index(raw)] = 1.0
        return one

    return prepare


def _bits(count: int, start: int) -> Vector:
    """One of very many choices by its number: where it stands among them, -1..1, and the bits of it, each -1 or 1."""
    bits = np.arange(count.bit_length())
    index = _index(spaces.Discrete(count, start=start))

    def prepare(raw: Any) -> np.ndarray:
        at = index(raw)
        return np.concatenate([[2 * at / (count - 1) - 1], 2.0 * (at >> bits & 1) - 1]).astype(np.float32)

    words = f"{count:,} choices, as {len(bits) + 1} numbers: where the choice stands and the bits of its number"
    return Vector(prepare, spaces.Box(-1, 1, (len(bits) + 1,), np.float32), words)


def _index(space: spaces.Discrete) -> Callable[[Any], int]:
    """The number of a choice, from 0."""
    count, start = int(space.n), int(space.start)

    def index(raw: Any) -> int:
        if isinstance(raw, np.ndarray) and raw.size == 1:
            raw = raw.reshape(-1)[0]
        if not isinstance(raw, int | np.integer) or not 0 <= int(raw) - start < count:
            raise WrongOutput(f"the observation {shown(raw)}, where its space says {start} to {start + count - 1}")
        return int(raw) - start

    return index


def _check(space: gym.Space, raw: Any, place: str) -> None:
    """Refuse what is none of the space: flattening would make something of it."""
    if isinstance(space, spaces.Dict):
        if not isinstance(raw, dict) or not space.spaces.keys() <= raw.keys():
            raise WrongOutput(f"{shown(raw)} as the observation, where its space says {', '.join(space.spaces)}")
        for name, part in space.spaces.items():
            _check(part, raw[name], f"the observation's '{name}'")
    elif isinstance(space, spaces.Tuple):
        if not isinstance(raw, tuple | list) or len(raw) != len(space.spaces):
            raise WrongOutput(f"{shown(raw)} as the observation, where its space says {len(space.spaces)} parts")
        for number, part in enumerate(space.spaces):
            _check(part, raw[number], f"the observation's part {number}")
    elif isinstance(space, spaces.Discrete):
        _index(space)(raw)
    else:
        _check_array(space, raw, place)


def _check_array(space: gym.Space, raw: Any, place: str) -> None:
    """Refuse another shape, what is no number, and numbers of choices that there are not."""
    shape = space.shape or ()
    try:
        array = np.asarray(raw)
    except ValueError:
        raise wrong(raw, shape, str(space.dtype), place) from None
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise wrong(raw, shape, str(space.dtype), place)
    if not isinstance(space, spaces.Box) and not space.contains(array.astype(space.dtype)):
        raise WrongOutput(f"{place or 'the observation'} {shown(array.tolist())}, which is none of {space}")


def _advice(space: gym.Space) -> str:
    """What else could be done with parts that are pictures, for which a vector is a poor home."""
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    if isinstance(space, spaces.Tuple):
        parts = {str(number): part for number, part in enumerate(space.spaces)}
    pictures = [name for name, part in parts.items() if picture_layout(part) is not None]
    if not pictures:
        return ""
    return (
        f"; '{pictures[0]}' is a picture, which vision would see better alone: --pixels observes what is rendered, and "
        f"a wrapper that gives '{pictures[0]}' alone (gymnasium.wrappers.TransformObservation) lets a vision see it"
    )


def _float_box(space: spaces.Box) -> spaces.Box:
    """The Box float32 (D,) that holds every flattened value of `space`."""
    with np.errstate(over="ignore"):  # bounds beyond float32 become infinite
        low, high = (bound.astype(np.float32).reshape(-1) for bound in (space.low, space.high))
    return spaces.Box(low, high, dtype=np.float32)
