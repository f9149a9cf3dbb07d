"""V, M and C together: built from choices that fit, turned into a file's tensors and description, and back."""

from __future__ import annotations

from typing import Any, cast

import gymnasium as gym
import torch
from torch import Tensor, nn

from ewm_studio.envs.spaces import space_to_json
from ewm_studio.models.actions import ActionEncoding
from ewm_studio.models.base import Component, Controller, MemoryModel, State, VisionModel
from ewm_studio.models.registry import KINDS, Kind, Part


class WorldModel(nn.Module):
    """The three components of one agent, for prepared observations and one action space."""

    def __init__(self, parts: dict[Kind, Part], observation_space: gym.spaces.Box, action_space: gym.Space) -> None:
        super().__init__()
        self.parts = parts
        self.observation_space = observation_space
        self.action_space = action_space
        self.action_encoding = ActionEncoding(action_space)
        # The registry knows each class by its kind's base; only the constructors' signatures differ by kind.
        vision, memory, controller = (cast(Any, parts[kind].cls) for kind in KINDS)
        self.vision: VisionModel = vision(parts["vision"].settings, observation_space)
        self.memory: MemoryModel = memory(parts["memory"].settings, self.vision.latent_dim, self.action_encoding.dim)
        self.controller: Controller = controller(
            parts["controller"].settings, self.vision.latent_dim, self.memory.hidden_dim, action_space
        )

    def component(self, kind: Kind) -> Component:
        """The component of a kind."""
        return cast(Component, getattr(self, kind))

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        tensor = next(self.parameters(), None)
        return tensor.device if tensor is not None else torch.device("cpu")

    def advance(
        self, z: Tensor, action: Tensor, state: State, ended: Tensor | None = None
    ) -> tuple[Tensor, Tensor, State]:
        """Let the memory take one executed step.

        Args:
            z: latents (B, Z); action: environment actions (B, ...); state: the memory's state.
            ended: (B,) bool, episodes that ended with this step.

        Returns:
            h (B, H) that follows this step as if no episode had ended (for bootstrap values), h for the next
            decision (zero where an episode ended), and the next state.
        """
        if self.memory.hidden_dim == 0:
            h = z.new_zeros(z.shape[0], 0)
            return h, h, state
        h_live, state = self.memory.step(z, self.action_encoding(action), state)
        if ended is None:
            return h_live, h_live, state
        return h_live, h_live.masked_fill(ended[:, None], 0.0), self.memory.reset(state, ended)

    def describe(self) -> dict[str, Any]:
        """Parts and spaces as JSON-able values, for a checkpoint."""
        return {
            "parts": {
                kind: {"name": part.name, "settings": part.settings.model_dump(mode="json")}
                for kind, part in self.parts.items()
            },
            "spaces": {
                "observation": space_to_json(self.observation_space),
                "action": space_to_json(self.action_space),
            },
        }

    def summary(self) -> str:
        """The parts' names, as in "ConvVAE + MDNRNN + LinearController"."""
        return " + ".join(self.parts[kind].name for kind in KINDS)
