"""Whether left and right turn a dream left and right, told from the pictures alone.

Who turns left sees what lies ahead move to the right. How far it moves from one picture to the next is the shift at
which the upper part of both agrees best; over a few steps these add up. The same is done with reality's pictures, which
tells what the measure itself is worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ewm_studio.analysis.action_response import Fork, dream_held
from ewm_studio.dreams.trust import decoded, shows_pictures
from ewm_studio.models.world_model import WorldModel

AHEAD = 0.5  # share of a picture's rows, from the top, that lie ahead
FARTHEST = 0.15  # of its width, that the scene may move in one step
COUNTED = 6  # decisions; later the road that was ahead is gone
LEAST = 1e-4  # squared difference by which a shift has to be better than none


def turning(
    world: WorldModel, forks: Sequence[Fork], left: tuple[str, Any], right: tuple[str, Any], generator: Generator
) -> dict[str, Any] | None:
    """How often the dream turns the way it is steered, held left and held right from the same moments.

    Args:
        world: V and M.
        forks: moments, and what reality did under each action, by name.
        left: the action's name in the forks, and the action.
        right: likewise.
        generator: draws the dreams, one of each.

    Returns:
        `starts`; `dream` and `real`: in how many of them the scene moved further to the right under left than under
        right; `ties`: where both moved alike in the dream; `p`: of a sign test on the dream; `pixels`: mean difference
        between the two, of the dream and of reality. None where vision makes no pictures.
    """
    if not shows_pictures(world.vision) or not forks:
        return None
    dreamt, real = list[float](), list[float]()
    for fork in forks:
        moved = {}
        for name, action in (left, right):
            seed = generator.get_state()
            z = dream_held(world, fork, action, generator, draws=1)[:, 0]
            if name == left[0]:
                generator.set_state(seed)  # both draw alike
            begun = world.vision.encode(torch.from_numpy(fork.before[-1:]).to(world.device))
            shown = decoded(world.vision, torch.cat([begun, z]))
            moved[name] = shift(shown), shift(_seen(fork, name))
        dreamt.append(moved[left[0]][0] - moved[right[0]][0])
        real.append(moved[left[0]][1] - moved[right[0]][1])
    right_way = sum(value > 0 for value in dreamt)
    ties = sum(value == 0 for value in dreamt)
    return {
        "starts": len(dreamt),
        "dream": right_way,
        "real": sum(value > 0 for value in real),
        "ties": ties,
        "p": sign_test(right_way, len(dreamt) - ties),
        "pixels": {"dream": float(np.mean(dreamt)), "real": float(np.mean(real))},
    }


def shift(pictures: Tensor) -> float:
    """By how many pixels, to the right, what lies ahead moves through pictures (T, C, H, W) in 0 to 1."""
    ahead = pictures[: COUNTED + 1, :, : max(1, round(pictures.shape[2] * AHEAD))].float()
    return float(sum(_moved(one, other) for one, other in pairwise(ahead)))


def sign_test(ways: int, of: int) -> float:
    """The chance, by coin tosses, of so many or more of one side, or of the other."""
    if not of:
        return 1.0
    tail = sum(math.comb(of, k) for k in range(max(ways, of - ways), of + 1)) / 2**of
    return min(1.0, 2 * tail)


def _moved(one: Tensor, other: Tensor) -> int:
    """The shift to the right by which picture `one` (C, H, W) agrees best with `other`; 0 unless one is better."""
    width = one.shape[2]
    most = max(1, round(width * FARTHEST))
    wrong = {by: _difference(one, other, by, width) for by in range(-most, most + 1)}
    best = min(wrong, key=lambda by: (wrong[by], abs(by)))
    return best if wrong[best] < wrong[0] - LEAST else 0


def _difference(one: Tensor, other: Tensor, by: int, width: int) -> float:
    kept = slice(max(0, -by), width - max(0, by))
    moved = slice(max(0, by), width - max(0, -by))
    return float((one[:, :, kept] - other[:, :, moved]).square().mean())


def _seen(fork: Fork, name: str) -> Tensor:
    """Reality's pictures (T + 1, C, H, W) from the fork on, in 0 to 1."""
    frames: NDArray = np.concatenate([fork.before[-1:], fork.after[name]])
    return torch.from_numpy(frames).float() / 255
