"""Figures on what was kept aside while vision and memory are trained as one, and the latents are never the same."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.analysis import open_loop
from ewm_studio.analysis.held_out import memory_figures, vision_figures
from ewm_studio.analysis.live_dreams import DRAWS, dream_figures, held_out_windows
from ewm_studio.analysis.open_loop import HORIZONS
from ewm_studio.analysis.windows import Windows
from ewm_studio.data.experience import Experience
from ewm_studio.data.frames import FrameStore
from ewm_studio.models.base import MemoryModel, Tag
from ewm_studio.models.randomness import make_generator
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import WorldModelSettings
from ewm_studio.training.sequences import to_sequence_batch

ENCODE_BATCH = 512  # frames encoded at once


def together_figures(
    world: WorldModel,
    untrained: MemoryModel,
    held_out: Experience,
    frames: Iterable[Tensor],
    settings: WorldModelSettings,
    generator: Generator | None = None,
) -> dict[str, float]:
    """The held-out figures of vision, of memory on its latents as they are now, and of both.

    `together/held_out_open_loop` is `picture_errors`' error of dreams; where episodes are too short to dream on,
    `together/held_out_total` is the sum of both losses.

    Args:
        world: V and M.
        untrained: the same memory with fresh weights.
        held_out: what neither was trained on.
        frames: observations (N, ...) of it that vision is measured on.
        settings: say how long sequences are.
        generator: draws what vision's loss draws.
    """
    figures = vision_figures(world.vision, frames, generator)
    latents = latents_of(held_out, world)
    batches = held_out.sequence_batches(np.random.default_rng(0), settings.memory_batch_size, settings.sequence_length)
    figures |= memory_figures(
        world.memory, untrained, (to_sequence_batch(some, latents, world.action_encoding) for some in batches)
    )
    figures["together/held_out_total"] = figures["vision/held_out_total"] + figures["memory/held_out_total"]
    tried = held_out_windows(held_out, latents, world.action_encoding)
    if tried is None or not tried.count or Tag.PREDICTS not in world.memory.tags:
        return figures
    return figures | dream_figures(world.memory, tried) | picture_errors(world, tried, held_out.store)


@torch.no_grad()
def latents_of(experience: Experience, world: WorldModel) -> Tensor:
    """Latents (frames, Z) by number in the store, as vision is now; zero where the experience has none."""
    numbers = np.unique(np.concatenate([episode.frames for episode in experience.episodes]))
    latents = torch.zeros(len(experience.store), world.vision.latent_dim, device=world.device)
    world.vision.eval()
    for some in np.array_split(numbers, -(-len(numbers) // ENCODE_BATCH)):
        frames = torch.from_numpy(experience.store.read(some)).to(world.device)
        latents[torch.from_numpy(some).to(world.device)] = world.vision.encode(frames)
    return latents


@torch.no_grad()
def picture_errors(world: WorldModel, tried: Windows, store: FrameStore) -> dict[str, float]:
    """Squared errors of dreamt observations, mean over `HORIZONS`, as shares of what observations vary.

    Latents that move while they are trained are no measure of themselves: those that hold less are foretold better.
    What is seen stays what it is. Far steps count no more than near ones, and draws are averaged as pictures: where
    nothing can be foretold any more, a vision that only makes blurred pictures would win.

    Returns:
        together/held_out_open_loop: of the mean of a few draws; together/held_out_stays: of the last true latent.
    """
    dreamt = open_loop.dream(world.memory, tried, DRAWS, generator=make_generator(0, tried.z.device)).z  # (D, K, N, Z)
    guessed = {"open_loop": dreamt, "stays": tried.start.expand_as(dreamt[:1])}
    steps = [k for k in HORIZONS if k <= tried.horizon]
    seen = torch.stack([_observations(store, tried.frames[tried.context + k]) for k in steps]).to(world.device)
    varies = max(float((seen - seen.mean((0, 1))).square().mean()), 1e-12)  # seen: (steps, N, ...)
    wrong = dict.fromkeys(guessed, 0.0)
    for name, z in guessed.items():
        for k, true in zip(steps, seen, strict=True):
            pictures = world.vision.decode(z[:, k - 1].flatten(0, 1)).unflatten(0, (len(z), -1)).mean(0)
            wrong[name] += float((pictures - true).square().mean()) / len(steps)
    return {f"together/held_out_{name}": value / varies for name, value in wrong.items()}


def _observations(store: FrameStore, numbers: np.ndarray) -> Tensor:
    """Observations (N, ...) as `decode` gives them: pictures in 0 to 1."""
    frames = torch.from_numpy(store.read(numbers))
    return frames.float() / 255 if frames.dtype == torch.uint8 else frames
