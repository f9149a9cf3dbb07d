"""Idle heads and tails of recorded episodes: nobody has begun to act yet, or does any more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ewm_studio.data.episode_file import open_episode
from ewm_studio.data.library import Binned, Library

if TYPE_CHECKING:
    import gymnasium as gym

RESTS = ("nothing", "none", "coast")  # names of actions that do nothing


def rest_actions(env_id: str, space: gym.Space) -> tuple[Any, ...]:
    """The actions by which nothing is done; none where an environment has no such action."""
    import gymnasium as gym  # a window knows this file before environments are there

    from ewm_studio.envs.factory import NAMED_ACTIONS

    if isinstance(space, gym.spaces.Box):
        nothing = np.zeros(space.shape, space.dtype)
        return (nothing,) if space.contains(nothing) else ()
    if isinstance(space, gym.spaces.Discrete):
        name = re.sub(r"-v\d+$", "", re.split("[:/]", env_id)[-1])
        words = NAMED_ACTIONS.get(name, "").split(", ")
        if len(words) == int(space.n):
            return tuple(int(space.start) + number for number, word in enumerate(words) if word in RESTS)
    return ()


def busy_part(action: np.ndarray, rests: Sequence[Any]) -> tuple[int, int]:
    """From the first step (T, ...) at which something is done to behind the last; (0, 0) where nothing ever is."""
    flat = action.reshape(len(action), -1)
    idle = np.zeros(len(action), bool)
    for rest in rests:
        idle |= (flat == np.asarray(rest).reshape(1, -1)).all(1)
    busy = np.flatnonzero(~idle)
    return (int(busy[0]), int(busy[-1]) + 1) if len(busy) else (0, 0)


def trim(library: Library, path: Path) -> Binned | None:
    """Cut what is idle at the ends of an episode; the whole goes to the bin. None where there is nothing to cut.

    The tail stays where the episode ended for good: its end is what a memory learns from. An episode in which nothing
    is ever done stays as it is.

    Raises:
        UserError: the file is damaged. JobError: the disk is full.
    """
    from ewm_studio.envs.spaces import space_from_json

    with open_episode(path) as episode:
        space, length = space_from_json(episode.meta["action_space"]), episode.length
        begin, end = busy_part(episode.column("action"), rest_actions(str(episode.meta["env"]), space))
        end = length if bool(episode.column("terminated")[-1]) else end
    if end <= begin or (begin, end) == (0, length):
        return None
    return library.cut(path, begin, end)


def trim_all(library: Library, name: str) -> list[Binned]:
    """`trim` every episode of a recording.

    Raises:
        UserError: there is none of this name, or a file is damaged. JobError: the disk is full.
    """
    found = [trim(library, info.path) for info in library.find(name).episodes]
    return [binned for binned in found if binned is not None]
