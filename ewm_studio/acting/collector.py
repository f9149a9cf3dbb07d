"""Acting in the environments: one small interface, so that something other than this process can serve it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ewm_studio.data.rollout_buffer import RolloutBuffer
from ewm_studio.envs.simulator import Episode, Step
from ewm_studio.envs.vector.base import VectorEnvs
from ewm_studio.errors import UserError
from ewm_studio.models.base import State
from ewm_studio.models.world_model import WorldModel

EVALUATE_BATCH = 8192  # samples whose value and log-probability are computed at once after a rollout


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
        """Compute what is carried into the next rollout anew, after the world model was trained."""

    def state(self) -> dict[str, Any]:
        """Everything that the next rollout depends on, besides weights and random numbers."""

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""


class LocalCollector:
    """Acts in vector environments of this machine."""

    def __init__(self, envs: VectorEnvs, model: WorldModel, keep_obs: bool) -> None:
        self.envs, self.model, self.keep_obs = envs, model, keep_obs
        self.device = model.device  # asking the model walks all its parameters: once, not every step
        self._obs: Tensor | None = None  # (B, ...) the present observations
        self._memory: State = {}
        self._h = torch.empty(0)
        self._is_first = torch.empty(0)
        self._none = torch.zeros(envs.num_envs, dtype=torch.bool, device=self.device)

    def collect(self, steps: int) -> Rollout:
        """See `Collector`. Every row is an executed step: environments reset within the step, none is inserted."""
        if self._obs is None:
            self._begin()
        assert self._obs is not None
        buffer = RolloutBuffer(steps, self.envs.num_envs, self.keep_obs)
        start = {name: value.clone() for name, value in self._memory.items()}
        episodes: list[tuple[int, Episode]] = []
        with torch.inference_mode():
            for t in range(1, steps + 1):
                episodes += [(t * self.envs.num_envs, episode) for episode in self._step(buffer)]
            self._evaluate(buffer)
            last_value = self.model.controller.value(self.model.vision.encode(self._obs), self._h)
        return Rollout(buffer, start, _normal(self._obs), _normal(last_value), episodes)

    def _begin(self) -> None:
        memory, envs = self.model.memory, self.envs.num_envs
        self._obs = self._to_device(self.envs.reset())
        self._memory = memory.initial_state(envs)
        self._h = memory.initial_hidden(envs).to(self.device)
        self._is_first = torch.ones(envs, dtype=torch.bool, device=self.device)

    def _to_device(self, array: np.ndarray) -> Tensor:
        """A copy on the model's device: the environments reuse their arrays."""
        return torch.tensor(array, device=self.device)

    def _step(self, buffer: RolloutBuffer) -> list[Episode]:
        """One decision and one step in every environment."""
        model, obs = self.model, self._obs
        assert obs is not None
        z = model.vision.encode(obs)
        policy = model.controller.distribution(z, self._h)
        raw = policy.sample()
        action = policy.to_env(raw)
        step = self.envs.step(action.cpu().numpy())
        buffer.put(z=z, h=self._h, raw=raw, action=action, is_first=self._is_first, reward=step.reward, obs=obs)
        ended = self._to_device(step.terminated | step.truncated) if step.final_obs else None
        h_live, self._h, self._memory = model.advance(z, action, self._memory, ended)
        if ended is None:
            self._is_first = self._none
        else:
            buffer.end(step.terminated, step.truncated, self._final_values(step, h_live))
            self._is_first = ended
        self._obs = self._to_device(step.obs)
        return step.episodes

    def _final_values(self, step: Step, h_live: Tensor) -> dict[int, float]:
        """Value of the last observation of each truncated episode, with the memory that led there."""
        cut = [i for i in step.final_obs if step.truncated[i] and not step.terminated[i]]
        if not cut:
            return {}
        z = self.model.vision.encode(self._to_device(np.stack([step.final_obs[i] for i in cut])))
        return dict(zip(cut, self.model.controller.value(z, h_live[cut]).tolist(), strict=True))

    def _evaluate(self, buffer: RolloutBuffer) -> None:
        """Values and log-probabilities of all steps at once: the same weights, a fraction of the calls."""
        controller = self.model.controller
        buffer.finish(self.device)
        z, h, raw = (x.flatten(0, 1) for x in (buffer.z, buffer.h, buffer.raw))
        value, log_prob = buffer.value.flatten(), buffer.log_prob.flatten()
        for index in torch.arange(len(z)).split(EVALUATE_BATCH):
            part = slice(int(index[0]), int(index[-1]) + 1)
            value[part] = controller.value(z[part], h[part])
            log_prob[part] = controller.distribution(z[part], h[part]).log_prob(raw[part])

    @torch.no_grad()
    def refresh(self, rollout: Rollout) -> None:
        """Replay the rollout through the trained memory, so that the next one starts from its present states."""
        memory, buffer = self.model.memory, rollout.buffer
        if memory.hidden_dim == 0:
            return
        action = self.model.action_encoding(buffer.action)
        h, state = memory.sequence(buffer.z, action, buffer.is_first, rollout.start)
        self._memory = memory.reset(state, self._is_first)
        self._h = h[-1].masked_fill(self._is_first[:, None], 0.0)

    def state(self) -> dict[str, Any]:
        """The environments' episodes and the memory's state."""
        if self._obs is None:  # stopped before the first step
            self._begin()
        memory = {name: _normal(value) for name, value in self._memory.items()}
        return {"envs": self.envs.state(), "memory": memory, "h": _normal(self._h), "starts": _normal(self._is_first)}

    def restore(self, state: dict[str, Any]) -> None:
        """Replay the environments to where they stood.

        Raises:
            UserError: the state is of another number of environments. JobError: an environment does not repeat itself.
        """
        count = len(state["envs"]["envs"])
        if count != self.envs.num_envs:
            raise UserError(f"the run has {count} environments: resume it with env.batch_size (--batch-size) {count}")
        device = self.device
        self._obs = self._to_device(self.envs.restore(state["envs"]))
        self._memory = {name: value.to(device) for name, value in state["memory"].items()}
        self._h, self._is_first = state["h"].to(device), state["starts"].to(device)


def _normal(tensor: Tensor) -> Tensor:
    """A tensor that autograd may use, whether or not it was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor
