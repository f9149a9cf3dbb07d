"""Whether a dream does what it is told: actions read back from it by a probe that knows only real steps."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ewm_studio.analysis.open_loop import Dreamt
from ewm_studio.analysis.windows import Windows
from ewm_studio.models.randomness import normal_like

FEATURES = 512  # random ones, over which the probe is linear
PENALTY = 1e-3  # per step, on the probe's weights


def action_read_back(windows: Windows, dreamt: Dreamt, generator: Generator) -> dict[str, float]:
    """How well actions are read from two latents in a row.

    The probe learns on the real steps of the first two thirds of the windows and reads the last third: there the real
    steps, and those of dreams.

    Returns:
        `real`, `dreamt` of one drawn dream, `expected` of the mean of draws: correlation of the action read with that
        taken, mean over its numbers that vary; `share`: dreamt over real, 1 where a dream shows its actions as plainly
        as the world does. Of a single window NaN.
    """
    cut = windows.count * 2 // 3
    if not cut:
        return dict.fromkeys(("real", "dreamt", "expected", "share"), float("nan"))
    begin = windows.context
    probe = _Probe(windows.z[:-1, :cut], windows.z[1:, :cut], windows.action[:, :cut], generator)
    true = windows.acted[:, cut:]
    real = _correlation(probe.read(windows.z[begin:-1, cut:], windows.future[:, cut:]), true)
    told = {}
    for name, z in (("dreamt", dreamt.z[0]), ("expected", dreamt.mean)):
        before = torch.cat([windows.start[None], z[:-1]])
        told[name] = _correlation(probe.read(before[:, cut:], z[:, cut:]), true)
    return {"real": real, **told, "share": told["dreamt"] / real if real > 0 else float("nan")}


class _Probe:
    """Ridge regression on random features of [z, the change of z], each by its own spread."""

    def __init__(self, z: Tensor, following: Tensor, action: Tensor, generator: Generator) -> None:
        seen = self._joined(z, following)
        self._middle, self._scale = seen.mean(0), seen.std(0).clamp_min(1e-6)
        width = seen.shape[1]
        self._mix = normal_like(seen.new_empty(width, FEATURES), generator) / width**0.5
        self._shift = normal_like(seen.new_empty(FEATURES), generator)
        features = self._features(seen)
        penalty = PENALTY * len(features) * torch.eye(features.shape[1], device=seen.device, dtype=features.dtype)
        taken = action.reshape(-1, action.shape[-1]).to(features.dtype)
        self._weights = torch.linalg.solve(features.T @ features + penalty, features.T @ taken)

    def read(self, z: Tensor, following: Tensor) -> Tensor:
        """The actions (..., A) between latents (..., Z)."""
        told = self._features(self._joined(z, following)) @ self._weights
        return told.view(*z.shape[:-1], -1).float()

    def _joined(self, z: Tensor, following: Tensor) -> Tensor:
        return torch.cat([z, following - z], dim=-1).reshape(-1, 2 * z.shape[-1])

    def _features(self, seen: Tensor) -> Tensor:
        seen = (seen - self._middle) / self._scale
        bent = torch.relu(seen @ self._mix + self._shift)
        return torch.cat([seen, bent, torch.ones_like(seen[:, :1])], dim=1).double()


def _correlation(told: Tensor, true: Tensor) -> float:
    """Pearson's, mean over the numbers of the action that vary; NaN where none does."""
    told, true = told.flatten(0, -2).double(), true.flatten(0, -2).double()
    told, true = told - told.mean(0), true - true.mean(0)
    varies = true.square().mean(0) > 1e-9
    if not varies.any():
        return float("nan")
    along = (told * true).mean(0) / (told.square().mean(0) * true.square().mean(0)).sqrt().clamp_min(1e-12)
    return float(along[varies].mean())
