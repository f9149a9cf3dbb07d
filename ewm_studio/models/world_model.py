"""V and M together: what is believed of an episode, from what is observed or from what is imagined."""

from __future__ import annotations

from copy import copy
from typing import Any, Self, cast

import gymnasium as gym
import torch
from torch import Generator, Tensor, nn

from ewm_studio.envs.spaces import space_to_json
from ewm_studio.errors import UserError
from ewm_studio.models.actions import ActionEncoding
from ewm_studio.models.base import Component, Losses, MemoryModel, SequenceBatch, State, Tag, VisionModel
from ewm_studio.models.belief import Belief
from ewm_studio.models.registry import Part
from ewm_studio.settings.experiment import COMPONENTS, ComponentKind


class WorldModel(nn.Module):
    """A vision and a memory, for prepared observations and one action space.

    Attributes:
        parts: the name and the settings of each component.
        vision, memory: the components.
        action_encoding: the environment's actions as memory takes them.
    """

    def __init__(
        self, parts: dict[ComponentKind, Part], observation_space: gym.spaces.Box, action_space: gym.Space
    ) -> None:
        super().__init__()
        self.parts = parts
        self.observation_space = observation_space
        self.action_space = action_space
        self.action_encoding = ActionEncoding(action_space)
        # The registry knows each class by its kind's base; only the constructors' signatures differ by kind.
        vision = cast(Any, parts["vision"].cls)
        self.vision: VisionModel = vision(parts["vision"].settings, observation_space)
        _keep_frozen(self.vision)
        self.memory: MemoryModel = self.fresh_memory()

    def fresh_memory(self) -> MemoryModel:
        """A memory for this vision with weights of its own: PyTorch's generator draws them."""
        part = self.parts["memory"]
        memory: MemoryModel = cast(Any, part.cls)(part.settings, self.vision.latent_dim, self.action_encoding.dim)
        if self.vision.code_cells:
            memory.take_codes(self.vision.code_cells, self.vision.codebook.to(memory.device))
        _keep_frozen(memory)
        return memory

    def with_memory(self, memory: MemoryModel) -> Self:
        """The same model with another memory; whatever else there is they share."""
        other = copy(self)
        other._modules = dict(self._modules)
        other.memory = memory
        return other

    def component(self, kind: ComponentKind) -> Component:
        """The component of a kind."""
        return cast(Component, getattr(self, kind))

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self.memory.device

    def require_imagination(self) -> None:
        """Make sure that there is anything to dream: a memory that predicts.

        Raises:
            UserError: it does not.
        """
        if Tag.PREDICTS not in self.memory.tags:
            raise UserError(f"{type(self.memory).__name__} predicts nothing, so there is nothing to dream in")

    # The present

    def begin(self, obs: Tensor | Belief) -> Belief:
        """What is believed at the first observations (B, ...) of episodes; a dream gives beliefs already."""
        if isinstance(obs, Belief):
            return obs
        batch = len(obs)
        hidden = self.memory.initial_hidden(batch).to(obs.device)
        return Belief(self.vision.encode(obs), hidden, self.memory.initial_state(batch))

    def observe(self, belief: Belief, action: Tensor, obs: Tensor | Belief, ended: Tensor | None = None) -> Belief:
        """What is believed once an action (B, ...) has led to observations (B, ...).

        Args:
            belief: of before.
            action: as the environment took it.
            obs: where an episode ended, the first observation of the next one.
            ended: (B,) bool, episodes that ended with this step; None for none.
        """
        if isinstance(obs, Belief):
            return obs
        _, h, memory = self.advance(belief, action, ended)
        return Belief(self.vision.encode(obs), h, memory)

    def advance(self, belief: Belief, action: Tensor, ended: Tensor | None = None) -> tuple[Tensor, Tensor, State]:
        """Let the memory take one executed step.

        Returns:
            h (B, H) that follows this step as if no episode had ended (for bootstrap values), h for the next
            decision (zero where an episode ended), and the next state.
        """
        if self.memory.hidden_dim == 0:
            return belief.h, belief.h, belief.memory
        h_live, state = self.memory.step(belief.z, self.action_encoding(action), belief.memory)
        if ended is None:
            return h_live, h_live, state
        return h_live, h_live.masked_fill(ended[:, None], 0.0), self.memory.reset(state, ended)

    # The imagined

    def imagine(
        self, belief: Belief, action: Tensor, temperature: float = 1.0, generator: Generator | None = None
    ) -> tuple[Belief, Tensor, Tensor]:
        """What would follow an action (B, ...), by memory alone.

        Args:
            belief: of before.
            action: as the environment would take it.
            temperature: 0 takes the likeliest next latent, 1 draws it with memory's own spread.
            generator: draws the next latents.

        Returns:
            the next belief, the expected reward (B,), and the probability (B,) that the episode is over for good.

        Raises:
            UserError: this memory predicts nothing.
        """
        self.require_imagination()
        encoded = self.action_encoding(action)
        dreamt = self.memory.imagine(belief.z, encoded, belief.memory, temperature, generator)
        return Belief(dreamt.z, dreamt.h, dreamt.state), dreamt.reward, dreamt.end

    def decode(self, belief: Belief) -> Tensor:
        """The observations (B, ...) that vision makes of a belief: pictures in 0 to 1, vectors as they are."""
        return self.vision.decode(belief.z)

    # Training

    def losses(
        self,
        obs: Tensor | None = None,
        sequences: SequenceBatch | None = None,
        state: State | None = None,
        generator: Generator | None = None,
    ) -> dict[str, Losses]:
        """Losses of V on observations (N, ...) and of M on sequences, each apart, by the component's kind.

        Args:
            obs: None leaves vision out.
            sequences: None leaves memory out.
            state: memory's before the sequences; None is the start of an episode.
            generator: draws what the losses draw.
        """
        losses: dict[str, Losses] = {}
        if obs is not None:
            losses["vision"] = self.vision.loss(obs, generator)
        if sequences is not None:
            state = self.memory.initial_state(sequences.z.shape[1]) if state is None else state
            if self.vision.code_cells:
                self.memory.take_codes(self.vision.code_cells, self.vision.codebook)
            losses["memory"] = self.memory.loss(sequences, state, generator)
        return losses

    # In words

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
        return " + ".join(self.parts[kind].name for kind in COMPONENTS if kind in self.parts)


def _keep_frozen(component: Component) -> None:
    """Let nothing of a component be trained, where its settings say so."""
    if getattr(component.settings, "frozen", False):
        component.requires_grad_(False)
