"""Futures: many draws of what may come from one belief, and what they spread over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ewm_studio.dreams.trust import decoded, shows_pictures
from ewm_studio.envs.factory import NAMED_ACTIONS
from ewm_studio.models.belief import Belief
from ewm_studio.models.pictures import to_pictures
from ewm_studio.models.randomness import make_generator
from ewm_studio.models.world_model import WorldModel

Acts = Callable[[Belief, Generator], Any]  # actions (K, ...) at a belief of K
MOST_TURNS = 4  # of a choice
_PEDALS = ([-1.0, 0.0, 0.0], [1.0, 1.0, 1.0])  # of CarRacing: the wheel, gas and brake


@dataclass(frozen=True, eq=False)
class Fan:
    """K draws of S steps.

    Attributes:
        words: under which action.
        z: latents (S, K, Z).
        reward: (S, K) expected.
        end: (S, K) probability that the episode ends with the step.
        spread: (S,) variance over draws, summed over latents.
        pictures: uint8 (S, K, H, W, 3); None where vision makes none.
    """

    words: str
    z: NDArray
    reward: NDArray
    end: NDArray
    spread: NDArray
    pictures: np.ndarray | None


@torch.inference_mode()
def fan(
    world: WorldModel,
    belief: Belief,
    act: Any,
    count: int = 7,
    steps: int = 16,
    *,
    temperature: float = 1.0,
    seed: int = 0,
    words: str = "",
) -> Fan:
    """Draw so many futures from a belief of one, which stays as it is; nobody else's draws change.

    Args:
        world: dreams.
        belief: where they begin.
        act: an action that is held, or what acts in all of them.
        count: K.
        steps: S.
        temperature: of the draws.
        seed: of the draws.
        words: under which action.
    """
    generator, now = make_generator(seed, world.device), belief.rows([0] * count)
    z, rewards, ends = list[Tensor](), list[Tensor](), list[Tensor]()
    held = None if callable(act) else torch.as_tensor(np.array(act), device=world.device)
    for _ in range(steps):
        action = torch.as_tensor(act(now, generator)) if held is None else held.expand(count, *held.shape)
        now, reward, end = world.imagine(now, action, temperature, generator)
        z.append(now.z)
        rewards.append(reward)
        ends.append(end)
    latents = torch.stack(z)
    spread = latents.var(1).sum(-1) if count > 1 else torch.zeros(steps)
    all_rewards, all_ends = _array(torch.stack(rewards)), _array(torch.stack(ends))
    return Fan(words, _array(latents), all_rewards, all_ends, _array(spread), pictures_of(world, latents))


def pictures_of(world: WorldModel, z: Tensor | NDArray) -> np.ndarray | None:
    """Pictures uint8 (..., H, W, 3) of latents (..., Z); None where vision makes none."""
    if not shows_pictures(world.vision):
        return None
    latents = torch.as_tensor(z, device=world.device)
    seen = to_pictures(decoded(world.vision, latents).flatten(0, -4))
    seen = np.repeat(seen, 3, axis=3) if seen.shape[3] == 1 else seen
    return seen.reshape(*latents.shape[:-1], *seen.shape[1:])


def _array(tensor: Tensor) -> NDArray:
    return tensor.float().cpu().numpy()


def turns(space: gym.Space, name: str = "", present: Any = None) -> dict[str, Any]:
    """Actions whose futures are worth comparing, by name: left, straight, right where there is such a thing.

    Args:
        space: of actions.
        name: of the environment, without its version.
        present: the action now: of CarRacing, the gas stays as it is.
    """
    if isinstance(space, gym.spaces.Discrete):
        words = NAMED_ACTIONS.get(name, "").split(", ")
        known = words if len(words) == int(space.n) else [f"action {number}" for number in range(int(space.n))]
        first = int(space.start)
        return {word: np.asarray(first + number, space.dtype) for number, word in enumerate(known[:MOST_TURNS])}
    if not isinstance(space, gym.spaces.Box) or not np.isfinite(np.concatenate([space.low, space.high], None)).all():
        return {}
    middle = np.clip(np.zeros(space.shape), space.low, space.high) if present is None else np.array(present, float)
    found: dict[str, Any] = {}
    pedals = (space.low.tolist(), space.high.tolist()) == _PEDALS
    bounds = {"left": space.low.flat[0], "straight": None, "right": space.high.flat[0]}
    for word, bound in bounds.items():
        action = middle.copy().reshape(-1)
        action[0] = 0.0 if bound is None else bound
        if pedals and present is None:
            action[1] = 0.2  # rolling on, or nothing would turn
        found[word] = action.reshape(space.shape).astype(space.dtype)
    return found
