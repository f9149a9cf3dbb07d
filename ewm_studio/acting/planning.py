"""A policy that looks ahead: it tries plans in the memory and does the first step of the best one.

The cross-entropy method in a learned world, as in PlaNet (Hafner et al. 2019, "Learning latent dynamics for planning
from pixels"); what comes after the plan's end can be left to a value (Lowrey et al. 2019, POLO).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.acting.policy import Policy
from ewm_studio.acting.proposals import proposal_for
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.belief import Belief
from ewm_studio.models.randomness import integers
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings.planning import PlannerSettings

Value = Callable[[Tensor, Tensor], Tensor]  # (z (B, Z), h (B, H)) -> (B,), in the world's rewards


@dataclass(frozen=True)
class Plan:
    """What is meant to be done in P episodes, and what is expected of it.

    Attributes:
        raw: (P, S, R) as drawn.
        z: latents (P, S + 1, Z), the present one first.
        reward: (P, S) expected.
        end: (P, S) probability that the episode ends with the step.
        score: (P,) discounted sum of rewards, and of the value at the end where there is one.
    """

    raw: Tensor
    z: Tensor
    reward: Tensor
    end: Tensor
    score: Tensor


class PlanningPolicy(Policy):
    """Decides by plans that are tried in a world model.

    Attributes:
        plan: the last one; None before the first decision.
    """

    def __init__(
        self,
        world: WorldModel,
        settings: PlannerSettings | None = None,
        value: Value | None = None,
        greedy: bool = True,
        budget: float | None = None,
    ) -> None:
        """Plan in `world`.

        Args:
            world: its memory predicts.
            settings: how many plans, how far.
            value: of what comes after a plan; None for the controller's, where `settings.value` has it, or nothing.
            greedy: the best plan is followed, or one that is drawn from the elites.
            budget: seconds of a decision after which no further round begins; None for as many rounds as are set.

        Raises:
            UserError: this memory predicts nothing, no plan would be better than another, or there is no value.
        """
        world.require_imagination()
        self.world, self.settings, self.greedy, self.budget = world, settings or PlannerSettings(), greedy, budget
        self.value = _value_of(world) if value is None and self.settings.value else value
        elites, candidates = self.settings.elites, self.settings.candidates
        if elites >= candidates:
            raise UserError(f"planner.elites {elites}: give fewer than planner.candidates, {candidates}")
        self.proposal = proposal_for(world.action_space, self.settings.horizon, self.settings.spread)
        self.plan: Plan | None = None

    def begin(self, batch: int) -> None:
        """Nothing is planned in any of B episodes."""
        self.proposal.begin(batch, self.world.device)
        self.plan = None

    def restart(self, ended: np.ndarray) -> None:
        """What was planned in episodes (B,) that ended is of no use in the next ones."""
        if ended.any():
            self.proposal.restart(torch.as_tensor(ended, device=self.world.device))

    @torch.no_grad()
    def act(self, belief: Belief, generator: Generator | None = None) -> Tensor:
        """The first actions (P, ...) of the best plans, or of good ones that are drawn."""
        settings, proposal = self.settings, self.proposal
        began = time.monotonic()
        proposal.widen()
        for number in range(settings.rounds):
            if number and self.budget is not None and time.monotonic() - began > self.budget:
                break
            tried = self._tried(belief, proposal.draw(settings.candidates, generator), generator)
            order = tried.score.argsort(1, descending=True)[:, : settings.elites]
            rows = torch.arange(len(belief), device=order.device)[:, None]
            proposal.narrow(tried.raw[rows, order])
        rows, rank = rows[:, 0], torch.zeros_like(rows[:, 0])
        if not self.greedy:
            rank = integers(settings.elites, len(belief), generator).to(order.device)
        chosen = order[rows, rank]
        self.plan = Plan(*(value[rows, chosen] for value in (tried.raw, tried.z, tried.reward, tried.end, tried.score)))
        proposal.shift(self.plan.raw)
        return self.planned(0)

    def planned(self, step: int) -> Tensor:
        """The actions (P, ...) that the last plan has for its `step`."""
        assert self.plan is not None
        return self.proposal.to_env(self.plan.raw[:, step])

    def go_on(self, steps: int) -> None:
        """The next plan is for so many steps after the last one, which were done as it had them."""
        if self.plan is not None and steps > 1:
            raw = self.plan.raw
            rest = raw[:, min(steps, raw.shape[1]) - 1 :]
            self.proposal.shift(torch.cat([rest, rest[:, -1:].expand(-1, raw.shape[1] - rest.shape[1], -1)], 1))

    def _tried(self, belief: Belief, raw: Tensor, generator: Generator | None) -> Plan:
        """Plans (P, N, S, R) as they would go: a `Plan` whose values are (P, N, ...)."""
        episodes, count, steps, _ = raw.shape
        now = belief.rows(torch.arange(episodes, device=raw.device).repeat_interleave(count))
        z, rewards, ends = [now.z], [], []
        score, weight = raw.new_zeros(episodes * count, dtype=now.z.dtype), 1.0
        going_on = torch.ones_like(score)
        for t in range(steps):
            action = self.proposal.to_env(raw[:, :, t].flatten(0, 1))
            now, reward, end = self.world.imagine(now, action, self.settings.temperature, generator)
            score = score + weight * going_on * reward
            going_on, weight = going_on * (1 - end), weight * self.settings.gamma
            z.append(now.z)
            rewards.append(reward)
            ends.append(end)
        if self.value is not None:
            score = score + weight * going_on * self.value(now.z, now.h)
        latents, reward, end = (torch.stack(values, 1).unflatten(0, (episodes, count)) for values in (z, rewards, ends))
        return Plan(raw, latents, reward, end, score.view(episodes, count))


def _value_of(world: WorldModel) -> Value:
    """What the controller expects.

    Raises:
        UserError: this world has none.
    """
    if not isinstance(world, AgentModel):
        raise UserError("planner.value: a world whose parts were swapped has no controller to ask; leave it out")
    if not world.controller.value_unit:
        raise UserError(
            "planner.value: this model's file does not say what its controller's value is in, as earlier ones do not, "
            "or it never learned one; train it on, or leave planner.value out"
        )
    return world.controller.worth
