"""The controller learns in dreams: short ones, that begin where the agent has really been."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Generator, Tensor

from ewm_studio.acting.collector import LocalCollector, Rollout
from ewm_studio.data.sequence_replay import SequenceReplay
from ewm_studio.dreams.simulator import DreamSimulator
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.base import MemoryModel
from ewm_studio.models.belief import Belief
from ewm_studio.models.ensemble import Ensemble
from ewm_studio.models.randomness import integers
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import DreamSettings, PPOSettings
from ewm_studio.training.imagination import ImaginedActorCritic
from ewm_studio.training.ppo import PPO
from ewm_studio.training.real_policy import RealPolicy
from ewm_studio.training.replayed import Replayed
from ewm_studio.training.sequences import lived_batch
from ewm_studio.training.shaping import ShapedMemory

MOST_SEEDS = 2**31 - 1
PLACES = 3  # of every place in the sequences that are drawn, one is dreamt from in so many


class Dreaming:
    """Updates of a controller, each on dreams of its own."""

    def __init__(
        self,
        model: AgentModel,
        settings: DreamSettings,
        ppo: PPOSettings,
        settling: int = 0,
        generator: Generator | None = None,
        others: Sequence[MemoryModel] = (),
        shaped: bool = False,
    ) -> None:
        """Teach the controller of `model`.

        Args:
            model: dreams and learns.
            settings: of the dreams, and of the actor-critic.
            ppo: of PPO, where that learns.
            settling: steps at the start of an episode in which no dream begins.
            generator: draws all.
            others: memories of the same latents, to dream in beside the model's own.
            shaped: the rules of training add to rewards, and dreams are to do so too.

        Raises:
            UserError: memory predicts nothing, or the settings do not go together.
        """
        model.require_imagination()
        self.ensemble = Ensemble([model.memory, *others], settings.pessimism) if others else None
        memory = self.ensemble or model.memory
        self.shaped = ShapedMemory(memory, generator) if shaped else None
        self.world: WorldModel = model if memory is model.memory else model.with_memory(memory)
        if self.shaped is not None:
            self.world = model.with_memory(self.shaped)
        self.model, self.settings, self.settling, self.generator = model, settings, settling, generator
        self.learner: ImaginedActorCritic | DreamtPPO
        if settings.learner == "ppo":
            self.learner = DreamtPPO(model, self.world, settings, ppo, generator)
        else:
            self.learner = ImaginedActorCritic(self.world, model.controller, settings, generator)
        self.real: RealPolicy | None = None
        if settings.real_epochs:
            if settings.learner == "ppo":
                raise UserError("dream.real_epochs: only with dream.learner actor_critic, whose value it goes by")
            self.real = RealPolicy(model.controller, settings, ppo, generator)

    def acted(self, rollout: Rollout, last: bool, left: float) -> dict[str, float]:
        """The controller acted for real, and learns from the round once its `last` piece is there; its figures.

        Args:
            rollout: a piece of the round.
            last: the round ends with it.
            left: the share of the run, 1 to 0, that was to come.

        Raises:
            JobError: a loss is not finite.
        """
        if self.real is None:
            return {}
        assert isinstance(self.learner, ImaginedActorCritic)
        self.real.add(rollout)
        return self.real.update(self.learner.unit or 1.0, left) if last else {}

    def update(self, replay: SequenceReplay, left: float) -> dict[str, float]:
        """Dream and learn once; the learner's figures.

        Args:
            replay: where dreams begin.
            left: the share of the run, 1 to 0, that was to come.

        Raises:
            JobError: a loss is not finite.
        """
        real, shaping = self._lived(replay)
        figures: dict[str, float] = {}
        if self.shaped is not None:
            figures = self.shaped.learn(real, shaping)
            real = replace(real, reward=real.reward + shaping)
        starts = real.starts(self.settings.starts, self.generator)
        if self.ensemble is not None:
            starts = self.ensemble.chosen(starts, self.generator)
        return self.learner.update(starts, real, left) | figures

    def _lived(self, replay: SequenceReplay) -> tuple[Replayed, Tensor]:
        """Sequences of what was lived, with more places to begin at than there are dreams; and their shaping (T, B)."""
        settings = self.settings
        length = min(settings.context, len(replay) - 1)
        count = max(2, -(-PLACES * settings.starts // length))
        places = replay.places(count, length, settings.recent_steps, settings.recent_share, self.generator)
        lived = replay.at(places, length)
        real = Replayed.of(self.world, lived_batch(lived, self.model.action_encoding), length // 2)
        # For memory an episode that the rules end is cut off; for the controller nothing follows.
        real = replace(real, terminated=real.terminated | lived.ruled, valid=real.valid | lived.ruled)
        settled = real.settled & (lived.age >= self.settling)
        # Where no episode has come so far yet, dreams begin in its beginning.
        return replace(real, settled=settled) if bool(settled.any()) else real, lived.shaping

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        shaped = {} if self.shaped is None else {"shaped": self.shaped.saved()}
        real = {} if self.real is None else {"real": self.real.state()}
        return {**self.learner.state(), **shaped, **real}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.learner.restore(state)
        if self.shaped is not None:
            self.shaped.restore(state["shaped"])
        if self.real is not None and "real" in state:
            self.real.restore(state["real"])


class DreamtPPO:
    """PPO on rollouts of dreams, each begun anew."""

    def __init__(
        self,
        model: AgentModel,
        world: WorldModel,
        settings: DreamSettings,
        ppo: PPOSettings,
        generator: Generator | None = None,
    ) -> None:
        """Teach the controller of `model` in the dreams of `world`."""
        self.model, self.world, self.settings, self.generator = model, world, settings, generator
        self.ppo = PPO(model.controller, ppo, settings.starts, generator)
        self.ppo.steps = settings.horizon
        self._began = False

    def update(self, starts: Belief, real: Replayed, left: float) -> dict[str, float]:
        """Dream from `starts` and learn from it; the figures are as of `ImaginedActorCritic`."""
        if not self._began:  # the controller is told how its inputs are scaled
            self.model.controller.observe(starts.z, starts.h)
            self._began = True
        seed = int(integers(MOST_SEEDS, 1, self.generator))
        dream = DreamSimulator(self.world, starts, len(starts), temperature=self.settings.temperature, seed=seed)
        if self.ppo.scaler:  # these dreams are no sequel to the last ones
            self.ppo.scaler.returns = np.zeros_like(self.ppo.scaler.returns)
        figures = self.ppo.update(LocalCollector(dream, self.model, generator=self.generator), left)
        assert self.ppo.rollout is not None
        buffer = self.ppo.rollout.buffer
        value = self.model.controller.value_unit * buffer.value
        told = {"dream/reward": buffer.reward, "dream/end": buffer.terminated.float(), "dream/value": value}
        return figures | {name: mean(values) for name, values in told.items()}

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {**self.ppo.state(), "began": self._began}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.ppo.restore(state)
        self._began = state["began"]


def mean(values: Tensor) -> float:
    """The mean of all of them."""
    return float(values.mean())
