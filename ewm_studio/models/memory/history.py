"""The last few steps as they were, side by side: what frame stacking is to pictures, for latents and actions."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ewm_studio.models.base import Losses, MemoryModel, SequenceBatch, State
from ewm_studio.settings import ComponentSettings, setting


class HistorySettings(ComponentSettings):
    """Settings of `History`."""

    steps: int = setting(4, "Past steps the controller sees.", unit="steps", ge=1, le=256)


class History(MemoryModel[HistorySettings]):
    """M that keeps the last K latents and the actions taken at them; nothing is predicted, nothing is trained.

    Its state: those steps (B, K, Z + A), oldest first, zero before the episode's start; h is the state in a row.
    """

    Settings = HistorySettings
    summary = "Shows the controller the last few latents and actions as they were; nothing to train."
    none: Tensor

    def __init__(self, settings: HistorySettings, latent_dim: int, action_dim: int) -> None:
        super().__init__(settings, latent_dim, action_dim)
        self.hidden_dim = settings.steps * (latent_dim + action_dim)
        empty = torch.zeros(1, settings.steps, latent_dim + action_dim)
        self.register_buffer("none", empty, persistent=False)

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        return {"recent": self.none.repeat(batch, 1, 1)}

    def step(self, z: Tensor, action: Tensor, state: State, generator: Generator | None = None) -> tuple[Tensor, State]:
        """One step: z (B, Z), action (B, A) -> h (B, K * (Z + A)), and the new state."""
        recent = torch.cat([state["recent"][:, 1:], torch.cat([z, action], dim=-1).unsqueeze(1)], dim=1)
        return recent.flatten(1), {"recent": recent}

    def sequence(
        self, z: Tensor, action: Tensor, is_first: Tensor, state: State, generator: Generator | None = None
    ) -> tuple[Tensor, State]:
        """Many steps: z (T, B, Z), action (T, B, A), is_first (T, B) -> h (T, B, K * (Z + A)), last state."""
        steps = self.settings.steps
        every = torch.cat([state["recent"].transpose(0, 1), torch.cat([z, action], dim=-1)])  # (K + T, B, Z + A)
        recent = every.unfold(0, steps, 1)[1:].movedim(-1, 2)  # (T, B, K, Z + A)
        before = is_first.new_zeros(steps, is_first.shape[1], dtype=torch.long)
        episode = torch.cat([before, is_first.long().cumsum(0)])  # (K + T, B): the state belongs to episode 0
        same = episode.unfold(0, steps, 1)[1:] == episode[steps:].unsqueeze(-1)  # (T, B, K)
        recent = torch.where(same.unsqueeze(-1), recent, 0.0)
        return recent.flatten(2), {"recent": recent[-1].clone()}

    def loss(self, batch: SequenceBatch, state: State, generator: Generator | None = None) -> Losses:
        """Nothing to train."""
        return {}
