"""How far a memory can be trusted as a world: figures on held-out experience, for `assess` and for cards."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ewm_studio.analysis import open_loop, trust
from ewm_studio.analysis.open_loop import HORIZONS, Dreamt
from ewm_studio.analysis.windows import Windows
from ewm_studio.models.base import MemoryModel, Tag
from ewm_studio.models.randomness import permutation
from ewm_studio.models.world_model import WorldModel

LONG = 1000  # decisions that a dream goes on for, to see whether it stays where latents are
PICTURES = 128  # windows whose pictures are compared
CALIBRATION_BINS = 10


def assess_memory(
    world: WorldModel,
    untrained: MemoryModel,
    windows: Windows,
    read: Callable[[NDArray], NDArray],
    generator: Generator,
) -> dict[str, Any]:
    """All figures that need no environment.

    Args:
        world: V and M.
        untrained: the same memory with fresh weights.
        windows: stretches that nothing was trained on.
        read: observations by number in the store.
        generator: draws the dreams.

    Returns:
        Plain values; errors by what was guessed are lists, one number for each of `horizons`.
    """
    memory = world.memory
    dreamt = open_loop.dream(memory, windows, generator=generator)
    errors = open_loop.latent_errors(memory, untrained, windows, dreamt, generator)
    horizons = [k for k in HORIZONS if k <= windows.horizon]
    found: dict[str, Any] = {
        "windows": windows.count,
        "context": windows.context,
        "horizons": horizons,
        "z_error": {name: _at(values, horizons) for name, values in errors.items()},
        "usable_horizon": open_loop.usable_horizon(errors),
        "return_correlation": open_loop.return_correlations(windows, dreamt),
        "action_ratio": action_ratio(memory, windows, generator),
        "end": end_figures(windows, dreamt),
        "stays_in_range": stays_in_range(memory, windows, generator),
        "trust": trust_figures(world, windows, dreamt),
        "milliseconds": milliseconds(memory, windows),
    }
    if Tag.RECONSTRUCTS in world.vision.tags and len(world.observation_space.shape) == 3:
        found |= picture_figures(world, windows, dreamt, read, horizons)
    return found


@torch.no_grad()
def action_ratio(memory: MemoryModel, windows: Windows, generator: Generator) -> float:
    """One-step error under the actions of other windows over that under the true ones: 1 where M ignores actions."""
    order = permutation(windows.count, generator).to(windows.z.device)
    wrong = []
    for action in (windows.action[:, order], windows.action):
        started = torch.zeros(action.shape[:2], dtype=torch.bool, device=action.device)
        h, _ = memory.sequence(windows.z[:-1], action, started, memory.initial_state(windows.count))
        wrong.append(float((memory.predict(h).mean - windows.z[1:])[windows.context // 2 :].square().mean()))
    return wrong[0] / max(wrong[1], 1e-12)


def end_figures(windows: Windows, dreamt: Dreamt) -> dict[str, float]:
    """How well ends are foretold: chance that one which came is told from one which did not, and calibration.

    `calibration` is the mean difference between told and true shares of ends, over bins of what was told.
    """
    happened = windows.terminated[windows.context :].flatten().cpu().numpy()
    told = dreamt.end.mean(0).flatten().float().cpu().numpy()
    bins = np.minimum((told * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    apart = sum(abs(told[bins == i].mean() - happened[bins == i].mean()) * (bins == i).mean() for i in np.unique(bins))
    return {"auc": open_loop.auc(told, happened), "calibration": float(apart), "ends": int(happened.sum())}


@torch.no_grad()
def stays_in_range(memory: MemoryModel, windows: Windows, generator: Generator) -> float:
    """Share of some dreams of `LONG` decisions that never go further beyond the latents seen than these range."""
    count = min(16, windows.count)
    z, state = windows.start[:count], memory.initial_state(count)
    seen = windows.z.flatten(0, 1)
    low, high = seen.amin(0), seen.amax(0)
    room = (high - low).clamp_min(1e-9)
    inside = torch.ones(count, dtype=torch.bool, device=z.device)
    for step in range(LONG):
        following = memory.imagine(z, windows.acted[step % windows.horizon, :count], state, 1.0, generator)
        z, state = following.z, following.state
        inside &= ((z >= low - room) & (z <= high + room)).all(-1)
    return float(inside.float().mean())


def trust_figures(world: WorldModel, windows: Windows, dreamt: Dreamt) -> dict[str, float]:
    """How well the trust meter tells the true error, by rank correlation over all steps; each sign by itself too."""
    wrong = (dreamt.z[0] - windows.future).square().sum(-1).cpu().numpy()
    signs = trust.readings(world.vision, dreamt.z)
    told = {"meter": trust.meter(signs), **signs}
    return {name: open_loop.rank_correlation(value.ravel(), wrong.ravel()) for name, value in told.items()}


@torch.no_grad()
def milliseconds(memory: MemoryModel, windows: Windows) -> float:
    """Milliseconds of one imagined decision, one dream alone; the median of a hundred."""
    z, state, took = windows.start[:1], memory.initial_state(1), []
    for step in range(100):
        began = time.perf_counter()
        following = memory.imagine(z, windows.acted[step % windows.horizon, :1], state)
        z, state = following.z, following.state
        took.append(time.perf_counter() - began)
    return 1000 * float(np.median(took))


@torch.no_grad()
def picture_figures(
    world: WorldModel, windows: Windows, dreamt: Dreamt, read: Callable[[NDArray], NDArray], horizons: list[int]
) -> dict[str, Any]:
    """PSNR of dreamt pictures in decibels, beside the frame that stays and V's own reconstruction; and sharpness.

    `sharpness` is the gradient energy of the dreamt picture over that of the real one.
    """
    chosen = np.linspace(0, windows.count - 1, min(PICTURES, windows.count)).round().astype(int)
    at = torch.from_numpy(chosen)
    now = _pictures(read(windows.frames[windows.context, chosen]))
    guesses = {"mean_of_draws": dreamt.mean, "draw": dreamt.z[0], "vision": windows.future}
    psnr: dict[str, list[float]] = {name: [] for name in (*guesses, "persistence")}
    sharpness: list[float] = []
    for k in horizons:
        real = _pictures(read(windows.frames[windows.context + k, chosen]))
        for name, z in guesses.items():
            seen = world.vision.decode(z[k - 1, at]).float().cpu()
            psnr[name].append(_psnr(seen, real))
            if name == "draw":
                sharpness.append(_gradient_energy(seen) / max(_gradient_energy(real), 1e-12))
        psnr["persistence"].append(_psnr(now, real))
    return {"psnr": psnr, "sharpness": sharpness}


def _pictures(frames: NDArray) -> Tensor:
    """Frames (N, C, H, W) as numbers from 0 to 1."""
    pictures = torch.from_numpy(np.array(frames))
    return pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures.float()


def _psnr(seen: Tensor, real: Tensor) -> float:
    return -10 * math.log10(max(float((seen - real).square().mean()), 1e-10))


def _gradient_energy(pictures: Tensor) -> float:
    return float(pictures.diff(dim=-1).square().mean() + pictures.diff(dim=-2).square().mean())


def _at(values: np.ndarray, horizons: list[int]) -> list[float]:
    return [float(values[k - 1]) for k in horizons]
