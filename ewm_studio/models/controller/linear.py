"""`LinearController`: one linear layer, as in World Models (Ha & Schmidhuber 2018)."""

from __future__ import annotations

from typing import ClassVar

import gymnasium as gym

from ewm_studio.models.actor_critic import ActorCritic, ActorCriticSettings
from ewm_studio.models.base import Tag
from ewm_studio.models.heads import BoxMap, GaussianHead, Head, discrete_head
from ewm_studio.settings import setting


class LinearSettings(ActorCriticSettings):
    """Settings of `LinearController`."""

    initial_log_std: float = setting(
        -0.5,
        "Continuous actions: logarithm of the first spread, where 1 is half the way from bound to bound.",
        ge=-5,
        le=2,
    )


class LinearController(ActorCritic[LinearSettings]):
    """Action and value are linear in [z, h].

    The paper finds the layer by evolution and acts without noise; here it is learned by PPO, so the layer gives
    the logits of a categorical, or the mean of a Gaussian whose spread is a learned vector.
    """

    Settings = LinearSettings
    tags: ClassVar[frozenset[Tag]] = frozenset({Tag.DISCRETE, Tag.CONTINUOUS})
    summary = "One linear layer on z and h, the controller of the World Models paper."

    def __init__(self, settings: LinearSettings, latent_dim: int, hidden_dim: int, action_space: gym.Space) -> None:
        if isinstance(action_space, gym.spaces.Box):
            head: Head = GaussianHead(BoxMap(action_space), settings.initial_log_std)
        else:
            head = discrete_head(action_space)
        super().__init__(settings, latent_dim, hidden_dim, action_space, head)
