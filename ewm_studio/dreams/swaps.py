"""Another model in the middle of a dream: its vision, its memory, or both take over where the old ones stand."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor

from ewm_studio.dreams.real_world import Dreamer
from ewm_studio.dreams.starts import WARM, remembered
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.spaces import describe
from ewm_studio.errors import UserError
from ewm_studio.models.base import Tag
from ewm_studio.models.belief import Belief
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import EnvSettings


@dataclass(frozen=True, eq=False)
class Mixed:
    """A dreamer made of parts of two."""

    model: WorldModel
    preprocessor: Preprocessor
    env: EnvSettings


def moved(old: Dreamer, new: Dreamer, parts: str, z: Tensor, actions: NDArray) -> tuple[Dreamer, Belief]:
    """Who dreams on once `parts` of `new` have taken over from `old`, and what is believed then.

    Latents of another vision mean something else: with it they are seen anew, from the pictures that the old one makes
    of them. Memory takes in the last steps before it dreams on.

    Args:
        old: dreamt until now.
        new: whose parts are taken.
        parts: v, m or both.
        z: latents (J + 1, Z) until now, the present one last.
        actions: decisions (J, ...) between them.

    Raises:
        UserError: `new` does not fit, and what does not.
    """
    if not set(parts) <= set("vm") or not parts:
        raise UserError(f"parts '{parts}' cannot be swapped; give v, m or vm")
    _check_fits(old.model, new.model, parts)
    if old.env.action_repeat != new.env.action_repeat:
        each, every = new.env.action_repeat, old.env.action_repeat
        raise UserError(f"it does not fit: it decides every {each} frames, this dream every {every}")
    world = new.model if set(parts) == set("vm") else _mixed(old.model, new.model, parts)
    world.require_imagination()
    z, actions = z[-WARM - 1 :], actions[-WARM:]
    z = z[-len(actions) - 1 :]
    if "v" in parts:
        with torch.inference_mode():
            z = world.vision.encode(_observed(old.model, z)).clone()
    belief = remembered(world, z, actions).clone()
    dreamer = Mixed(world, new.preprocessor if "v" in parts else old.preprocessor, old.env)
    return dreamer, belief


def _check_fits(old: WorldModel, new: WorldModel, parts: str) -> None:
    for what, mine, found in (
        ("sees", old.observation_space, new.observation_space),
        ("acts by", old.action_space, new.action_space),
    ):
        if mine != found:
            raise UserError(f"it does not fit: it {what} {describe(found)}, this dream is of {describe(mine)}")
    if set(parts) != set("vm") and old.vision.latent_dim != new.vision.latent_dim:
        raise UserError(
            f"it does not fit: it has {new.vision.latent_dim} latents, this dream has {old.vision.latent_dim}; swap "
            "vision and memory together"
        )
    if set(parts) != set("vm") and (old.vision.code_cells or new.vision.code_cells):
        raise UserError("it does not fit: codes are of one codebook; swap vision and memory together")
    if "v" in parts and Tag.RECONSTRUCTS not in old.vision.tags:
        raise UserError("it does not fit: this dream's vision makes no pictures that another one could see")


def _mixed(old: WorldModel, new: WorldModel, parts: str) -> WorldModel:
    """The old model with a part of the new one; both keep theirs."""
    mixed = copy.copy(old)
    mixed._modules, mixed.parts = dict(old._modules), dict(old.parts)
    if "v" in parts:
        mixed.vision, mixed.parts["vision"] = new.vision, new.parts["vision"]
    if "m" in parts:
        mixed.memory, mixed.parts["memory"] = new.memory, new.parts["memory"]
    return mixed


def _observed(world: WorldModel, z: Tensor) -> Tensor:
    """What vision makes of latents, as prepared observations."""
    seen = world.vision.decode(z)
    return (seen.clamp(0, 1) * 255).round().to(torch.uint8) if seen.dim() == 4 else seen
