"""What plans are drawn from, and drawn nearer to the best of them: the kinds of the cross-entropy method.

Shapes: P episodes, N plans of each, S steps of a plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import gymnasium as gym
import torch
from torch import Generator, Tensor

from ewm_studio.models.bins import PEDALS_OPPOSED, is_pedals, neutral_values
from ewm_studio.models.distributions import MultiCategorical
from ewm_studio.models.heads import BinaryHead, BoxMap, CategoricalHead, MultiCategoricalBox, discrete_head

CORRELATION = 0.5  # of two successive steps' noise: plans that tremble lead nowhere (Pinneri et al. 2020, iCEM)
LEAST_SPREAD = 0.05  # of a later round, so that it still looks around
BINS = 7  # of each axis of a bounded space, as `BinnedController` has by default: memory has seen such drivers
PEDALS = [-0.6, 0.0, 0.15]  # brake and gas: the faster, the oftener the car spins, which memory does not foresee
HELD = 0.8  # odds that a decision of a plan repeats the one before, where actions are cut into bins
SHARE = 0.9  # of the best plans in what the next round is drawn from


class Proposal(ABC):
    """A distribution over plans of S steps for each of P episodes."""

    @abstractmethod
    def begin(self, episodes: int, device: torch.device) -> None:
        """Nothing is known of any of so many episodes."""

    @abstractmethod
    def restart(self, chosen: Tensor) -> None:
        """Nothing is known of the episodes chosen (P,)."""

    @abstractmethod
    def widen(self) -> None:
        """Look around once more, about what was best so far: before the first round."""

    @abstractmethod
    def draw(self, count: int, generator: Generator | None) -> Tensor:
        """Plans (P, N, S, R), the likeliest first."""

    @abstractmethod
    def narrow(self, best: Tensor) -> None:
        """Take in the best plans (P, K, S, R) of a round."""

    @abstractmethod
    def shift(self, best: Tensor) -> None:
        """A step was taken: the best plan (P, S, R) goes on a step later, and repeats its last one."""

    @abstractmethod
    def to_env(self, raw: Tensor) -> Tensor:
        """The environment's actions (B, ...) for one step (B, R) of plans."""


def proposal_for(space: gym.Space, steps: int, spread: float) -> Proposal:
    """What plans in this action space are drawn from.

    Raises:
        UserError: there is nothing for it.
    """
    if isinstance(space, gym.spaces.Box):
        opposed = PEDALS_OPPOSED if is_pedals(space) else None
        box = BoxMap(space, opposed)
        if not box.bounded:
            return BoxProposal(box, steps, spread)
        values = neutral_values(space, BINS, opposed)
        if opposed is not None:
            values[opposed[0]] = PEDALS
        return BinProposal(MultiCategoricalBox(box, values=values), steps, spread)
    head = discrete_head(space)
    assert isinstance(head, CategoricalHead | BinaryHead)
    return ChoiceProposal(head, steps, spread)


class BoxProposal(Proposal):
    """A space without bounds: a Gaussian about a mean plan; its noise is alike from step to step."""

    def __init__(self, box: BoxMap, steps: int, spread: float) -> None:
        self.box, self.steps, self.spread = box, steps, spread

    def begin(self, episodes: int, device: torch.device) -> None:
        """In the middle, with nothing known."""
        self.box.to(device)
        self.mean = torch.zeros(episodes, self.steps, self.box.axes, device=device)
        self.neutral = self.box.inverse(torch.zeros(1, *self.box.shape, device=device))[0]
        self.mean += self.neutral
        self.std = torch.full_like(self.mean, self.spread)

    def restart(self, chosen: Tensor) -> None:
        """Back to doing nothing."""
        self.mean = torch.where(chosen[:, None, None], self.neutral, self.mean)

    def widen(self) -> None:
        """The first round's spread."""
        self.std = torch.full_like(self.std, self.spread)

    def draw(self, count: int, generator: Generator | None) -> Tensor:
        """Plans (P, N, S, axes), the mean first."""
        shape = (len(self.mean), count, self.steps, self.box.axes)
        noise = torch.empty(shape, device=self.mean.device).normal_(generator=generator)
        for t in range(1, self.steps):
            noise[:, :, t] = CORRELATION * noise[:, :, t - 1] + (1 - CORRELATION**2) ** 0.5 * noise[:, :, t]
        noise[:, 0] = 0.0
        return self.mean[:, None] + self.std[:, None] * noise

    def narrow(self, best: Tensor) -> None:
        """Mean and deviation of the best plans."""
        self.mean = SHARE * best.mean(1) + (1 - SHARE) * self.mean
        self.std = (SHARE * best.std(1, correction=0) + (1 - SHARE) * self.std).clamp_min(LEAST_SPREAD)

    def shift(self, best: Tensor) -> None:
        """About the best plan, a step later."""
        self.mean = torch.cat([best[:, 1:], best[:, -1:]], 1)

    def to_env(self, raw: Tensor) -> Tensor:
        """Axes (B, axes) -> actions (B, *shape)."""
        return self.box(raw)


class ChoiceProposal(Proposal):
    """Every choice of every step by itself: a table of probabilities."""

    def __init__(self, head: CategoricalHead | BinaryHead, steps: int, spread: float) -> None:
        self.head, self.steps, self.even = head, steps, spread

    def begin(self, episodes: int, device: torch.device) -> None:
        """All choices are as likely."""
        self.head.to(device)
        if isinstance(self.head, CategoricalHead):
            logits = self.head.logits(torch.zeros(1, self.head.outputs, device=device))
        else:
            logits = torch.zeros(1, self.head.outputs, 2, device=device)
        self.evenly = logits.softmax(-1)  # (1, K, choices)
        self.table = self.evenly.expand(episodes, self.steps, -1, -1).clone()

    def restart(self, chosen: Tensor) -> None:
        """All choices are as likely again."""
        self.table = torch.where(chosen[:, None, None, None], self.evenly, self.table)

    def widen(self) -> None:
        """A share of all choices is even."""
        self.table = self.even * self.evenly + (1 - self.even) * self.table

    def draw(self, count: int, generator: Generator | None) -> Tensor:
        """Plans (P, N, S, K), the likeliest first."""
        policy = MultiCategorical(self.table.log()[:, None].expand(-1, count, -1, -1, -1).flatten(0, 2), self.to_env)
        plans = policy.sample(generator).view(len(self.table), count, self.steps, -1)
        plans[:, 0] = self.table.argmax(-1)
        return plans

    def narrow(self, best: Tensor) -> None:
        """How often each choice was made in the best plans."""
        made = torch.nn.functional.one_hot(best, self.table.shape[-1]).float().mean(1)
        self.table = SHARE * made + (1 - SHARE) * self.table

    def shift(self, best: Tensor) -> None:
        """The best plan's choices, a step later."""
        later = torch.cat([best[:, 1:], best[:, -1:]], 1)
        self.table = torch.nn.functional.one_hot(later, self.table.shape[-1]).float()

    def to_env(self, raw: Tensor) -> Tensor:
        """Indices (B, K) -> actions (B, *shape)."""
        return self.head.to_env(raw)


class BinProposal(ChoiceProposal):
    """A bounded space in bins, as controllers act in it: one choice a step and axis, most of them held for some steps.

    Plans of any values in any order are such as no memory has seen, and the best of them are its errors.
    """

    def __init__(self, bins: MultiCategoricalBox, steps: int, spread: float) -> None:
        super().__init__(bins.choice, steps, spread)
        self.bins = bins

    def begin(self, episodes: int, device: torch.device) -> None:
        """All bins are as likely."""
        self.bins.to(device)
        super().begin(episodes, device)

    def draw(self, count: int, generator: Generator | None) -> Tensor:
        """Plans (P, N, S, K), the likeliest first; of the others each step repeats the one before by chance."""
        plans = super().draw(count, generator)
        held = torch.empty(plans.shape[:3], device=plans.device).uniform_(generator=generator) < HELD
        held[:, 0] = False
        for t in range(1, self.steps):
            plans[:, :, t] = torch.where(held[:, :, t, None], plans[:, :, t - 1], plans[:, :, t])
        return plans

    def to_env(self, raw: Tensor) -> Tensor:
        """Indices (B, K) -> actions (B, *shape)."""
        return self.bins.to_env(raw)
