"""`StochasticController`: one hidden layer and a spread that depends on the situation."""

from __future__ import annotations

from typing import ClassVar

import gymnasium as gym

from ewm_studio.models.actor_critic import Activation, ActorCritic, ActorCriticSettings
from ewm_studio.models.base import Tag
from ewm_studio.models.heads import BoxMap, GaussianHead, Head, discrete_head
from ewm_studio.settings import setting


class StochasticSettings(ActorCriticSettings):
    """Settings of `StochasticController`."""

    hidden_size: int = setting(64, "Width of the hidden layer.", unit="units", ge=1, le=8192)
    activation: Activation = setting("tanh", "Nonlinearity of the hidden layer.", advanced=True)
    temperature: float = setting(1.0, "Discrete actions: above 1 choices are more random, below 1 less.", gt=0, le=100)
    initial_log_std: float = setting(
        -0.5, "Continuous actions: logarithm of the first spread, before tanh.", ge=-5, le=2
    )


class StochasticController(ActorCritic[StochasticSettings]):
    """How sure the policy is depends on where it is.

    Bounded Box actions are drawn from a Gaussian whose mean and spread both come from the network, squashed
    by tanh; where a bound is missing the draw is clipped instead. Discrete actions are drawn at a temperature.
    """

    Settings = StochasticSettings
    tags: ClassVar[frozenset[Tag]] = frozenset({Tag.DISCRETE, Tag.CONTINUOUS})
    summary = "One hidden layer; the spread of the actions depends on the situation."

    def __init__(self, settings: StochasticSettings, latent_dim: int, hidden_dim: int, action_space: gym.Space) -> None:
        if isinstance(action_space, gym.spaces.Box):
            box = BoxMap(action_space)
            head: Head = GaussianHead(box, settings.initial_log_std, squash=box.bounded, state_dependent=True)
        else:
            head = discrete_head(action_space, settings.temperature)
        hidden = (settings.hidden_size,)
        super().__init__(settings, latent_dim, hidden_dim, action_space, head, hidden, settings.activation)
