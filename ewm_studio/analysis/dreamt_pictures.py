"""Dreamt pictures beside real ones: figures, and strips to look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ewm_studio.analysis.action_response import Fork, dream_held
from ewm_studio.analysis.open_loop import Dreamt
from ewm_studio.analysis.windows import Windows
from ewm_studio.dreams.trust import decoded
from ewm_studio.models.pictures import to_pictures
from ewm_studio.models.randomness import make_generator
from ewm_studio.models.world_model import WorldModel

PICTURES = 128  # windows whose pictures are compared
SHOWN = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # decisions of a strip
EDGE = 2  # pixels between two bands
ENLARGED = 128  # pixels a picture has at least, where it is made larger by whole numbers
Read = Callable[[NDArray], NDArray]


@torch.no_grad()
def picture_figures(
    world: WorldModel, windows: Windows, dreamt: Dreamt, others: dict[str, Tensor], read: Read, horizons: list[int]
) -> dict[str, Any]:
    """PSNR of dreamt pictures in decibels, beside what they are compared with and V's own reconstruction; sharpness.

    `persistence` is the real picture that stays; all others are decoded. `best_of_draws` takes of every window the draw
    whose picture is nearest. `sharpness` is the gradient energy of the dreamt picture over that of the real one.
    """
    chosen = np.linspace(0, windows.count - 1, min(PICTURES, windows.count)).round().astype(int)
    at = torch.from_numpy(chosen)
    now = _pictures(read(windows.frames[windows.context, chosen]))
    guesses = {"mean_of_draws": dreamt.mean, "vision": windows.future}
    guesses |= {name: z for name, z in others.items() if name != "persistence"}
    psnr: dict[str, list[float]] = {
        name: [] for name in ("mean_of_draws", "draw", "best_of_draws", "vision", "persistence", *others)
    }
    sharpness: list[float] = []
    for k in horizons:
        real = _pictures(read(windows.frames[windows.context + k, chosen]))
        for name, z in guesses.items():
            psnr[name].append(_psnr(_error(decoded(world.vision, z[k - 1, at]).cpu(), real)))
        draws = decoded(world.vision, dreamt.z[:, k - 1, at]).cpu()
        wrong = torch.stack([_error(seen, real) for seen in draws])
        psnr["draw"].append(_psnr(wrong))
        psnr["best_of_draws"].append(_psnr(wrong.amin(0)))
        psnr["persistence"].append(_psnr(_error(now, real)))
        sharpness.append(_gradient_energy(draws[0]) / max(_gradient_energy(real), 1e-12))
    return {"psnr": psnr, "sharpness": sharpness}


@torch.no_grad()
def strip(world: WorldModel, windows: Windows, dreamt: Dreamt, read: Read) -> NDArray[np.uint8]:
    """Reality, one drawn dream and the expected one, below each other (H, W, 3), of a window dreamt as well as most.

    It is the window whose error, over all its steps, is the median of all.
    """
    wrong = (dreamt.z[0] - windows.future).square().sum(-1).mean(0)
    which = int(wrong.argsort()[len(wrong) // 2])
    steps = [k for k in SHOWN if k <= windows.horizon]
    at = torch.tensor(steps) - 1
    real = to_pictures(torch.from_numpy(np.array(read(windows.frames[windows.context + np.array(steps), which]))))
    drawn, expected = (
        to_pictures(decoded(world.vision, z[at.to(z.device), which])) for z in (dreamt.z[0], dreamt.mean)
    )
    return bands([real, drawn, expected])


@torch.no_grad()
def side_by_side(world: WorldModel, fork: Fork, actions: dict[str, Any], seed: int) -> NDArray[np.uint8]:
    """Each action held from one state: reality above one drawn dream, action below action (H, W, 3)."""
    rows: list[NDArray] = []
    for name, action in actions.items():
        z = dream_held(world, fork, action, make_generator(seed, world.device), draws=1)[:, 0]
        rows += [to_pictures(torch.from_numpy(np.array(fork.after[name]))), to_pictures(decoded(world.vision, z))]
    return bands(rows, together=2)


def bands(rows: Sequence[NDArray], together: int = 1) -> NDArray[np.uint8]:
    """Rows of pictures (N, H, W, C) below each other, with an edge after every `together` of them."""
    height = rows[0].shape[1]
    times = max(1, ENLARGED // height)
    lines = []
    for number, pictures in enumerate(rows):
        line = np.concatenate(list(np.broadcast_to(pictures, (*pictures.shape[:3], 3))), axis=1)
        lines.append(line.repeat(times, 0).repeat(times, 1))
        if (number + 1) % together == 0 and number + 1 < len(rows):
            lines.append(np.full((EDGE * times, line.shape[1] * times, 3), 128, np.uint8))
    return np.concatenate(lines, axis=0)


def _pictures(frames: NDArray) -> Tensor:
    """Frames (N, C, H, W) as numbers from 0 to 1."""
    pictures = torch.from_numpy(np.array(frames))
    return pictures.float() / 255 if pictures.dtype == torch.uint8 else pictures.float()


def _error(seen: Tensor, real: Tensor) -> Tensor:
    """Squared error (N,) of pictures (N, C, H, W)."""
    return (seen - real).square().mean((1, 2, 3))


def _psnr(wrong: Tensor) -> float:
    return -10 * math.log10(max(float(wrong.mean()), 1e-10))


def _gradient_energy(pictures: Tensor) -> float:
    return float(pictures.diff(dim=-1).square().mean() + pictures.diff(dim=-2).square().mean())
