"""`DeepDiscreteController`: separate policy and value networks for discrete actions."""

from __future__ import annotations

from typing import ClassVar

import gymnasium as gym

from ewm_studio.models.actor_critic import Activation, ActorCritic, ActorCriticSettings
from ewm_studio.models.base import Tag
from ewm_studio.models.heads import discrete_head
from ewm_studio.settings import setting


class DeepDiscreteSettings(ActorCriticSettings):
    """Settings of `DeepDiscreteController`."""

    hidden_size: int = setting(64, "Width of each hidden layer.", unit="units", ge=1, le=8192)
    layers: int = setting(2, "Hidden layers of the policy and of the value network.", unit="layers", ge=1, le=8)
    activation: Activation = setting("tanh", "Nonlinearity of the hidden layers.", advanced=True)


class DeepDiscreteController(ActorCritic[DeepDiscreteSettings]):
    """Policy and value networks of their own, for Discrete, MultiDiscrete and MultiBinary actions."""

    Settings = DeepDiscreteSettings
    tags: ClassVar[frozenset[Tag]] = frozenset({Tag.DISCRETE})
    summary = "Two-layer policy and value networks for discrete actions."

    def __init__(
        self, settings: DeepDiscreteSettings, latent_dim: int, hidden_dim: int, action_space: gym.Space
    ) -> None:
        hidden = (settings.hidden_size,) * settings.layers
        head = discrete_head(action_space)
        super().__init__(settings, latent_dim, hidden_dim, action_space, head, hidden, settings.activation)
