"""A saved agent as other programs use it: raw observations in, the environment's own actions out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.envs.failures import WrongOutput
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.spaces import space_from_json
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import from_description
from ewm_studio.models.base import State
from ewm_studio.models.belief import Belief
from ewm_studio.models.pictures import to_pictures
from ewm_studio.settings import EnvSettings


@dataclass(frozen=True)
class AgentState:
    """What an agent remembers between two decisions: the memory's state and h (B, H)."""

    memory: State
    h: Tensor


class Agent:
    """V, M and C with the preparation of observations they were trained with.

    Attributes:
        model: the three components.
        env: the settings of the environment it was made for.
        action_repeat: frames each action is meant to be applied for.
        metadata: what the model file says about itself.
    """

    def __init__(
        self, model: AgentModel, preprocessor: Preprocessor, env: EnvSettings, metadata: dict[str, Any]
    ) -> None:
        self.model = model.eval()
        self.preprocessor = preprocessor
        self.env = env
        self.action_repeat = env.action_repeat
        self.metadata = metadata

    def prepare(self, obs: Any) -> Tensor:
        """Raw observations with a leading batch axis -> what vision sees, (B, C, H, W) or (B, D).

        Raises:
            UserError: they are not of the space that the model was trained on.
        """
        try:
            prepared = self.preprocessor.batch(obs)
        except WrongOutput as error:
            raise UserError(f"the agent was given {error}; observations have a leading batch axis") from None
        return torch.from_numpy(np.array(prepared)).to(self.model.device)

    def initial_state(self, batch: int = 1) -> AgentState:
        """The state at the start of `batch` episodes."""
        memory = self.model.memory
        return AgentState(memory.initial_state(batch), memory.initial_hidden(batch))

    @torch.inference_mode()
    def act(
        self, obs: Any, state: AgentState, greedy: bool = True, generator: Generator | None = None
    ) -> tuple[np.ndarray, AgentState]:
        """Decide on raw observations (B, ...): the environment's actions (B, ...) and the next state.

        Without `greedy` the actions are drawn, from `generator` or from PyTorch's own.
        """
        belief = self.believe(self.prepare(obs), state)
        act = self.model.controller.act(belief.z, belief.h, greedy, generator)
        return act.action.cpu().numpy(), self.remember(belief, act.action)

    @torch.inference_mode()
    def believe(self, obs: Tensor, state: AgentState) -> Belief:
        """What is held true at prepared observations (B, ...)."""
        return Belief(self.model.vision.encode(obs), state.h, state.memory)

    @torch.inference_mode()
    def remember(self, belief: Belief, action: Tensor) -> AgentState:
        """The state once these actions (B, ...) were executed, by whomever."""
        _, h, memory = self.model.advance(belief, action)
        return AgentState(memory, h)

    @torch.inference_mode()
    def encode(self, obs: Any) -> np.ndarray:
        """Latents float32 (B, Z) of raw observations (B, ...)."""
        return self.model.vision.encode(self.prepare(obs)).cpu().numpy()

    @torch.inference_mode()
    def decode(self, z: np.ndarray) -> np.ndarray:
        """Observations of latents (B, Z): pictures as uint8 (B, H, W, C) at the model's size, vectors as they are.

        Raises:
            UserError: this vision model does not reconstruct.
        """
        try:
            out = self.model.vision.decode(torch.as_tensor(z, device=self.model.device))
        except TypeError as error:
            raise UserError(str(error)) from None
        return to_pictures(out) if out.dim() == 4 else out.cpu().numpy()


def load_agent(path: str | Path, device: str = "cpu") -> Agent:
    """Load a model file as an agent.

    Raises:
        UserError: the file is missing, damaged, of another kind, or describes no model of this version.
    """
    from ewm_studio.workspace.models import load_model

    tensors, metadata = load_model(Path(path))
    model, env = from_description(tensors, metadata, str(path))
    try:
        preprocessor = Preprocessor(space_from_json(metadata["spaces"]["raw_observation"]), env)
    except Exception as error:
        raise UserError(f"{path}: the description of the model is not understood ({error})") from None
    if preprocessor.space.shape != model.observation_space.shape:
        raise UserError(
            f"{path}: its raw observations come to {preprocessor.space.shape}, its model takes "
            f"{model.observation_space.shape}"
        )
    return Agent(model.to(device), preprocessor, env, metadata)
