"""Stretches of held-out experience on which a memory is tried: true steps as context, then only the actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ewm_studio.data.experience import Experience, StoredEpisode
from ewm_studio.errors import UserError

CONTEXT = 24  # true steps before a memory is left to itself
APART = 6  # steps between two windows of one episode


@dataclass(frozen=True)
class Windows:
    """N stretches of `context` + K steps.

    Attributes:
        z: latents (context + K + 1, N, Z).
        action: as memory takes them (context + K, N, A).
        reward: of the environment (context + K, N).
        terminated: the episode ended for good with the step (context + K, N) bool.
        frames: numbers in the store (context + K + 1, N).
        context: true steps that memory is given.
        variance: of the latents, summed over their dimensions: what the mean latent is wrong by.
        mean: the mean latent (Z,).
    """

    z: Tensor
    action: Tensor
    reward: Tensor
    terminated: Tensor
    frames: NDArray
    context: int
    variance: float
    mean: Tensor

    @property
    def horizon(self) -> int:
        """K, the steps that memory is left to itself."""
        return len(self.action) - self.context

    @property
    def count(self) -> int:
        """N."""
        return self.z.shape[1]

    @property
    def start(self) -> Tensor:
        """The last true latent (N, Z)."""
        return self.z[self.context]

    @property
    def future(self) -> Tensor:
        """The latents that came (K, N, Z)."""
        return self.z[self.context + 1 :]

    @property
    def acted(self) -> Tensor:
        """The actions that memory is told (K, N, A)."""
        return self.action[self.context :]


def windows(
    experience: Experience,
    latents: Tensor,
    encode_action: Callable[[Tensor], Tensor],
    horizon: int,
    context: int = CONTEXT,
    most: int = 1024,
) -> Windows:
    """Windows through held-out episodes, `APART` steps from each other, at most `most` of them.

    Context and horizon are shortened to what the longer episodes allow, in which half of the steps are.

    Args:
        experience: episodes that nothing was trained on.
        latents: (frames, Z) by number in the store.
        encode_action: the environment's actions -> (..., A).
        horizon: K.
        context: true steps before.
        most: windows at most, taken evenly.

    Raises:
        UserError: hardly an episode has even three steps.
    """
    lengths = np.array([len(episode) for episode in experience.episodes] or [0])
    long = int(np.median(np.repeat(lengths, lengths)) if lengths.any() else 0)
    if long < 3:
        raise UserError(f"held-out episodes are of {long} steps: too few to measure on; record more")
    context = min(context, long // 3)
    horizon = min(horizon, long - context)
    places = [
        (episode, at) for episode in experience.episodes for at in range(context, len(episode) - horizon + 1, APART)
    ]
    chosen = [places[i] for i in np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int)]
    cut = [(episode, slice(at - context, at + horizon)) for episode, at in chosen]
    frames = np.stack([episode.frames[part.start : part.stop + 1] for episode, part in cut], axis=1)
    every = latents[torch.from_numpy(np.concatenate([episode.frames for episode in experience.episodes]))]
    action = torch.from_numpy(np.stack([episode.action[part] for episode, part in cut], axis=1))
    reward = torch.from_numpy(np.stack([episode.reward[part] for episode, part in cut], axis=1))
    return Windows(
        z=latents[torch.from_numpy(frames)],
        action=encode_action(action.to(latents.device)),
        reward=reward.to(latents.device),
        terminated=torch.from_numpy(np.stack([_ends(e)[part] for e, part in cut], axis=1)).to(latents.device),
        frames=frames,
        context=context,
        variance=max(float(every.var(0).sum()), 1e-12),
        mean=every.mean(0),
    )


def _ends(episode: StoredEpisode) -> NDArray:
    ends = np.zeros(len(episode), bool)
    ends[-1] = episode.terminated
    return ends
