"""How far a memory's dreams keep to what came, beside guesses that need no memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.analysis.windows import Windows
from ewm_studio.models.base import MemoryModel
from ewm_studio.models.imagining import imagined, in_draws
from ewm_studio.models.randomness import permutation

HORIZONS = (1, 4, 16, 64)  # steps after which errors are told
DRAWS = 16
RETURNS = (8, 16, 32)  # steps over which returns are compared


@dataclass(frozen=True)
class Dreamt:
    """D draws of every window: z (D, K, N, Z), expected reward and probability of the end (D, K, N)."""

    z: Tensor
    reward: Tensor
    end: Tensor

    @property
    def mean(self) -> Tensor:
        """The mean of the draws (K, N, Z)."""
        return self.z.mean(0)


@torch.no_grad()
def dream(
    memory: MemoryModel,
    windows: Windows,
    draws: int = DRAWS,
    temperature: float = 1.0,
    action: Tensor | None = None,
    generator: Generator | None = None,
) -> Dreamt:
    """Let a memory dream on from every window's context, under the recorded actions or under others (K, N, A)."""
    memory.eval()
    context, count = windows.context, windows.count
    started = torch.zeros(context, count, dtype=torch.bool, device=windows.z.device)
    state = memory.initial_state(count)
    if context:
        _, state = memory.sequence(windows.z[:context], windows.action[:context], started, state)
    taken = (one.repeat(draws, 1) for one in (windows.acted if action is None else action))
    dreamt = imagined(memory, windows.start.repeat(draws, 1), in_draws(state, draws), taken, temperature, generator)
    steps = [(following.z, following.reward, following.end) for following in dreamt]
    zs, rewards, ends = (
        torch.stack(part).unflatten(1, (draws, count)).transpose(0, 1) for part in zip(*steps, strict=True)
    )
    return Dreamt(zs, rewards, ends)


def guesses(windows: Windows) -> dict[str, Tensor]:
    """What needs no memory (K, N, Z): the latent stays, its last change goes on, the mean latent."""
    steps = torch.arange(1, windows.horizon + 1, device=windows.z.device)[:, None, None]
    change = windows.start - windows.z[max(windows.context - 1, 0)]
    return {
        "persistence": windows.start.expand_as(windows.future),
        "last_motion": windows.start + steps * change,
        "mean_latent": windows.mean.expand_as(windows.future),
    }


def error(z: Tensor, windows: Windows) -> np.ndarray:
    """Squared error (K,) of latents (..., K, N, Z), as a share of the latents' variance."""
    wrong = (z - windows.future).square().sum(-1) / windows.variance
    return wrong.mean(-1).flatten(0, -2).mean(0).cpu().numpy() if wrong.dim() > 2 else wrong.mean(-1).cpu().numpy()


def beside(
    memory: MemoryModel, untrained: MemoryModel, windows: Windows, draws: int, generator: Generator
) -> dict[str, Tensor]:
    """What dreams are compared with (K, N, Z): `guesses`, an untrained memory, the actions of other windows."""
    order = permutation(windows.count, generator).to(windows.z.device)
    shuffled = dream(memory, windows, draws, action=windows.acted[:, order], generator=generator)
    return {
        "shuffled_actions": shuffled.mean,
        "untrained": dream(untrained, windows, 1, 0.0).mean,
        **guesses(windows),
    }


def latent_errors(windows: Windows, dreamt: Dreamt, others: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Error (K,) by what was guessed: the mean of draws, one draw, the best of the draws, and what to beat."""
    wrong = (dreamt.z - windows.future).square().sum(-1) / windows.variance  # (D, K, N)
    return {
        "mean_of_draws": error(dreamt.mean, windows),
        "draw": wrong.mean((0, 2)).cpu().numpy(),
        "best_of_draws": wrong.amin(0).mean(-1).cpu().numpy(),
        **{name: error(z, windows) for name, z in others.items()},
    }


def usable_horizon(errors: dict[str, np.ndarray]) -> int:
    """Steps until which the mean of draws is nearer to what came than the mean latent."""
    worse = np.flatnonzero(errors["mean_of_draws"] >= errors["mean_latent"])
    return int(worse[0]) if len(worse) else len(errors["mean_of_draws"])


def return_correlations(windows: Windows, dreamt: Dreamt) -> dict[int, float]:
    """Correlation of dreamt with true returns, by their steps; NaN where one of them does not vary."""
    true, guessed = windows.reward[windows.context :], dreamt.reward.mean(0)
    return {steps: _correlation(guessed[:steps].sum(0), true[:steps].sum(0)) for steps in RETURNS if steps <= len(true)}


def auc(score: np.ndarray, happened: np.ndarray) -> float:
    """Chance that of two cases the one that happened has the higher score; NaN where all or none happened."""
    positive = int(happened.sum())
    negative = len(happened) - positive
    if not positive or not negative:
        return float("nan")
    return float((ranks(score)[happened].sum() - positive * (positive - 1) / 2) / (positive * negative))


def ranks(values: np.ndarray) -> np.ndarray:
    """The place (N,) of each of N values in their order, from 0; equal ones share their mean place."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    return (first + (counts - 1) / 2)[inverse]


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation of two rows (N,)."""
    return _correlation(torch.from_numpy(ranks(a)), torch.from_numpy(ranks(b)))


def _correlation(a: Tensor, b: Tensor) -> float:
    if len(a) < 2 or a.std() < 1e-9 or b.std() < 1e-9:
        return float("nan")
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])
