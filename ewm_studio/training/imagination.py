"""An actor-critic on imagined returns: policy and value learned from dreams of a world model that stays as it is.

After DreamerV3 (Hafner et al. 2023, "Mastering diverse domains through world models"): short dreams from states that
were lived, lambda returns, advantages divided by the range that returns have, and a slow copy of the value that says
what comes after the horizon. The policy's gradient is REINFORCE (Williams 1992), so that any action space will do and
nothing is differentiated through memory.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from ewm_studio.models.base import Controller
from ewm_studio.models.belief import Belief
from ewm_studio.models.ensemble import DISAGREEMENT
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings.dreaming import ImaginationSettings
from ewm_studio.training.adam import FusedAdam
from ewm_studio.training.finite import check_finite
from ewm_studio.training.lambda_returns import lambda_returns
from ewm_studio.training.optimize import as_floats
from ewm_studio.training.replayed import Replayed

SPREAD = (0.05, 0.95)  # the quantiles between which the range of returns is taken
LEAST_RANGE = 1.0  # of returns, in usual rewards: smaller ones are not blown up, they are noise
LEAST_RATE = 0.1  # of the learning rates, where they fall
LONGEST = 1000.0  # decisions that a return is taken to sum up, where nothing is discounted


def to_a_tenth(left: float) -> float:
    """The share of a learning rate that falls evenly to `LEAST_RATE` of it, where `left` (1 to 0) is to come."""
    return LEAST_RATE + (1 - LEAST_RATE) * left


@dataclass(frozen=True)
class Dream:
    """H decisions of B dreams.

    Attributes:
        z, h: beliefs (H + 1, B, ...) before and after each decision.
        raw: raw actions (H, B, R) as drawn.
        reward: (H, B) expected.
        end: (H, B) probability that the episode ended with the decision.
        disagreement: (H, B) deviation of the rewards that the memories of an ensemble expected; None with one memory.
    """

    z: Tensor
    h: Tensor
    raw: Tensor
    reward: Tensor
    end: Tensor
    disagreement: Tensor | None = None


@torch.no_grad()
def dream(
    world: WorldModel,
    controller: Controller,
    starts: Belief,
    horizon: int,
    temperature: float = 1.0,
    generator: Generator | None = None,
) -> Dream:
    """Let `controller` act in the dreams of `world` that begin at `starts` (B), for `horizon` decisions.

    Dreams are not cut where an episode ends; `Dream.end` says how likely they are to be over.
    """
    belief, rows, apart = starts, [], []
    for _ in range(horizon):
        policy = controller.distribution(belief.z, belief.h)
        raw = policy.sample(generator)
        following, reward, end = world.imagine(belief, policy.to_env(raw), temperature, generator)
        rows.append((belief.z, belief.h, raw, reward, end))
        apart += [following.memory[DISAGREEMENT]] if DISAGREEMENT in following.memory else []
        belief = following
    z, h, *columns = (list(column) for column in zip(*rows, strict=True))
    raws, rewards, ends = map(torch.stack, columns)
    disagreement = torch.stack(apart) if apart else None
    return Dream(torch.stack([*z, belief.z]), torch.stack([*h, belief.h]), raws, rewards, ends, disagreement)


class ImaginedActorCritic:
    """Teaches a controller in the dreams of a world model.

    Attributes:
        unit: of the value: how large sums of rewards get that have nothing to do with each other, by the root mean
            square of the first that were not all zero; 0 before. In it values are learned twice as fast as in rewards.
        scale: running range of the returns, in that unit.
    """

    def __init__(
        self,
        world: WorldModel,
        controller: Controller,
        settings: ImaginationSettings,
        generator: Generator | None = None,
    ) -> None:
        """Teach `controller` in `world`.

        Args:
            world: is dreamt with, as it is at each update.
            controller: what learns.
            settings: of the whole run.
            generator: draws dreams and actions.

        Raises:
            UserError: this world's memory predicts nothing.
        """
        world.require_imagination()
        self.world, self.controller, self.settings, self.generator = world, controller, settings, generator
        # Over all parameters each, with rates of their own: whichever a loss reaches is stepped, shared ones by both.
        self.actor = FusedAdam(controller, settings.actor_lr)
        self.critic = FusedAdam(controller, settings.critic_lr)
        self.slow = deepcopy(controller).requires_grad_(False)
        self.unit, self.scale = 0.0, torch.zeros(())

    def update(self, starts: Belief, real: Replayed | None = None, left: float = 1.0) -> dict[str, float]:
        """Dream once from each of `starts` and learn from it; the figures of the update by their names.

        Args:
            starts: beliefs that were lived.
            real: sequences that were lived, for the value; None for none.
            left: the share of the run, 1 to 0, that was to come before this update.

        Raises:
            JobError: a loss is not finite.
        """
        settings, controller = self.settings, self.controller
        self._slow_to(left)
        self._see(starts)
        dreamt = dream(self.world, controller, starts, settings.horizon, settings.temperature, self.generator)
        unit = self._unit(dreamt, real)
        controller.value_unit.fill_(unit)
        reached, values, returns = self._returns(dreamt, unit)
        advantage = (returns - values) / self._range(returns).clamp_min(LEAST_RANGE / self._rewards)

        z, h = dreamt.z[:-1].flatten(0, 1), dreamt.h[:-1].flatten(0, 1)
        controller.train()
        policy = controller.distribution(z, h)
        log_prob = policy.log_prob(dreamt.raw.flatten(0, 1))
        policy_loss = -(reached * log_prob * advantage).mean()
        entropy = (reached * policy.entropy()).mean() / reached.mean().clamp_min(1e-6)
        bonus = settings.entropy_final + (settings.entropy - settings.entropy_final) * left
        actor_norm = self._step(self.actor, policy_loss - bonus * entropy)

        value_loss = (reached * F.smooth_l1_loss(controller.value(z, h), returns, reduction="none")).mean()
        total = value_loss
        if real is not None and settings.real_weight:
            total = total + settings.real_weight * self._real_loss(real, unit)
        critic_norm = self._step(self.critic, total)
        controller.eval()
        self._follow()
        figures = as_floats(
            {
                "dream/reward": (reached * dreamt.reward.flatten()).mean() / reached.mean().clamp_min(1e-6),
                "dream/end": (reached * dreamt.end.flatten()).mean() / reached.mean().clamp_min(1e-6),
                "dream/return": unit * returns.mean(),
                "dream/value": unit * values.mean(),
                "dream/entropy": entropy.detach(),
                "dream/policy_loss": policy_loss.detach(),
                "dream/value_loss": value_loss.detach(),
                "dream/scale": unit * self.scale,
                "dream/actor_grad_norm": actor_norm,
                "dream/critic_grad_norm": critic_norm,
            }
        )
        if dreamt.disagreement is not None:
            figures["dream/disagreement"] = float(dreamt.disagreement.mean())
        check_finite(figures)
        return figures | {"dream/entropy_coef": bonus}

    def _slow_to(self, left: float) -> None:
        """Set the learning rates for what is left of the run."""
        fallen = to_a_tenth(left)
        actor, critic = {"constant": (1.0, 1.0), "linear": (fallen, fallen), "squared": (left**2, fallen)}[
            self.settings.lr_schedule
        ]
        self.actor.lr, self.critic.lr = self.settings.actor_lr * actor, self.settings.critic_lr * critic

    @torch.no_grad()
    def _see(self, starts: Belief) -> None:
        """Take in how beliefs are scaled, for the policy, the value and its slow copy at once."""
        self.controller.observe(starts.z, starts.h)
        for own, fresh in zip(self.slow.buffers(), self.controller.buffers(), strict=True):
            own.copy_(fresh)

    @property
    def _rewards(self) -> float:
        """Usual rewards in one unit: the root of how many a return sums up."""
        return min(1 / max(1 - self.settings.gamma, 1e-9), LONGEST) ** 0.5

    def _unit(self, dreamt: Dream, real: Replayed | None) -> float:
        if not self.unit:
            reward = dreamt.reward if real is None else real.reward[real.valid]
            self.unit = self._rewards * float(reward.square().mean().sqrt()) if reward.numel() else 0.0
        return self.unit or 1.0

    @torch.no_grad()
    def _returns(self, dreamt: Dream, unit: float) -> tuple[Tensor, Tensor, Tensor]:
        """How likely each decision was to be reached at all, its slow value and its return, (H * B,) each."""
        going_on = 1 - dreamt.end
        reached = torch.cat([torch.ones_like(going_on[:1]), going_on.cumprod(0)[:-1]])
        values = self._slow_values(dreamt.z, dreamt.h)
        discount = self.settings.gamma * going_on
        returns = lambda_returns(dreamt.reward / unit, values[1:], discount, self.settings.return_lambda)
        return reached.flatten(), values[:-1].flatten(), returns.flatten()

    def _real_loss(self, real: Replayed, unit: float) -> Tensor:
        """The value's error on returns of what was lived, whoever acted."""
        with torch.no_grad():
            values = self._slow_values(real.z, real.h)
            # A step that is cut off is worth what its state is: what comes before it is bootstrapped there.
            reward = torch.where(real.valid, real.reward / unit, values[:-1])
            discount = self.settings.gamma * (real.valid & ~real.terminated)
            returns = lambda_returns(reward, values[1:], discount, self.settings.return_lambda)
            counts = (real.valid & real.settled).flatten().nonzero().squeeze(-1)
        z, h = (value[:-1].flatten(0, 1)[counts] for value in (real.z, real.h))
        wrong = F.smooth_l1_loss(self.controller.value(z, h), returns.flatten()[counts], reduction="sum")
        return wrong / max(len(counts), 1)

    def _slow_values(self, z: Tensor, h: Tensor) -> Tensor:
        """(T, B) of beliefs (T, B, ...)."""
        return self.slow.value(z.flatten(0, 1), h.flatten(0, 1)).view(z.shape[:2])

    def _range(self, returns: Tensor) -> Tensor:
        """The running range of returns, these taken in."""
        low, high = torch.quantile(returns, torch.tensor(SPREAD, device=returns.device))
        now, before = high - low, self.scale.to(returns.device)
        self.scale = torch.where(before > 0, before + self.settings.scale_rate * (now - before), now)
        return self.scale

    def _step(self, optimizer: FusedAdam, loss: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss.backward()
        norm = optimizer.clip(self.settings.max_grad_norm)
        optimizer.step(norm)
        self.controller.after_update(self.generator)
        return norm

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the slow copy a little towards the controller."""
        torch._foreach_lerp_(list(self.slow.parameters()), list(self.controller.parameters()), self.settings.slow_rate)

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {
            "actor": self.actor.state_dict(),
            "critic": self.critic.state_dict(),
            "slow": dict(self.slow.state_dict()),
            "unit": self.unit,
            "scale": self.scale,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`; learning rates are those of the present settings."""
        self.actor.load_state_dict(state["actor"])
        self.critic.load_state_dict(state["critic"])
        self.slow.load_state_dict(state["slow"])
        self.unit, self.scale = state["unit"], state["scale"]
