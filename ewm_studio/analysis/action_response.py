"""What an action does in a dream, beside what it does in the environment from the very same state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.acting.agent import Agent
from ewm_studio.dreams.trust import decoded, shows_pictures
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.prepared import PreparedEnv
from ewm_studio.models.imagining import imagined, in_draws
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import EnvSettings

STEPS = 10  # decisions for which an action is held
CONTEXT = 24  # true steps that memory is given before
MOST_CHOICES = 4  # of a discrete action
DRAWS = 8  # of a dream, whose mean counts
NEUTRAL = "neutral"
INSTRUMENTS = {"CarRacing": (96, 12)}  # rows of the picture, and how many at its foot show what the car is told


@dataclass(frozen=True)
class Fork:
    """One state, and what came of each action held from there on.

    Attributes:
        before: prepared observations (T + 1, ...) up to the fork.
        actions: what was done before (T, ...).
        after: by the action's name, prepared observations (STEPS, ...).
    """

    before: np.ndarray
    actions: np.ndarray
    after: dict[str, np.ndarray]


def extremes(space: gym.Space) -> dict[str, Any]:
    """Actions to compare, by name: of each continuous axis its bounds, the others neutral; of a choice the first few.

    Axes without bounds, and other kinds of actions, have none. Nothing is there twice: a bound that is neutral, as of a
    pedal, is left out.
    """
    if isinstance(space, gym.spaces.Discrete):
        return {str(i): np.asarray(space.start + i, space.dtype) for i in range(min(int(space.n), MOST_CHOICES))}
    if not isinstance(space, gym.spaces.Box) or not np.isfinite(np.concatenate([space.low, space.high], None)).all():
        return {}
    neutral = np.clip(np.zeros(space.shape), space.low, space.high)
    found: dict[str, Any] = {NEUTRAL: neutral.astype(space.dtype)}
    for axis in np.ndindex(space.shape):
        for name, bound in (("low", space.low), ("high", space.high)):
            action = neutral.copy()
            action[axis] = bound[axis]
            if action[axis] != neutral[axis]:
                found[f"{'.'.join(map(str, axis))} {name}"] = action.astype(space.dtype)
    return found


def scene_rows(env: EnvSettings, rows: int) -> int:
    """How many of a prepared picture's rows, from the top, show the scene and not instruments below it."""
    for name, (height, below) in INSTRUMENTS.items():
        if env.id.startswith(name):
            seen = height - env.crop_top - env.crop_bottom
            return int(rows * min(1.0, (height - below - env.crop_top) / seen))
    return rows


def forks(
    agent: Agent, episodes: Sequence[tuple[int, np.ndarray]], actions: dict[str, Any], each: int, seed: int
) -> Iterator[Fork]:
    """Fork the environment in played episodes; each is played again from its seed as often as it takes.

    Args:
        agent: prepares observations.
        episodes: seed and actions (T, ...) of each.
        actions: what to hold, by name.
        each: forks in an episode.
        seed: draws where.
    """
    rng = np.random.default_rng(seed)
    for number, done in episodes:
        places = np.arange(min(CONTEXT, len(done) // 2), len(done) - 1)
        for at in rng.choice(places, min(each, len(places)), replace=False):
            yield _fork(agent, number, done[:at], actions)


def _fork(agent: Agent, seed: int, done: np.ndarray, actions: dict[str, Any]) -> Fork:
    seen: list[np.ndarray] = []
    after: dict[str, np.ndarray] = {}
    blind = max(0, len(done) - CONTEXT)
    for name, action in actions.items():
        env = make_prepared_env(agent.env.as_played(), window=False)
        try:
            env.reset_blind(seed=seed)
            for taken in done[:blind]:
                env.step_blind(taken)
            if not seen:
                seen.append(np.array(env.observe()))
                seen += [np.array(env.step(taken)[0]) for taken in done[blind:]]
            else:
                for taken in done[blind:]:
                    env.step_blind(taken)
            after[name] = _held(env, action)
        finally:
            env.close()
    return Fork(np.stack(seen), done[blind:], after)


def _held(env: PreparedEnv, action: Any) -> np.ndarray:
    """Observations (STEPS, ...) under one action; where the episode ends, its last one stays."""
    seen: list[np.ndarray] = []
    while len(seen) < STEPS:
        obs, _, terminated, truncated, _ = env.step(action)
        seen.append(np.array(obs))
        if terminated or truncated:
            seen += [seen[-1]] * (STEPS - len(seen))
    return np.stack(seen)


@torch.no_grad()
def response(
    world: WorldModel, found: Sequence[Fork], actions: dict[str, Any], generator: Generator, rows: int | None = None
) -> dict[str, Any]:
    """How the dream answers, for every pair of actions, after `STEPS` decisions.

    Args:
        world: V and M.
        found: the forks.
        actions: what was held in them, by name.
        generator: draws the dreams.
        rows: of a picture, from the top, that show the scene; None for all.

    Returns:
        by "one / other": `share`, the part of the real difference between the two that the dream makes (1 is all of
        it), and `sign`, the share of forks in which the dream's difference points the real one's way, both in latents;
        where vision decodes pictures, `pictures`, the same share in them, `scene`, in those rows of them alone, and
        `vision`, what V's own reconstruction of reality makes there: more than that no dream can show.
    """
    held = {name: [_after(world, fork, name, action, generator) for fork in found] for name, action in actions.items()}
    names = list(actions)
    pairs: dict[str, dict[str, float]] = {}
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            ends = list(zip(held[one], held[other], strict=True))
            true = torch.stack([a.real - b.real for a, b in ends])
            told = torch.stack([a.dreamt - b.dreamt for a, b in ends])
            pairs[f"{one} / {other}"] = {
                "share": _share(told, true),
                "sign": float(((true * told).sum(-1) > 0).float().mean()),
                "size": float(true.square().sum(-1).mean()),
            }
            if shows_pictures(world.vision):
                pairs[f"{one} / {other}"] |= _in_pictures(world, ends, rows)
    return pairs


@dataclass(frozen=True)
class _After:
    """What a fork's action led to: real and mean dreamt latent (Z,), every draw (D, Z), the real observation."""

    real: Tensor
    dreamt: Tensor
    draws: Tensor
    seen: Tensor


def _after(world: WorldModel, fork: Fork, name: str, action: Any, generator: Generator) -> _After:
    seen = _tensor(world, fork.after[name][-1:])
    draws = dream_held(world, fork, action, generator)[-1]
    return _After(world.vision.encode(seen)[0], draws.mean(0), draws, seen[0])


def _in_pictures(world: WorldModel, ends: Sequence[tuple[_After, _After]], rows: int | None) -> dict[str, float]:
    """`pictures`, `scene` and `vision` of `response`."""
    parts: dict[str, list[Tensor]] = {"true": [], "told": [], "vision": []}
    for one, other in ends:
        parts["true"].append(_picture(one.seen) - _picture(other.seen))
        parts["told"].append((decoded(world.vision, one.draws) - decoded(world.vision, other.draws)).mean(0))
        parts["vision"].append(decoded(world.vision, one.real) - decoded(world.vision, other.real))
    true, told, vision = (torch.stack(values) for values in parts.values())
    cut = (..., slice(0, rows), slice(None))
    return {
        "pictures": _share(told, true),
        "scene": _share(told[cut], true[cut]),
        "vision": _share(vision[cut], true[cut]),
    }


def _picture(seen: Tensor) -> Tensor:
    return seen.float() / 255 if seen.dtype == torch.uint8 else seen.float()


def _share(told: Tensor, true: Tensor) -> float:
    """The part of true differences that told ones make."""
    return float((told * true).sum() / true.square().sum().clamp_min(1e-12))


@torch.no_grad()
def dream_held(world: WorldModel, fork: Fork, action: Any, generator: Generator, draws: int = DRAWS) -> Tensor:
    """The latents (STEPS, draws, Z) dreamt while an action is held."""
    memory = world.memory
    z = world.vision.encode(_tensor(world, fork.before)).unsqueeze(1)
    encode: Callable[[Tensor], Tensor] = world.action_encoding
    state = memory.initial_state(1)
    if len(fork.actions):
        taken = encode(_tensor(world, fork.actions)).unsqueeze(1)
        started = torch.zeros(len(taken), 1, dtype=torch.bool, device=z.device)
        _, state = memory.sequence(z[:-1], taken, started, state)
    held = [encode(_tensor(world, np.asarray(action)[None])).repeat(draws, 1)] * STEPS
    dreamt = imagined(memory, z[-1].repeat(draws, 1), in_draws(state, draws), held, 1.0, generator)
    return torch.stack([following.z for following in dreamt])


def _tensor(world: WorldModel, values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values)).to(world.device)
