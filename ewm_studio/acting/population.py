"""Many controllers side by side: each episode is decided by the weights of one candidate."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.acting.episode import Listener, play_episodes
from ewm_studio.acting.policy import Policy
from ewm_studio.envs.simulator import Episode, Simulator, Step
from ewm_studio.errors import UserError
from ewm_studio.models.actor_critic import ActorCritic
from ewm_studio.models.base import Controller
from ewm_studio.models.belief import Belief
from ewm_studio.models.world_model import WorldModel

IDLE = -1  # of an environment that has nothing left to judge


def linear_layer(controller: Controller) -> torch.nn.Linear:
    """The one layer of a linear policy.

    Raises:
        UserError: its policy has several.
    """
    if not isinstance(controller, ActorCritic) or len(controller.policy.layers) != 1:
        raise UserError(
            f"{type(controller).__name__} is no linear controller, and evolution is of one: choose LinearController"
        )
    layer = controller.policy.layers[0]
    assert isinstance(layer, torch.nn.Linear)
    return layer


class Population(Policy):
    """Candidates for a controller's linear layer, each judged by so many whole episodes.

    Attributes:
        earned: what each candidate's episodes earned, without shaping, by candidate.
        played: the episodes that were judged.
    """

    def __init__(self, controller: Controller, candidates: np.ndarray, episodes: int) -> None:
        """Judge `candidates` (N, weights and biases) by so many `episodes` each.

        Raises:
            UserError: the controller is not linear.
        """
        layer = linear_layer(controller)
        assert isinstance(controller, ActorCritic)
        self.controller = controller
        flat = torch.as_tensor(candidates, dtype=layer.weight.dtype, device=layer.weight.device)
        weights, self._biases = flat.split([layer.weight.numel(), layer.bias.numel()], 1)
        self._weights = weights.view(-1, *layer.weight.shape)
        self.earned: list[list[float]] = [[] for _ in candidates]
        self.played: list[Episode] = []
        self._waiting = deque(number for _ in range(episodes) for number in range(len(candidates)))
        self._left = len(self._waiting)

    @property
    def done(self) -> bool:
        """Whether all were judged."""
        return self._left == 0

    def begin(self, batch: int) -> None:
        """The first candidates begin in B environments."""
        self._of = np.array([self._next() for _ in range(batch)])

    def _next(self) -> int:
        return self._waiting.popleft() if self._waiting else IDLE

    def act(self, belief: Belief, generator: Generator | None = None) -> Tensor:
        """What each environment's candidate thinks best (B, ...)."""
        chosen = torch.as_tensor(np.maximum(self._of, 0), device=belief.z.device)
        params = self.controller.linear(belief.z, belief.h, self._weights[chosen], self._biases[chosen])
        policy = self.controller.head(params)
        return policy.to_env(policy.mode())

    def judge(self, episodes: Sequence[Episode]) -> None:
        """Take in the episodes that ended, before the next decision."""
        for episode in episodes:
            number = int(self._of[episode.env])
            if number != IDLE:
                self.earned[number].append(episode.reward)
                self.played.append(episode)
                self._left -= 1
            self._of[episode.env] = self._next()

    def scores(self) -> np.ndarray:
        """The mean of what each candidate earned (N,)."""
        return np.array([np.mean(earned) for earned in self.earned])


def judge(population: Population, simulator: Simulator, world: WorldModel, seed: int) -> Iterator[int]:
    """Let all candidates of a population play in a simulator begun with `seed`; the steps so far, after every one.

    Raises:
        JobError: an environment failed.
    """
    steps, judge = 0, _Judge(population)
    for _ in play_episodes(simulator, population, world, [judge], seed=seed, stopped=lambda: population.done):
        steps += simulator.num_envs
        yield steps


class _Judge(Listener):
    def __init__(self, population: Population) -> None:
        self._population = population

    def step(self, belief: Any, action: Any, step: Step) -> None:
        """Some episodes may have ended."""
        self._population.judge(step.episodes)
