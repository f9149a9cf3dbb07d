"""No memory: the controller sees the present latent only."""

from __future__ import annotations

from torch import Generator, Tensor

from ewm_studio.models.base import Losses, MemoryModel, SequenceBatch, State
from ewm_studio.settings import ComponentSettings


class NoMemorySettings(ComponentSettings):
    """Nothing to set."""


class NoMemory(MemoryModel[NoMemorySettings]):
    """M that remembers nothing: h is empty, nothing is predicted, nothing is trained."""

    Settings = NoMemorySettings
    summary = "Remembers nothing: the controller decides on the present latent alone."
    hidden_dim = 0

    def initial_state(self, batch: int) -> State:
        """An empty state."""
        return {}

    def step(self, z: Tensor, action: Tensor, state: State, generator: Generator | None = None) -> tuple[Tensor, State]:
        """An empty h (B, 0) and an empty state."""
        return z.new_zeros(z.shape[0], 0), {}

    def sequence(
        self, z: Tensor, action: Tensor, is_first: Tensor, state: State, generator: Generator | None = None
    ) -> tuple[Tensor, State]:
        """An empty h (T, B, 0) and an empty state."""
        return z.new_zeros(*z.shape[:2], 0), {}

    def reset(self, state: State, is_first: Tensor) -> State:
        """Nothing to reset."""
        return state

    def loss(self, batch: SequenceBatch, state: State, generator: Generator | None = None) -> Losses:
        """Nothing to train."""
        return {}
