"""Actions as the memory sees them: one flat float vector, whatever the action space."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ActionEncoding(nn.Module):
    """Environment actions (..., *shape) -> vectors (..., A).

    Discrete and MultiDiscrete become one-hot, MultiBinary stays 0/1, a bounded Box is scaled to -1..1 and an
    unbounded one passes as it is.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, space: gym.Space) -> None:
        super().__init__()
        self.space = space
        self.sizes: list[int] = []
        self.starts: list[int] = []
        if isinstance(space, gym.spaces.Discrete):
            self.sizes, self.starts = [int(space.n)], [int(space.start)]
            self.dim = int(space.n)
        elif isinstance(space, gym.spaces.MultiDiscrete):
            self.sizes = [int(n) for n in space.nvec.reshape(-1)]
            self.starts = [int(s) for s in space.start.reshape(-1)]
            self.dim = sum(self.sizes)
        elif isinstance(space, gym.spaces.MultiBinary):
            self.dim = int(np.prod(space.shape))
        elif isinstance(space, gym.spaces.Box):
            self.dim = int(np.prod(space.shape))
            low, high = space.low.reshape(-1), space.high.reshape(-1)
            bounded = np.isfinite(low) & np.isfinite(high) & (high > low)
            # Not persistent: they follow from the space.
            self.register_buffer(
                "offset",
                torch.tensor(np.where(bounded, (low + high) / 2, 0.0), dtype=torch.float32),
                persistent=False,
            )
            self.register_buffer(
                "scale",
                torch.tensor(np.where(bounded, (high - low) / 2, 1.0), dtype=torch.float32),
                persistent=False,
            )
        else:
            raise TypeError(f"no encoding for action space {space}")

    def forward(self, action: Tensor) -> Tensor:
        """Encode actions (..., *space.shape) as float32 (..., A)."""
        if isinstance(self.space, gym.spaces.Discrete):
            return F.one_hot(action.long() - self.starts[0], self.dim).float()
        lead = action.shape[: action.dim() - len(self.space.shape or ())]
        flat = action.reshape(*lead, -1)
        if isinstance(self.space, gym.spaces.MultiDiscrete):
            parts = [
                F.one_hot(flat[..., i].long() - start, size)
                for i, (size, start) in enumerate(zip(self.sizes, self.starts, strict=True))
            ]
            return torch.cat(parts, dim=-1).float()
        if isinstance(self.space, gym.spaces.MultiBinary):
            return flat.float()
        return (flat.float() - self.offset) / self.scale
