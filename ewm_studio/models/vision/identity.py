"""Identity: the observation itself is the latent."""

from __future__ import annotations

import gymnasium as gym
from torch import Generator, Tensor

from ewm_studio.errors import UserError
from ewm_studio.models.base import Losses, Tag, VisionModel
from ewm_studio.settings import ComponentSettings, setting


class IdentitySettings(ComponentSettings):
    """How far observations may go."""

    limit: float = setting(
        1e15,
        "Observations are held within plus and minus this: some environments bound theirs by the largest number there "
        "is, whose square is infinite. What is large is scaled by memory and controller, by its own statistics.",
        gt=0,
        le=1e15,
        advanced=True,
        earlier=1e6,
    )


class Identity(VisionModel[IdentitySettings]):
    """z is the observation vector, held within bounds beyond any sensible one; nothing is trained.

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
        return obs.float().clamp(-self.settings.limit, self.settings.limit)

    def decode(self, z: Tensor) -> Tensor:
        """Observations (B, Z) of latents (B, Z)."""
        return z

    def loss(self, obs: Tensor, generator: Generator | None = None) -> Losses:
        """Empty: there is nothing to train."""
        return {}
