"""Rollouts collected by several, each with its share of the environments and its own copy of the model.

Each share draws by a generator of its own, seeded for every rollout from the learner's, so that what is collected
depends on how many shares there are and not on where they are: one after the other here, or at once on other machines.
A rollout is one question and one answer, however many steps it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.acting.collector import LocalCollector, Rollout
from ewm_studio.data.rollout_buffer import RolloutBuffer, joined
from ewm_studio.envs.vector.local import LocalVectorEnvs
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import from_description
from ewm_studio.models.randomness import make_generator
from ewm_studio.settings import EnvSettings

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class ShareSpec:
    """What one share is made of, in words and numbers that travel.

    Attributes:
        description: of the model, as a model file has it.
        env: settings of the environments, by name.
        seed: the run's.
        rows: which of the run's environments these are: the first, and one after the last.
        keep_obs: whether rollouts hold the observations.
        threads: of PyTorch, where the share has a process of its own; 0 leaves them.
    """

    description: dict[str, Any]
    env: dict[str, Any]
    seed: int
    rows: tuple[int, int]
    keep_obs: bool
    threads: int = 0


class Share:
    """Some environments of a run and a copy of its model."""

    def __init__(self, spec: ShareSpec, weights: Weights) -> None:
        if spec.threads:
            torch.set_num_threads(spec.threads)
        self._model, _ = from_description(dict(weights), spec.description, "the learner's model")
        first, end = spec.rows
        self._envs = LocalVectorEnvs(EnvSettings.model_validate(spec.env), spec.seed, end - first, first)
        self._generator = make_generator(spec.seed)
        self._collector = LocalCollector(self._envs, self._model.eval(), spec.keep_obs, self._generator)
        self._last: Rollout | None = None

    def collect(self, weights: Weights, seed: int, steps: int, relive: bool) -> Rollout:
        """Act for `steps` steps with these weights and the draws of this seed.

        Args:
            weights: the learner's, present ones.
            seed: of the rollout's draws.
            steps: in every environment.
            relive: the world model was trained since: what is carried over is computed anew first.
        """
        self._take(weights, relive)
        self._generator.manual_seed(seed)
        self._last = self._collector.collect(steps)
        return self._last

    def state(self, weights: Weights, relive: bool) -> dict[str, Any]:
        """See `Collector.state`."""
        self._take(weights, relive)
        return self._collector.state()

    def restore(self, weights: Weights, state: dict[str, Any]) -> None:
        """See `Collector.restore`."""
        self._take(weights, False)
        self._collector.restore(state)

    def close(self) -> None:
        """End the environments."""
        self._envs.close()

    def _take(self, weights: Weights, relive: bool) -> None:
        self._model.load_state_dict(dict(weights))
        if relive and self._last is not None:
            self._collector.refresh(self._last)
            self._last = None


class Shares:
    """The shares of this process, which work one after the other; those elsewhere have the same two methods."""

    def __init__(self, specs: Sequence[ShareSpec], weights: Weights) -> None:
        self._shares = [Share(spec, weights) for spec in specs]

    def ask(self, name: str, arguments: Sequence[tuple[Any, ...]], weights: Weights) -> list[Any]:
        """The answers of all shares to a method, each asked with arguments of its own after the weights."""
        return [getattr(share, name)(weights, *own) for share, own in zip(self._shares, arguments, strict=True)]

    def close(self) -> None:
        """End them."""
        for share in self._shares:
            share.close()


MakeShares = Callable[[Sequence[ShareSpec], Weights], Shares]


class SharedCollector:
    """A `Collector` of several shares."""

    def __init__(
        self,
        model: AgentModel,
        description: dict[str, Any],
        env: EnvSettings,
        seed: int,
        num_envs: int,
        shares: int,
        keep_obs: bool = False,
        generator: Generator | None = None,
        threads: int = 0,
        make: MakeShares = Shares,
    ) -> None:
        """Collect with copies of `model`.

        Args:
            model: the learner's; its present weights go out with every question.
            description: of it, as a model file has it.
            env: settings of the environments.
            seed: the run's.
            num_envs: environments of all shares together.
            shares: how many.
            keep_obs: whether rollouts hold the observations.
            generator: the learner's: seeds the draws of every share.
            threads: of PyTorch in each share that has a process of its own.
            make: makes the shares, here or elsewhere.

        Raises:
            UserError: there are more shares than environments.
        """
        if shares > num_envs:
            raise UserError(f"train.collectors {shares}: there are {num_envs} environments (env.batch_size) to share")
        self.num_envs, self._model, self._generator = num_envs, model, generator
        parts = [part.tolist() for part in np.array_split(np.arange(num_envs), shares)]
        self._first = [part[0] for part in parts]
        values = env.model_copy(update={"workers": 0}).model_dump(mode="json")
        specs = [ShareSpec(description, values, seed, (p[0], p[-1] + 1), keep_obs, threads) for p in parts]
        self._shares = make(specs, self._weights())
        self._trained = False  # the world model, since the last rollout

    def collect(self, steps: int) -> Rollout:
        """See `Collector`."""
        count, device = len(self._first), self._model.device
        drawn = torch.randint(2**62, (count,), generator=self._generator, device=device).tolist()
        parts = self._ask("collect", [(seed, steps, self._trained) for seed in drawn])
        self._trained = False
        return _joined(parts, self._first, device)

    def refresh(self, rollout: Rollout) -> None:
        """See `Collector`: the shares do it, each for its own, before they act again."""
        self._trained = True

    def state(self) -> dict[str, Any]:
        """See `Collector`."""
        states = self._ask("state", [(self._trained,)] * len(self._first))
        self._trained = False
        return {"shares": states}

    def restore(self, state: dict[str, Any]) -> None:
        """See `Collector`.

        Raises:
            UserError: the run was collected by another number of shares.
        """
        states = state.get("shares", [])
        if len(states) != len(self._first):
            raise UserError(f"the run was collected by {len(states)} shares: resume it with train.collectors so")
        self._ask("restore", [(own,) for own in states])

    def close(self) -> None:
        """End the shares."""
        self._shares.close()

    def _ask(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        return self._shares.ask(name, arguments, self._weights())

    def _weights(self) -> Weights:
        return {name: tensor.detach().cpu().clone() for name, tensor in self._model.state_dict().items()}


def _joined(parts: Sequence[Rollout], first: Sequence[int], device: torch.device) -> Rollout:
    """One rollout of those of all shares, as if their environments had acted side by side."""
    buffer: RolloutBuffer = joined([part.buffer for part in parts], device)
    ends = []
    for part, start in zip(parts, first, strict=True):
        for after, episode in part.episodes:
            step = after // part.buffer.envs
            ends.append((step, start, replace(episode, env=episode.env + start)))
    ends.sort(key=lambda end: end[:2])
    seen = [part.next_obs for part in parts if part.next_obs is not None]
    return Rollout(
        buffer,
        {name: torch.cat([part.start[name] for part in parts]).to(device) for name in parts[0].start},
        torch.cat(seen).to(device) if seen else None,
        torch.cat([part.last_value for part in parts]).to(device),
        [(step * buffer.envs, episode) for step, _, episode in ends],
    )
