"""How fast pictures change from step to step: for a car, its speed and the curvature of the road together."""

from __future__ import annotations

import torch
from torch import Tensor

EDGES = torch.tensor([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0])  # grey levels of 0 to 255; each level is twice the last
LEVELS = len(EDGES) + 1
STRIDE = 2  # every second pixel of every second row tells enough


def motion_levels(frames: Tensor, is_first: Tensor) -> Tensor:
    """The level uint8 (T, B), 0 to `LEVELS` - 1, of the mean change of each picture since the one before.

    An episode's first picture counts like its second; one that has neither before nor after counts as still.

    Args:
        frames: uint8 (T, B, C, H, W).
        is_first: (T, B) bool; this picture is the first of an episode.
    """
    seen = frames[..., ::STRIDE, ::STRIDE].to(torch.int16)
    change = (seen[1:] - seen[:-1]).abs().flatten(2).float().mean(2)  # (T - 1, B)
    still = change.new_zeros(1, frames.shape[1])
    before, after = torch.cat([still, change]), torch.cat([change, still])
    is_first = is_first.clone()
    is_first[0] = True  # what came before is not here
    follows = torch.cat([~is_first[1:], is_first.new_zeros(1, is_first.shape[1])])
    motion = torch.where(is_first, torch.where(follows, after, 0.0), before)
    return torch.bucketize(motion, EDGES).to(torch.uint8)
