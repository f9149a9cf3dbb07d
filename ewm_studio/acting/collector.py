"""Rollouts of the present policy: one small interface, so that something other than this process can serve it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.acting.disturbed import Bursts
from ewm_studio.acting.episode import for_simulator
from ewm_studio.acting.policy import ControllerPolicy
from ewm_studio.data.rollout_buffer import RolloutBuffer
from ewm_studio.envs.simulator import Episode, Simulator, Step
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.base import State
from ewm_studio.models.belief import Belief

EVALUATE_BATCH = 8192  # samples whose value and log-probability are computed at once after a rollout


@dataclass
class Rollout:
    """T steps of B environments and what surrounds them."""

    buffer: RolloutBuffer
    start: State  # the memory's state before the first step
    next_obs: Tensor | None  # (B, ...) observations after the last step; None in a dream, which has none
    last_value: Tensor  # (B,) value there
    episodes: list[tuple[int, Episode]]  # environment steps since the rollout's start, and the episode


class Collector(Protocol):
    """Gives rollouts of the present policy."""

    @property
    def num_envs(self) -> int:
        """Environments that act side by side."""

    def collect(self, steps: int) -> Rollout:
        """Act for `steps` steps in every environment."""

    def refresh(self, rollout: Rollout) -> None:
        """Compute what is carried into the next rollout anew, after the world model was trained."""

    def state(self) -> dict[str, Any]:
        """Everything that the next rollout depends on, besides weights and random numbers."""

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""


class LocalCollector:
    """Acts in a simulator of this machine: environments, or a dream."""

    def __init__(
        self,
        simulator: Simulator,
        model: AgentModel,
        keep_obs: bool = False,
        generator: Generator | None = None,
        bursts: Bursts | None = None,
    ) -> None:
        """Collect with `model`.

        Args:
            simulator: what is acted in.
            model: acts, and is asked for values.
            keep_obs: whether rollouts hold the observations; never those of a dream.
            generator: draws the actions.
            bursts: what is done now and then in place of what the policy draws; its log-probabilities are of that.
        """
        self.simulator, self.model, self.keep_obs, self.generator = simulator, model, keep_obs, generator
        self.disturb(bursts)
        self.policy = ControllerPolicy(model.controller)
        self.device = model.device  # asking the model walks all its parameters: once, not every step
        self._obs: Tensor | None = None  # (B, ...) the present observations; None before the first, and in a dream
        self._belief: Belief | None = None
        self._is_first = torch.empty(0)
        self._none = torch.zeros(simulator.num_envs, dtype=torch.bool, device=self.device)

    def disturb(self, bursts: Bursts | None) -> None:
        """Do these now and then from here on; None: only what the policy draws."""
        self.bursts = bursts
        if bursts is not None:
            bursts.begin(self.num_envs)

    @property
    def num_envs(self) -> int:
        """Environments that act side by side."""
        return self.simulator.num_envs

    def collect(self, steps: int) -> Rollout:
        """See `Collector`. Every row is an executed step: environments reset within the step, none is inserted."""
        buffer = RolloutBuffer(steps, self.num_envs, self.keep_obs)
        episodes: list[tuple[int, Episode]] = []
        with torch.inference_mode():
            belief = self._belief = self._seen_anew(self._present())
            start = {name: value.clone() for name, value in belief.memory.items()}
            for t in range(1, steps + 1):
                episodes += [(t * self.num_envs, episode) for episode in self._step(buffer)]
            self._evaluate(buffer)
            belief = self._present()
            last_value = self.model.controller.value(belief.z, belief.h)
        next_obs = _normal(self._obs) if self._obs is not None else None
        return Rollout(buffer, start, next_obs, _normal(last_value), episodes)

    def _present(self) -> Belief:
        """What is believed now; the first call begins the episodes."""
        if self._belief is None:
            obs = self.simulator.reset()
            self._obs = None if isinstance(obs, Belief) else self._to_device(obs)
            self._belief = self.model.begin(obs if self._obs is None else self._obs)
            self._is_first = torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        return self._belief

    def _seen_anew(self, belief: Belief) -> Belief:
        """The belief with the present observations as vision sees them now; it may have learned since."""
        if self._obs is None:
            return belief
        return Belief(self.model.vision.encode(self._obs), belief.h, belief.memory)

    def _step(self, buffer: RolloutBuffer) -> list[Episode]:
        """One decision and one step in every environment."""
        belief, obs = self._present(), self._obs
        raw, action = self.policy.draw(belief, self.generator)
        disturbed = self._none
        if self.bursts is not None:
            drawn, action = action, torch.from_numpy(self.bursts.over(action.cpu().numpy())).to(action.device)
            disturbed = (action != drawn).flatten(1).any(1) if action.ndim > 1 else action != drawn
        step = self.simulator.step(for_simulator(self.simulator, action))
        buffer.put(
            z=belief.z,
            h=belief.h,
            raw=raw,
            action=action,
            is_first=self._is_first,
            disturbed=disturbed,
            reward=step.reward,
            shaping=step.shaping,
            obs=obs,
        )
        over = step.terminated | step.truncated if step.final_obs else None
        ended = self._to_device(over) if over is not None else None
        self._belief, finals = self._observe(belief, action, step, ended)
        if ended is None:
            self._is_first = self._none
        else:
            buffer.end(step.terminated, step.truncated, step.env_terminated, finals)
            self._is_first = ended
            if self.bursts is not None:
                self.bursts.restart(np.asarray(over))
        return step.episodes

    def _observe(
        self, belief: Belief, action: Tensor, step: Step, ended: Tensor | None
    ) -> tuple[Belief, dict[int, float]]:
        """What is believed after a step, and the values of the last observations of truncated episodes."""
        cut = [i for i in step.final_obs if step.truncated[i] and not step.terminated[i]]
        if isinstance(step.obs, Belief):
            finals = {i: step.final_obs[i] for i in cut}
            return step.obs, {i: float(self.model.controller.value(b.z, b.h)) for i, b in finals.items()}
        self._obs = self._to_device(step.obs)
        h_live, h, memory = self.model.advance(belief, action, ended)
        values = self._values(np.stack([step.final_obs[i] for i in cut]), h_live[cut]) if cut else []
        return Belief(self.model.vision.encode(self._obs), h, memory), dict(zip(cut, values, strict=True))

    def _values(self, obs: np.ndarray, h: Tensor) -> list[float]:
        """Values of observations (N, ...) with the memory h (N, H) that led there."""
        return self.model.controller.value(self.model.vision.encode(self._to_device(obs)), h).tolist()

    def _to_device(self, array: np.ndarray) -> Tensor:
        """A copy on the model's device: the environments reuse their arrays."""
        return torch.tensor(array, device=self.device)

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
        buffer = rollout.buffer
        self.relive(buffer.z, buffer.action, buffer.is_first, rollout.start)

    @torch.no_grad()
    def relive(self, z: Tensor, action: Tensor, is_first: Tensor, start: State | None = None) -> None:
        """Lead the memory through what was acted last, as `refresh` does.

        Args:
            z: latents (T, B, Z) of the last T steps.
            action: (T, B, ...) as the environments took them.
            is_first: (T, B) bool.
            start: the memory's state before the first of them; None is that at the start of an episode.
        """
        memory = self.model.memory
        if memory.hidden_dim == 0 or self._obs is None or self._belief is None:  # a dream's beliefs are its own
            return
        start = memory.initial_state(self.num_envs) if start is None else start
        hidden, state = memory.sequence(z, self.model.action_encoding(action), is_first, start)
        h = hidden[-1].masked_fill(self._is_first[:, None], 0.0)
        self._belief = Belief(self._belief.z, h, memory.reset(state, self._is_first))

    def state(self) -> dict[str, Any]:
        """The environments' episodes and the memory's state."""
        with torch.inference_mode():  # it may have been stopped before the first step
            belief = self._present()
        memory = {name: _normal(value) for name, value in belief.memory.items()}
        bursts = {} if self.bursts is None else {"bursts": self.bursts.state()}
        return {
            "envs": self.simulator.state(),
            "memory": memory,
            "h": _normal(belief.h),
            "starts": _normal(self._is_first),  # as 0.1.0 called it
            **bursts,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Replay the environments to where they stood.

        Raises:
            UserError: the state is of another number of environments. JobError: an environment does not repeat itself.
        """
        count = len(state["starts"])
        if count != self.num_envs:
            raise UserError(f"the run has {count} environments: resume it with env.batch_size (--batch-size) {count}")
        if self.bursts is not None:
            self.bursts.restore(state["bursts"])
        device = self.device
        obs = self.simulator.restore(state["envs"])
        self._is_first = state["starts"].to(device)
        if isinstance(obs, Belief):
            self._belief = obs
            return
        self._obs = self._to_device(obs)
        memory = {name: value.to(device) for name, value in state["memory"].items()}
        with torch.inference_mode():
            self._belief = Belief(self.model.vision.encode(self._obs), state["h"].to(device), memory)


def _normal(tensor: Tensor) -> Tensor:
    """A tensor that autograd may use, whether or not it was made in inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor
