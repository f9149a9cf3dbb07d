"""V, M and C together: a world model and the controller that acts on what it believes."""

from __future__ import annotations

from typing import Any, cast

import gymnasium as gym

from ewm_studio.models.base import Controller
from ewm_studio.models.registry import Part
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings.experiment import ComponentKind


class AgentModel(WorldModel):
    """The three components of one agent, for prepared observations and one action space."""

    def __init__(
        self, parts: dict[ComponentKind, Part], observation_space: gym.spaces.Box, action_space: gym.Space
    ) -> None:
        super().__init__(parts, observation_space, action_space)
        part = parts["controller"]
        self.controller: Controller = cast(Any, part.cls)(
            part.settings, self.vision.latent_dim, self.memory.hidden_dim, action_space
        )
