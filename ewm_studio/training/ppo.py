"""Proximal Policy Optimization (Schulman et al. 2017) of the controller on cached latents and hidden states."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from ewm_studio.acting.collector import Collector, Rollout
from ewm_studio.models.base import Component, Controller
from ewm_studio.models.randomness import permutation
from ewm_studio.settings import PPOSettings
from ewm_studio.training.adam import FusedAdam
from ewm_studio.training.finite import check_finite
from ewm_studio.training.gae import compute_gae
from ewm_studio.training.reward_scaler import RewardScaler

KL_SLACK = 1.5  # an update ends early at this many times target_kl
FIGURES = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")


@dataclass
class PPOBatch:
    """A rollout flattened to N = T * B samples."""

    z: Tensor  # (N, Z)
    h: Tensor  # (N, H)
    raw: Tensor  # (N, R) raw actions as drawn
    log_prob: Tensor  # (N,) of those very draws
    value: Tensor  # (N,) as estimated while acting
    advantage: Tensor  # (N,)
    returns: Tensor  # (N,)


def scheduled(settings: PPOSettings, left: float) -> PPOSettings:
    """The settings for an update at which the share `left` (1 to 0) of the run is still to come."""
    falling = {
        "lr": settings.lr_schedule,
        "memory_lr": settings.lr_schedule if settings.memory_lr is not None else "",
        "clip_range": settings.clip_schedule,
        "entropy_coef": settings.entropy_schedule,
    }
    return settings.model_copy(
        update={name: getattr(settings, name) * left for name, kind in falling.items() if kind == "linear"}
    )


class PPO:
    """A `Learner` of a controller from rollouts.

    Attributes:
        steps: of the next rollout, in every environment.
        rollout: the last one.
        scaler: of the rewards; None where they are not scaled.
    """

    trains_memory = False  # whether an update changes what the memory makes of the rollout

    def __init__(
        self, controller: Controller, settings: PPOSettings, envs: int, generator: Generator | None = None
    ) -> None:
        """Teach `controller`.

        Args:
            controller: what learns.
            settings: of the whole run.
            envs: environments that a rollout is of.
            generator: draws the minibatches.
        """
        self.controller, self.settings, self.generator = controller, settings, generator
        self.optimizer = FusedAdam(controller, settings.lr, eps=1e-5)
        self.scaler = RewardScaler(envs, settings.gamma) if settings.scale_reward else None
        self.steps = settings.rollout_steps
        self.rollout: Rollout | None = None

    def update(self, experience: Collector, left: float) -> dict[str, float]:
        """Act for a rollout and learn from it; see `Learner`."""
        self.rollout = experience.collect(self.steps)
        batch = self._batch(self.rollout)
        self.controller.train()
        values = self._learn(batch, self.rollout, scheduled(self.settings, left))
        self.controller.eval()
        self.controller.observe(batch.z, batch.h)
        self.controller.value_unit.fill_(self.scaler.deviation if self.scaler else 1.0)
        return values

    def _learn(self, batch: PPOBatch, rollout: Rollout, settings: PPOSettings) -> dict[str, float]:
        """Learn from a rollout, which is `batch` once more, by settings `scheduled` for it."""
        return ppo_update(self.controller, self.optimizer, batch, settings, self.generator)

    def _batch(self, rollout: Rollout) -> PPOBatch:
        buffer, settings = rollout.buffer, self.settings
        reward = self.scaler(buffer.reward, buffer.ended) if self.scaler else buffer.reward
        advantage, returns = compute_gae(
            reward,
            buffer.value,
            rollout.last_value,
            buffer.terminated,
            buffer.truncated,
            buffer.final_value,
            settings.gamma,
            settings.gae_lambda,
        )
        columns = (buffer.z, buffer.h, buffer.raw, buffer.log_prob, buffer.value, advantage, returns)
        return PPOBatch(*(column.flatten(0, 1) for column in columns))

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state() if self.scaler else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler and state["scaler"]:
            self.scaler.restore(state["scaler"])


def ppo_update(
    controller: Controller,
    optimizer: FusedAdam,
    batch: PPOBatch,
    settings: PPOSettings,
    generator: Generator | None = None,
) -> dict[str, float]:
    """Train the controller on one rollout, by settings `scheduled` for it; see `update_by`."""
    samples = batch.z.shape[0]
    # A last minibatch of one sample has no deviation to normalise by: spread the samples evenly instead.
    minibatches = max(1, round(samples / settings.batch_size))
    optimizer.lr = settings.lr

    def one_pass() -> Iterator[tuple[PPOBatch, Tensor]]:
        for index in permutation(samples, generator).to(batch.z.device).tensor_split(minibatches):
            yield batch, index

    return update_by(one_pass, controller, {"grad_norm": (controller, optimizer)}, batch, settings, generator)


def update_by(
    one_pass: Callable[[], Iterator[tuple[PPOBatch, Tensor]]],
    controller: Controller,
    learning: dict[str, tuple[Component, FusedAdam]],
    batch: PPOBatch,
    settings: PPOSettings,
    generator: Generator | None = None,
) -> dict[str, float]:
    """Passes over one rollout; gives the figures people expect of PPO.

    The ratio of the very first minibatch is exactly 1, since log-probabilities are those of the stored draws under
    unchanged weights; `ppo/first_ratio_error` reports how far from it the run is.

    Args:
        one_pass: the minibatches of a pass, each the samples `index` (M,) of a batch, made one after another.
        controller: whose losses they are.
        learning: what learns from them, each by an optimiser of its own, by the name of its gradient's norm.
        batch: the whole rollout.
        settings: `scheduled` for it.
        generator: draws what the after-work of an update draws.

    Raises:
        JobError: a loss is not finite.
    """
    names = (*FIGURES, *learning)
    rows: list[Tensor] = []  # the figures (F,) of every minibatch, looked at once a pass: a look waits for the device
    first_error, stopped = float("nan"), False
    for _ in range(settings.epochs):
        begin = len(rows)
        for some, index in one_pass():
            losses, ratio = ppo_losses(controller, some, index, settings)
            if not rows:
                first_error = float((ratio.detach() - 1).abs().max())
            if settings.target_kl is not None and float(losses["approx_kl"]) > KL_SLACK * settings.target_kl:
                stopped = True
                break
            for _, optimizer in learning.values():
                optimizer.zero_grad()
            losses["total"].backward()
            norms = {name: optimizer.clip(settings.max_grad_norm) for name, (_, optimizer) in learning.items()}
            for name, (component, optimizer) in learning.items():
                optimizer.step(norms[name])
                component.after_update(generator)
            figures = {**losses, **norms}
            rows.append(torch.stack([figures[name].detach() for name in names]))
        _check_rows(names, rows[begin:])
        if stopped:
            break
    means = torch.stack(rows).mean(0).tolist() if rows else []
    return {
        **{f"ppo/{name}": mean for name, mean in zip(names, means, strict=False)},
        "ppo/first_ratio_error": first_error,
        "ppo/updates": float(len(rows)),
        "ppo/explained_variance": explained_variance(batch.value, batch.returns),
        "ppo/lr": settings.lr,
        "ppo/clip_range": settings.clip_range,
        "ppo/entropy_coef": settings.entropy_coef,
    }


def _check_rows(names: tuple[str, ...], rows: list[Tensor]) -> None:
    """Look at the figures of some minibatches in their order: the loss that broke first is the one to name."""
    for row in torch.stack(rows).tolist() if rows else []:
        check_finite({f"ppo/{name}": value for name, value in zip(names, row, strict=True)})


def ppo_losses(
    controller: Controller, batch: PPOBatch, index: Tensor, settings: PPOSettings
) -> tuple[dict[str, Tensor], Tensor]:
    """Losses of one minibatch `index` (M,), and the policy ratios (M,)."""
    z, h = batch.z[index], batch.h[index]
    policy = controller.distribution(z, h)
    log_ratio = policy.log_prob(batch.raw[index]) - batch.log_prob[index]
    ratio = log_ratio.exp()

    advantage = batch.advantage[index]
    if settings.normalize_advantage and advantage.numel() > 1:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    clipped = ratio.clamp(1 - settings.clip_range, 1 + settings.clip_range)
    policy_loss = -torch.min(ratio * advantage, clipped * advantage).mean()

    value, returns = controller.value(z, h), batch.returns[index]
    if settings.clip_range_vf is not None:
        before = batch.value[index]
        near = before + (value - before).clamp(-settings.clip_range_vf, settings.clip_range_vf)
        value_loss = torch.max((value - returns) ** 2, (near - returns) ** 2).mean()
    else:
        value_loss = ((value - returns) ** 2).mean()

    entropy = policy.entropy().mean()
    objective = policy_loss + settings.value_coef * value_loss - settings.entropy_coef * entropy
    with torch.no_grad():
        # The k3 estimator of the KL divergence (Schulman, "Approximating KL divergence"): unbiased, never negative.
        approx_kl = ((ratio - 1) - log_ratio).mean()
        clip_fraction = ((ratio - 1).abs() > settings.clip_range).float().mean()
    return {
        "total": objective,
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "approx_kl": approx_kl,
        "clip_fraction": clip_fraction,
    }, ratio


def explained_variance(value: Tensor, returns: Tensor) -> float:
    """1 - Var[returns - value] / Var[returns]: 1 is perfect, 0 no better than a constant."""
    variance = float(returns.var()) if returns.numel() > 1 else 0.0
    return 1 - float((returns - value).var()) / variance if variance > 1e-12 else math.nan
