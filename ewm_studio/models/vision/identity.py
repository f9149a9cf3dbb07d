"""Identity: the observation itself is the latent."""

from __future__ import annotations

import gymnasium as gym
from torch import Generator, Tensor

from ewm_studio.errors import UserError
from ewm_studio.models.base import Losses, Tag, VisionModel
from ewm_studio.settings import ComponentSettings

# Beyond any sensible observation, and small enough that squares and sums of it stay finite in float32. Some
# environments bound their observations by the largest float, or by infinity.
LIMIT = 1e6


class IdentitySettings(ComponentSettings):
    """Identity has nothing to set."""


class Identity(VisionModel[IdentitySettings]):
    """z is the observation vector, held within +-1e6; nothing is trained.

    A NaN stays one, so that the training's own check finds it instead of learning from made-up numbers.

    Raises:
        UserError: the observation is no vector.
    """

    Settings = IdentitySettings
    tags = frozenset({Tag.VECTOR, Tag.RECONSTRUCTS})
    summary = "Vector observations as they are; nothing to train."

    def __init__(self, settings: IdentitySettings, observation_space: gym.spaces.Box) -> None:
        super().__init__(settings, observation_space)
        if len(observation_space.shape) != 1:
            raise UserError(
                f"Identity observes vectors, not observations of shape {observation_space.shape}; use ConvVAE"
            )
        self.latent_dim = int(observation_space.shape[0])

    def encode(self, obs: Tensor) -> Tensor:
        """Latent (B, Z) of observations (B, Z)."""
        return obs.float().clamp(-LIMIT, LIMIT)

    def decode(self, z: Tensor) -> Tensor:
        """Observations (B, Z) of latents (B, Z)."""
        return z

    def loss(self, obs: Tensor, generator: Generator | None = None) -> Losses:
        """Empty: there is nothing to train."""
        return {}
