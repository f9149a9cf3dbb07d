"""`DeepContinuousController`: separate policy and value networks for Box actions, with a choice of heads."""

from __future__ import annotations

from typing import ClassVar

import gymnasium as gym

from ewm_studio.errors import UserError
from ewm_studio.models.actor_critic import Activation, ActorCritic, ActorCriticSettings
from ewm_studio.models.base import Tag
from ewm_studio.models.bins import listed_values, opposed_pair
from ewm_studio.models.heads import BetaGreedy, BoxHead, BoxMap, box_head
from ewm_studio.settings import setting


class DeepContinuousSettings(ActorCriticSettings):
    """Settings of `DeepContinuousController`."""

    hidden_size: int = setting(64, "Width of each hidden layer.", unit="units", ge=1, le=8192)
    layers: int = setting(2, "Hidden layers of the policy and of the value network.", unit="layers", ge=1, le=8)
    activation: Activation = setting("tanh", "Nonlinearity of the hidden layers.", advanced=True)
    head: BoxHead = setting(
        "auto",
        "What actions are drawn from; categorical cuts each dimension into bins; auto is beta where actions are "
        "bounded, otherwise gaussian.",
    )
    greedy: BetaGreedy = setting(
        "mean",
        "Beta head: what is done when nothing is drawn: its mean, or its peak, which says little while it is flat.",
        advanced=True,
        earlier="mode",
    )
    initial_log_std: float = setting(
        -0.5,
        "Gaussian heads: logarithm of the first spread, where 1 is half the way from bound to bound.",
        ge=-5,
        le=2,
    )
    bins: int = setting(5, "Categorical head: values in each dimension, evenly spaced.", unit="bins", ge=2, le=1001)
    bin_values: str = setting(
        "",
        "Categorical head: the values of every axis where they are not evenly spaced, from -1 (low bound) to 1 (high "
        "bound), axes parted by semicolons: -1, -0.4, 0, 0.4, 1; -0.6, 0, 0.3, 1. Empty: bins decides.",
        max_length=10_000,
        advanced=True,
    )
    opposed: str = setting(
        "",
        "Two dimensions that never act together and share one axis, counted from 0: 1,2 for CarRacing's gas and "
        "brake. Empty: none.",
        pattern=r"^(\d{1,4},\d{1,4})?$",
        advanced=True,
    )


class DeepContinuousController(ActorCritic[DeepContinuousSettings]):
    """Policy and value networks of their own, for Box actions."""

    Settings = DeepContinuousSettings
    tags: ClassVar[frozenset[Tag]] = frozenset({Tag.CONTINUOUS})
    summary = "Two-layer policy and value networks for continuous actions: Beta, Gaussian, squashed or in bins."

    def __init__(
        self, settings: DeepContinuousSettings, latent_dim: int, hidden_dim: int, action_space: gym.Space
    ) -> None:
        if not isinstance(action_space, gym.spaces.Box):
            raise UserError(f"DeepContinuousController needs Box actions, and the environment takes {action_space}")
        hidden = (settings.hidden_size,) * settings.layers
        box = BoxMap(action_space, opposed_pair(settings.opposed))
        values = listed_values(settings.bin_values, type(self).__name__)
        head = box_head(box, settings.head, settings.initial_log_std, settings.bins, values, settings.greedy)
        super().__init__(settings, latent_dim, hidden_dim, action_space, head, hidden, settings.activation)
