"""The controller learns in dreams: short ones, that begin where the agent has really been."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from torch import Generator, Tensor

from ewm_studio.acting.collector import LocalCollector
from ewm_studio.data.sequence_replay import SequenceReplay
from ewm_studio.dreams.simulator import DreamSimulator
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.belief import Belief
from ewm_studio.models.randomness import integers
from ewm_studio.settings import DreamSettings, PPOSettings
from ewm_studio.training.imagination import ImaginedActorCritic
from ewm_studio.training.ppo import PPO
from ewm_studio.training.replayed import Replayed
from ewm_studio.training.sequences import lived_batch

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
    ) -> None:
        """Teach the controller of `model`.

        Args:
            model: dreams and learns.
            settings: of the dreams, and of the actor-critic.
            ppo: of PPO, where that learns.
            settling: steps at the start of an episode in which no dream begins.
            generator: draws all.

        Raises:
            UserError: memory predicts nothing.
        """
        model.require_imagination()
        self.model, self.settings, self.settling, self.generator = model, settings, settling, generator
        self.learner: ImaginedActorCritic | DreamtPPO
        if settings.learner == "ppo":
            self.learner = DreamtPPO(model, settings, ppo, generator)
        else:
            self.learner = ImaginedActorCritic(model, model.controller, settings, generator)

    def update(self, replay: SequenceReplay, left: float) -> dict[str, float]:
        """Dream and learn once; the learner's figures.

        Args:
            replay: where dreams begin.
            left: the share of the run, 1 to 0, that was to come.

        Raises:
            JobError: a loss is not finite.
        """
        real = self._lived(replay)
        return self.learner.update(real.starts(self.settings.starts, self.generator), real, left)

    def _lived(self, replay: SequenceReplay) -> Replayed:
        """Sequences of what was lived, with more places to begin at than there are dreams."""
        settings = self.settings
        length = min(settings.context, len(replay) - 1)
        count = max(2, -(-PLACES * settings.starts // length))
        places = replay.places(count, length, settings.recent_steps, settings.recent_share, self.generator)
        lived = replay.at(places, length)
        real = Replayed.of(self.model, lived_batch(lived, self.model.action_encoding), length // 2)
        settled = real.settled & (lived.age >= self.settling)
        # Where no episode has come so far yet, dreams begin in its beginning.
        return replace(real, settled=settled) if bool(settled.any()) else real

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return self.learner.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.learner.restore(state)


class DreamtPPO:
    """PPO on rollouts of dreams, each begun anew."""

    def __init__(
        self, model: AgentModel, settings: DreamSettings, ppo: PPOSettings, generator: Generator | None = None
    ) -> None:
        self.model, self.settings, self.generator = model, settings, generator
        self.ppo = PPO(model.controller, ppo, settings.starts, generator)
        self.ppo.steps = settings.horizon
        self._began = False

    def update(self, starts: Belief, real: Replayed, left: float) -> dict[str, float]:
        """Dream from `starts` and learn from it; the figures are as of `ImaginedActorCritic`."""
        if not self._began:  # the controller is told how its inputs are scaled
            self.model.controller.observe(starts.z, starts.h)
            self._began = True
        seed = int(integers(MOST_SEEDS, 1, self.generator))
        dream = DreamSimulator(self.model, starts, len(starts), temperature=self.settings.temperature, seed=seed)
        if self.ppo.scaler:  # these dreams are no sequel to the last ones
            self.ppo.scaler.returns = np.zeros_like(self.ppo.scaler.returns)
        figures = self.ppo.update(LocalCollector(dream, self.model, generator=self.generator), left)
        assert self.ppo.rollout is not None
        buffer = self.ppo.rollout.buffer
        return {**figures, "dream/reward": mean(buffer.reward), "dream/value": mean(buffer.value)}

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
