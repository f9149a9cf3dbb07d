"""A saved agent as other programs use it: raw observations in, the environment's own actions out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.spaces import space_from_json
from ewm_studio.errors import UserError
from ewm_studio.models.assembly import from_description
from ewm_studio.models.base import State
from ewm_studio.models.pictures import to_pictures
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import EnvSettings


@dataclass(frozen=True)
class AgentState:
    """What an agent remembers between two decisions: the memory's state and h (B, H)."""

    memory: State
    h: Tensor


class Agent:
    """V, M and C with the preparation of observations they were trained with.

    Attributes:
        world_model: the three components.
        env: the settings of the environment it was made for.
        action_repeat: frames each action is meant to be applied for.
        metadata: what the model file says about itself.
    """

    def __init__(
        self, world_model: WorldModel, preprocessor: Preprocessor, env: EnvSettings, metadata: dict[str, Any]
    ) -> None:
        self.world_model = world_model.eval()
        self.preprocessor = preprocessor
        self.env = env
        self.action_repeat = env.action_repeat
        self.metadata = metadata

    def prepare(self, obs: Any) -> Tensor:
        """Raw observations with a leading batch axis -> what vision sees, (B, C, H, W) or (B, D)."""
        return torch.from_numpy(np.array(self.preprocessor.batch(obs))).to(self.world_model.device)

    def initial_state(self, batch: int = 1) -> AgentState:
        """The state at the start of `batch` episodes."""
        memory = self.world_model.memory
        return AgentState(memory.initial_state(batch), memory.initial_hidden(batch))

    @torch.inference_mode()
    def act(self, obs: Any, state: AgentState, greedy: bool = True) -> tuple[np.ndarray, AgentState]:
        """Decide on raw observations (B, ...): the environment's actions (B, ...) and the next state."""
        return self.act_prepared(self.prepare(obs), state, greedy)

    @torch.inference_mode()
    def act_prepared(self, obs: Tensor, state: AgentState, greedy: bool = True) -> tuple[np.ndarray, AgentState]:
        """`act` on observations that are prepared already."""
        z = self.world_model.vision.encode(obs)
        act = self.world_model.controller.act(z, state.h, greedy)
        _, h, memory = self.world_model.advance(z, act.action, state.memory)
        return act.action.cpu().numpy(), AgentState(memory, h)

    @torch.inference_mode()
    def encode(self, obs: Any) -> np.ndarray:
        """Latents float32 (B, Z) of raw observations (B, ...)."""
        return self.world_model.vision.encode(self.prepare(obs)).cpu().numpy()

    @torch.inference_mode()
    def decode(self, z: np.ndarray) -> np.ndarray:
        """Observations of latents (B, Z): pictures as uint8 (B, H, W, C) at the model's size, vectors as they are.

        Raises:
            UserError: this vision model does not reconstruct.
        """
        try:
            out = self.world_model.vision.decode(torch.as_tensor(z, device=self.world_model.device))
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
        raw_space = space_from_json(metadata["spaces"]["raw_observation"])
    except Exception as error:
        raise UserError(f"{path}: the description of the model is not understood ({error})") from None
    return Agent(model.to(device), Preprocessor(raw_space, env), env, metadata)
