"""Spaces as JSON and as words."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from ewm_studio.errors import UserError

LARGEST_SPACE = 2**28  # bytes of one observation that a file may declare
_PEDALS = ("steer", "gas", "brake")
_COLORS = {1: "gray", 3: "RGB", 4: "with 4 channels"}
BOARD_NUMBERS = 1024  # a board has no more


def space_to_json(space: gym.Space) -> dict[str, Any]:
    """A space as a dictionary of JSON values, without NaN and infinity; `space_from_json` undoes it exactly.

    Raises:
        UserError: the space is of a kind that has no such form (Text, Graph, Sequence, ...).
    """
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "shape": list(space.shape),
            "dtype": str(space.dtype),
            "low": _bounds_to_json(space.low),
            "high": _bounds_to_json(space.high),
        }
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiDiscrete):
        return {
            "type": "MultiDiscrete",
            "nvec": space.nvec.tolist(),
            "start": space.start.tolist(),
            "dtype": str(space.dtype),
        }
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": list(space.shape) if len(space.shape) != 1 else int(space.shape[0])}
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": [[name, space_to_json(part)] for name, part in space.spaces.items()]}
    if isinstance(space, spaces.Tuple):
        return {"type": "Tuple", "spaces": [space_to_json(part) for part in space.spaces]}
    raise UserError(
        f"the space {space} is not supported; supported: Box, Discrete, MultiDiscrete, MultiBinary, Dict, Tuple"
    )


def space_from_json(described: dict[str, Any]) -> gym.Space:
    """The space that `space_to_json` described.

    Raises:
        UserError: the description is not of a space.
    """
    try:
        _check_size(described)
        return _from_json(described)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"not the description of a space ({type(error).__name__}: {error})") from error


def _check_size(described: dict[str, Any]) -> None:
    """Refuse what a file declares larger than any observation is, before it is made."""
    declared = _declared_bytes(described)
    if declared > LARGEST_SPACE:
        raise UserError(f"not the description of a space: {declared:,} bytes, at most {LARGEST_SPACE:,} can be")


def _declared_bytes(described: dict[str, Any]) -> int:
    """Bytes of one observation or action, as described."""
    parts = described.get("spaces", [])
    inner = [part[1] if described["type"] == "Dict" else part for part in parts]
    shape = described.get("shape", described.get("n", 1) if described["type"] == "MultiBinary" else [])
    size = math.prod(int(n) for n in (shape if isinstance(shape, list) else [shape]))
    return size * np.dtype(described.get("dtype", "uint8")).itemsize + sum(map(_declared_bytes, inner))


def _from_json(described: dict[str, Any]) -> gym.Space:
    kind = described["type"]
    if kind == "Box":
        shape, dtype = tuple(int(n) for n in described["shape"]), np.dtype(described["dtype"])
        low, high = (_bounds_from_json(described[name], shape, dtype) for name in ("low", "high"))
        return spaces.Box(low, high, shape, dtype.type)
    if kind == "Discrete":
        dtype = np.dtype(described["dtype"]).type
        return spaces.Discrete(int(described["n"]), start=int(described["start"]), dtype=dtype)
    if kind == "MultiDiscrete":
        dtype = np.dtype(described["dtype"]).type
        nvec, start = (np.array(described[name], dtype=dtype) for name in ("nvec", "start"))
        return spaces.MultiDiscrete(nvec, dtype=dtype, start=start)
    if kind == "MultiBinary":
        return spaces.MultiBinary(described["n"])
    if kind == "Dict":
        # An OrderedDict, since Dict sorts the keys of a plain one.
        return spaces.Dict(OrderedDict((str(name), _from_json(part)) for name, part in described["spaces"]))
    if kind == "Tuple":
        return spaces.Tuple([_from_json(part) for part in described["spaces"]])
    raise UserError(f"not the description of a space: unknown type '{kind}'")


def _bounds_to_json(bounds: np.ndarray) -> Any:
    """One number where all are equal, else a flat list; infinities as "inf" and "-inf", which JSON lacks."""
    flat = bounds.reshape(-1)
    if flat.size and (flat == flat[0]).all():
        return _number_to_json(flat[0].item())
    return [_number_to_json(value) for value in flat.tolist()]


def _number_to_json(value: Any) -> Any:
    return value if np.isfinite(value) else str(value)


def _bounds_from_json(bounds: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if isinstance(bounds, list):
        return np.array([float(b) if isinstance(b, str) else b for b in bounds], dtype=dtype).reshape(shape)
    return np.full(shape, float(bounds) if isinstance(bounds, str) else bounds, dtype=dtype)


Layout = Literal["HW", "HWC", "CHW"]


def picture_layout(space: gym.Space, earlier: bool = False) -> Layout | None:
    """How pictures of this space lie in an observation; None where its observations are no pictures.

    uint8 with one, three or four channels (four: RGBA, or four gray frames one after the other) last or first, or
    without any. A small board that says by its bounds that it holds other things than brightness is none.

    Args:
        space: of raw observations.
        earlier: as version 0.1.0 had it: one or three channels, last, or none, whatever the bounds.
    """
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) not in (2, 3):
        return None
    shape = space.shape
    if earlier:
        return "HW" if len(shape) == 2 else "HWC" if shape[2] in (1, 3) else None
    if is_board(space):
        return None
    if len(shape) == 2:
        return "HW"
    last, first = shape[2] in (1, 3, 4), shape[0] in (1, 3, 4)
    if last and first:  # the channels are what there is less of
        return "HWC" if shape[2] <= shape[0] else "CHW"
    return "HWC" if last else "CHW" if first else None


def is_board(space: spaces.Box) -> bool:
    """Whether these uint8 observations, (H, W) or with channels, are the fields of a board: few, of small numbers."""
    few = int(np.prod(space.shape)) <= BOARD_NUMBERS
    return few and bool((space.high < 255).all()) and bool((space.high > space.low).all())


def is_picture(space: gym.Space) -> bool:
    """Whether raw observations of this space are pictures; see `picture_layout`."""
    return picture_layout(space) is not None


def describe(space: gym.Space) -> str:
    """A space in a few words: "96x96 RGB", "4 numbers", "2 choices", "steer, gas, brake"."""
    if isinstance(space, spaces.Box):
        return _describe_box(space)
    if isinstance(space, spaces.Discrete):
        return _count(int(space.n), "choice")
    if isinstance(space, spaces.MultiDiscrete):
        return f"{_count(space.nvec.size, 'choice')} of {', '.join(str(n) for n in space.nvec.reshape(-1))}"
    if isinstance(space, spaces.MultiBinary):
        return _count(int(np.prod(space.shape)), "switch", "switches")
    if isinstance(space, spaces.Dict):
        return "; ".join(f"{name}: {describe(part)}" for name, part in space.spaces.items())
    if isinstance(space, spaces.Tuple):
        return "; ".join(describe(part) for part in space.spaces)
    return str(space)


def action_names(space: gym.Space) -> tuple[str, ...]:
    """A name for each number of an action: steer, gas, brake; one "action" alone; else action 1, action 2, ..."""
    if _is_pedals(space):
        return _PEDALS
    count = int(np.prod(space.shape or ()))
    return ("action",) if count == 1 else tuple(f"action {number}" for number in range(1, count + 1))


def _is_pedals(space: gym.Space) -> bool:
    """Whether these are a car's pedals, which are told by their bounds."""
    if not isinstance(space, spaces.Box) or space.shape != (3,):
        return False
    return space.low.tolist() == [-1, 0, 0] and space.high.tolist() == [1, 1, 1]


def _describe_box(space: spaces.Box) -> str:
    shape = space.shape
    layout = picture_layout(space)
    if layout is not None:  # raw, or prepared as (C, H, W)
        channels, height, width = (1, *shape) if layout == "HW" else shape
        if layout == "HWC":
            height, width, channels = shape
        return f"{width}x{height} {_COLORS[channels]}"
    if _is_pedals(space):
        return ", ".join(_PEDALS)
    words = _count(int(np.prod(shape)), "number")
    if len(shape) > 1:
        words += f" ({'x'.join(str(n) for n in shape)})"
    low, high = space.low.reshape(-1), space.high.reshape(-1)
    uniform = bool(low.size) and bool((low == low[0]).all()) and bool((high == high[0]).all())
    if uniform and np.isfinite(low[0]) and np.isfinite(high[0]):
        words += f" in {low[0]:g}..{high[0]:g}"
    return words


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def as_raw(space: gym.spaces.Box) -> gym.spaces.Box:
    """The space of raw pictures (H, W, C) that these prepared ones (C, H, W) are of; other spaces as they are."""
    if len(space.shape) != 3:
        return space
    channels, height, width = space.shape
    return gym.spaces.Box(0, 255, (height, width, channels), np.uint8)
