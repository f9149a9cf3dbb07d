"""The one loop in which anything acts: a policy, a simulator, and whoever listens to every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.acting.policy import Policy
from ewm_studio.envs.simulator import Simulator, Step
from ewm_studio.models.belief import Belief
from ewm_studio.models.world_model import WorldModel


class Listener:
    """Told of every step; a recorder, a writer of replays, a film, a meter. By default it listens to nothing."""

    def begin(self, simulator: Simulator, obs: Any) -> None:
        """The first episodes begin at these observations (B, ...)."""

    def step(self, belief: Any, action: Any, step: Step) -> None:
        """One step: what was believed, what was done, what came of it. Arrays may be overwritten by the next one."""


def play_episodes(
    simulator: Simulator,
    policy: Policy,
    world: WorldModel | None = None,
    listeners: Sequence[Listener] = (),
    *,
    episodes: int | None = None,
    seed: int | None = None,
    generator: Generator | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Step]:
    """Play until so many episodes have ended; every step is given once all have listened to it.

    Args:
        simulator: what is acted in.
        policy: who acts.
        world: turns observations into beliefs; None hands the policy the observations as they are.
        listeners: told of every step, in their order.
        episodes: how many; None goes on for good.
        seed: of the first episodes; None leaves it to the simulator.
        generator: the policy draws from it.
        stopped: asked before every step.

    Raises:
        JobError: an environment failed.
    """
    perception = _Perception(simulator, world)
    obs = simulator.reset(seed)
    policy.begin(simulator.num_envs)
    for listener in listeners:
        listener.begin(simulator, obs)
    belief, left = perception.begin(obs), episodes
    while (left is None or left > 0) and not stopped():
        with torch.inference_mode():
            action = policy.act(belief, generator)
        step = simulator.step(for_simulator(simulator, action))
        for listener in listeners:
            listener.step(belief, action, step)
        left = None if left is None else left - len(step.episodes)
        yield step
        if left is None or left > 0:
            ended = step.terminated | step.truncated
            policy.restart(ended)
            belief = perception.observe(belief, action, step, ended)


def for_simulator(simulator: Simulator, action: Any) -> Any:
    """Actions where the simulator takes them: on the device of its beliefs, or in the memory of this process."""
    if simulator.on_device:
        return torch.as_tensor(action)
    return action.cpu().numpy() if isinstance(action, Tensor) else action


class _Perception:
    """What a policy acts on: beliefs of a world model, or observations as they are."""

    def __init__(self, simulator: Simulator, world: WorldModel | None) -> None:
        self._simulator, self._world = simulator, world
        self._device = world.device if world is not None else torch.device("cpu")

    def begin(self, obs: Any) -> Any:
        if self._world is None:
            return obs
        with torch.inference_mode():
            return self._world.begin(self._seen(obs))

    def observe(self, belief: Any, action: Any, step: Step, ended: np.ndarray) -> Any:
        if self._world is None:
            return step.obs
        mask = torch.as_tensor(ended, device=self._device) if ended.any() else None
        with torch.inference_mode():
            taken = torch.as_tensor(action, device=self._device)
            return self._world.observe(belief, taken, self._seen(step.obs), mask)

    def _seen(self, obs: Any) -> Tensor | Belief:
        """Observations on the model's device, as a copy: environments reuse their arrays."""
        return obs if isinstance(obs, Belief) else torch.tensor(obs, device=self._device)
