"""A model that sits beside the person who drives, and drives where it is let."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

from ewm_studio.acting.agent import Agent, load_agent
from ewm_studio.acting.policy import ControllerPolicy
from ewm_studio.envs.spaces import describe
from ewm_studio.errors import UserError
from ewm_studio.models.belief import Belief


class Copilot:
    """Sees every decision's observation and remembers every action executed, whoever drove.

    Attributes:
        name: what the model is called.
        action: what it would do now, as the environment takes it.
    """

    def __init__(self, agent: Agent, name: str, greedy: bool = True) -> None:
        self.name = name
        self._agent = agent
        self._policy = ControllerPolicy(agent.model.controller, greedy)
        self.begin()

    @property
    def repeat(self) -> int:
        """Frames of one decision."""
        return self._agent.action_repeat

    def begin(self) -> None:
        """An episode begins."""
        self._state = self._agent.initial_state()
        self.action: Any = None
        self._belief: Belief | None = None

    def check(self, observation: gym.Space, action: gym.Space) -> None:
        """Make sure that the model fits the environment that is driven.

        Raises:
            UserError: it observes or takes something else.
        """
        own = self._agent.preprocessor.raw_space, self._agent.model.action_space
        for what, mine, found in zip(("observes", "acts by"), own, (observation, action), strict=True):
            if mine != found:
                raise UserError(
                    f"{self.name} {what} {describe(mine)}, and this environment has {describe(found)}; choose a model "
                    "that was trained on it"
                )

    @torch.inference_mode()
    def look(self, obs: Any) -> None:
        """A decision is due at this raw observation."""
        prepared = torch.from_numpy(self._agent.preprocessor(obs)[None].copy()).to(self._agent.model.device)
        self._belief = self._agent.believe(prepared, self._state)
        self.action = self._policy.act(self._belief)[0].cpu().numpy()

    @torch.inference_mode()
    def remember(self, action: Any) -> None:
        """The decision is over: this action was executed, by whomever."""
        if self._belief is None:  # it came along in the middle of a decision
            return
        taken = torch.as_tensor(action, device=self._belief.z.device)[None]
        self._state = self._agent.remember(self._belief, taken)


def load_copilot(path: Path, name: str, greedy: bool = True) -> Copilot:
    """A saved model as a copilot, on the CPU: one frame at a time is quickest there.

    Raises:
        UserError: the file is missing, damaged or of another kind.
    """
    return Copilot(load_agent(path), name, greedy)
