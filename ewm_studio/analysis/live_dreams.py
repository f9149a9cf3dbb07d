"""What a memory's dreams are worth while it is trained: a few figures that cost next to nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ewm_studio.analysis import open_loop
from ewm_studio.analysis.assessment import action_ratio
from ewm_studio.analysis.open_loop import HORIZONS
from ewm_studio.analysis.windows import Windows, windows
from ewm_studio.data.experience import Experience
from ewm_studio.data.rollout_buffer import RolloutBuffer
from ewm_studio.errors import UserError
from ewm_studio.models.base import MemoryModel, Tag
from ewm_studio.models.randomness import make_generator
from ewm_studio.models.world_model import WorldModel

WINDOWS = 32
DRAWS = 4
LONGEST = 32  # steps of a stretch of a rollout, half of them dreamt


def held_out_windows(
    experience: Experience, latents: Tensor, encode_action: Callable[[Tensor], Tensor]
) -> Windows | None:
    """A few stretches of held-out episodes; None where these are too short."""
    try:
        return windows(experience, latents, encode_action, max(HORIZONS), most=WINDOWS)
    except UserError:
        return None


def dream_figures(memory: MemoryModel, tried: Windows | None) -> dict[str, float]:
    """Errors of the mean of a few draws, by tag, as shares of the latents' variance; 1 is the mean latent's.

    `memory/stays_error_K` is what the latent that stays is wrong by after K decisions, `memory/action_ratio` as in an
    assessment. The draws are the same every time, and nobody else's random numbers change.
    """
    if tried is None or not tried.count or Tag.PREDICTS not in memory.tags:
        return {}
    generator = make_generator(0, tried.z.device)
    dreamt = open_loop.dream(memory, tried, DRAWS, generator=generator)
    errors = {
        "dream": open_loop.error(dreamt.mean, tried),
        "stays": open_loop.error(open_loop.guesses(tried)["persistence"], tried),
    }
    found = {
        f"memory/{name}_error_{k}": float(values[k - 1])
        for name, values in errors.items()
        for k in HORIZONS
        if k <= tried.horizon
    }
    return found | {"memory/action_ratio": action_ratio(memory, tried, generator)}


@torch.no_grad()
def rollout_figures(world: WorldModel, rollout: RolloutBuffer, next_obs: Tensor) -> dict[str, float]:
    """`dream_figures` on a rollout that nothing was trained on yet.

    Args:
        world: V and M as they acted.
        rollout: the rollout.
        next_obs: (B, ...) observations that follow its last step.
    """
    steps = len(rollout.z)
    length = min(steps, LONGEST)
    if length < 4 or Tag.PREDICTS not in world.memory.tags:
        return {}
    z = torch.cat([rollout.z, world.vision.encode(next_obs)[None]])  # (T + 1, B, Z)
    action = world.action_encoding(rollout.action)
    ended = rollout.ended
    cuts = [
        (slice(begin, begin + length), env)
        for begin in range(0, steps - length + 1, length)
        for env in torch.nonzero(~ended[begin : begin + length].any(0)).flatten().tolist()
    ][:WINDOWS]
    if not cuts:
        return {}
    every = z.flatten(0, 1)
    tried = Windows(
        z=torch.stack([z[part.start : part.stop + 1, env] for part, env in cuts], dim=1),
        action=torch.stack([action[part, env] for part, env in cuts], dim=1),
        reward=torch.stack([rollout.reward[part, env] for part, env in cuts], dim=1),
        terminated=torch.zeros(length, len(cuts), dtype=torch.bool, device=z.device),
        frames=np.zeros((length + 1, len(cuts)), np.int64),
        context=length // 2,
        variance=max(float(every.var(0).sum()), 1e-12),
        mean=every.mean(0),
    )
    return dream_figures(world.memory, tried)
