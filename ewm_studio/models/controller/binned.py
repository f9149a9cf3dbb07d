"""`BinnedController`: every axis of an action is a choice among a few values, as learning in dreams likes it."""

from __future__ import annotations

from typing import ClassVar

import gymnasium as gym

from ewm_studio.errors import UserError
from ewm_studio.models.actor_critic import ActorCritic, ActorCriticSettings
from ewm_studio.models.base import Tag
from ewm_studio.models.bins import (
    PEDAL_VALUES,
    PEDALS_OPPOSED,
    is_pedals,
    listed_values,
    neutral_values,
    opposed_pair,
)
from ewm_studio.models.heads import BoxMap, Head, MultiCategoricalBox, discrete_head
from ewm_studio.settings import setting


class BinnedSettings(ActorCriticSettings):
    """Settings of `BinnedController`."""

    hidden_size: int = setting(256, "Width of each hidden layer.", unit="units", ge=1, le=8192)
    layers: int = setting(2, "Hidden layers of the policy and of the value network.", unit="layers", ge=1, le=8)
    bins: int = setting(
        7,
        "Continuous actions: values of each axis, an odd number: 0 and half of the others on either side, closer "
        "together near it; an axis that begins at 0 has but the one side.",
        unit="bins",
        ge=3,
        le=1001,
    )
    bin_values: str = setting(
        "",
        "Continuous actions: the values of every axis instead, from -1 (low bound) to 1 (high bound), axes parted by "
        "semicolons: -1, -0.4, 0, 0.4, 1; -0.6, 0, 0.3, 1. Empty: bins decides.",
        max_length=10_000,
        advanced=True,
    )
    opposed: str = setting(
        "auto",
        "Continuous actions: two dimensions that never act together and share one axis, counted from 0: 1,2 for gas "
        "and brake; auto finds those of a car. Empty: none.",
        pattern=r"^(auto|\d{1,4},\d{1,4})?$",
        advanced=True,
    )


class BinnedController(ActorCritic[BinnedSettings]):
    """Policy and value networks of their own, normalized within, that begin without any preference.

    The policy is a choice in bins, whose log-probability and entropy are exact: what learning in dreams was measured
    to do best with. Discrete actions are the choices they are.
    """

    Settings = BinnedSettings
    tags: ClassVar[frozenset[Tag]] = frozenset({Tag.DISCRETE, Tag.CONTINUOUS})
    summary = "Two normalized layers; continuous actions in bins. For learning in dreams."

    def __init__(self, settings: BinnedSettings, latent_dim: int, hidden_dim: int, action_space: gym.Space) -> None:
        hidden = (settings.hidden_size,) * settings.layers
        head = (
            _binned(action_space, settings) if isinstance(action_space, gym.spaces.Box) else discrete_head(action_space)
        )
        super().__init__(
            settings, latent_dim, hidden_dim, action_space, head, hidden, "silu", normed=True, gains=(0.0, 0.0)
        )


def _binned(space: gym.spaces.Box, settings: BinnedSettings) -> Head:
    """The bins of a bounded Box.

    Raises:
        UserError: it has no bounds, or the values are not one list an axis.
    """
    finds_pedals = settings.opposed == "auto" and is_pedals(space)
    opposed = PEDALS_OPPOSED if finds_pedals else opposed_pair(settings.opposed.removeprefix("auto"))
    box = BoxMap(space, opposed)
    if not box.bounded:
        raise UserError(
            f"BinnedController needs finite bounds and the action space is {space}; use DeepContinuousController"
        )
    values = listed_values(settings.bin_values, "BinnedController")
    if values is None:
        values = neutral_values(space, settings.bins, opposed)
        if finds_pedals:
            values[PEDALS_OPPOSED[0]] = PEDAL_VALUES
    return MultiCategoricalBox(box, values=values)
