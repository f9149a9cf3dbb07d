"""Acting in the environments: one small interface, so that something other than this process can serve it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ewm_studio.data.rollout import RolloutBuffer
from ewm_studio.envs.vector import Episode, VectorEnvs
from ewm_studio.models.base import State
from ewm_studio.models.world_model import WorldModel

VALUE_BATCH = 4096  # samples evaluated at once after a rollout


@dataclass
class Rollout:
    """T steps of B environments and what surrounds them."""

    buffer: RolloutBuffer
    start: State  # the memory's state before the first step
    next_obs: Tensor  # (B, ...) observations after the last step
    last_value: Tensor  # (B,) value there
    episodes: list[tuple[int, Episode]]  # environment steps since the rollout's start, and the episode


class Collector(Protocol):
    """Gives rollouts of the present policy."""

    def collect(self, steps: int) -> Rollout:
        """Act for `steps` steps in every environment."""

    def refresh(self, rollout: Rollout) -> None:
        """Compute what is carried over to the next rollout anew, after the world model was trained."""

    def state(self) -> dict[str, Any]:
        """Everything that the next rollout depends on, besides weights and random numbers."""

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""

    def close(self) -> None:
        """End the environments."""


class LocalCollector:
    """Acts in vector environments of this machine."""

    def __init__(self, envs: VectorEnvs, model: WorldModel, keep_obs: bool) -> None:
        self.envs, self.model, self.keep_obs = envs, model, keep_obs
        self._obs: np.ndarray | None = None
        self._memory: State = {}
        self._h = torch.empty(0)
        self._starts = torch.ones(envs.num_envs, dtype=torch.bool)
        self._buffer: RolloutBuffer | None = None

    def _begin(self) -> None:
        self._obs = self.envs.reset()
        memory = self.model.memory
        self._memory = memory.initial_state(self.envs.num_envs)
        self._h = memory.initial_hidden(self.envs.num_envs)

    def _to_device(self, array: np.ndarray) -> Tensor:
        """A copy on the model's device: the environments reuse their arrays."""
        return torch.from_numpy(np.array(array)).to(self.model.device)

    @torch.inference_mode()
    def collect(self, steps: int) -> Rollout:
        """See `Collector`. Observations, rewards and ends are those of the executed steps; no step is inserted."""
        if self._obs is None:
            self._begin()
        assert self._obs is not None
        model, envs, device = self.model, self.envs, self.model.device
        buffer = self._allocate(steps)
        start = {name: value.clone() for name, value in self._memory.items()}
        episodes: list[tuple[int, Episode]] = []
        h, memory, starts = self._h, self._memory, self._starts
        obs = self._to_device(self._obs)
        for t in range(steps):
            z = model.vision.encode(obs)
            policy = model.controller.distribution(z, h)
            raw = policy.sample()
            action = policy.to_env(raw)
            step = envs.step(action.cpu().numpy())
            ended = step.terminated | step.truncated
            any_ended = bool(ended.any())
            over = torch.from_numpy(ended).to(device) if any_ended else None
            h_live, h_next, memory = model.advance(z, action, memory, over)
            buffer.put(t, z=z, h=h, raw=raw, action=action, reward=step.reward, starts=starts, obs=obs)
            if any_ended:
                buffer.end(t, step.terminated, step.truncated, self._final_values(step, h_live))
                episodes += [((t + 1) * envs.num_envs, episode) for episode in step.episodes]
            starts = torch.from_numpy(ended.copy()) if any_ended else self._no_starts
            h, obs, self._obs = h_next, self._to_device(step.obs), step.obs
        self._h, self._memory, self._starts = h, memory, starts
        self._evaluate(buffer)
        last_value = model.controller.value(model.vision.encode(obs), h)
        return Rollout(buffer, start, obs, last_value, episodes)
