"""The last share of a run in dreams: rounds of PPO on what is acted for real, with vision and memory as they are."""

from __future__ import annotations

from typing import Any

from torch import Generator

from ewm_studio.acting.collector import LocalCollector, Rollout
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.settings import Experiment
from ewm_studio.training.ppo import PPO

COST = 0.1  # of a decision that is learned for real alone, in those of rounds with dreams, about


class RealRounds:
    """Which rounds they are, and their learner.

    Attributes:
        on: the present round is one of them.
        acted: what was acted last was acted in one of them, and nothing has learned since but the controller.
    """

    def __init__(self, model: AgentModel, experiment: Experiment, envs: int, generator: Generator | None) -> None:
        """Prepare to teach the controller of `model`.

        Raises:
            UserError: the run has no end that a last share could be of.
        """
        self.share, ends = experiment.dream.real_share, experiment.train
        if self.share and not (ends.total_steps or ends.minutes or ends.epochs):
            raise UserError(
                "dream.real_share: a run has a last share only where its end is known; give train.total_steps, "
                "train.minutes or train.epochs"
            )
        self.on = self.acted = False
        self._learner = PPO(model.controller, experiment.ppo, envs, generator)

    def dreams_left(self, left: float) -> float:
        """How much of the part with dreams is to come, 1 to 0, where `left` is of the whole run."""
        return max(0.0, left - self.share) / (1.0 - self.share)

    def ahead(self, total: int | None, done: int) -> float | None:
        """Decisions to come, those of these rounds for what they cost; None where no total is set."""
        if total is None or self.on:
            return None
        return max(0.0, (1.0 - self.share) * total - done) + COST * self.share * total

    def update(self, collector: LocalCollector, steps: int, left: float) -> tuple[Rollout, dict[str, float]]:
        """Act so many steps in every environment and learn from them.

        Args:
            collector: acts.
            steps: of the rollout.
            left: the share of the run, 1 to 0, that was to come.

        Raises:
            JobError: a loss is not finite.
        """
        self._learner.steps = steps
        figures = self._learner.update(collector, min(1.0, left / self.share))
        assert self._learner.rollout is not None
        self.acted = True
        return self._learner.rollout, figures

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {"on": self.on, "acted": self.acted, "learner": self._learner.state() if self.on else None}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.on, self.acted = state["on"], state["acted"]
        if self.on:
            self._learner.restore(state["learner"])
