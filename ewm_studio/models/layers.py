"""Layers that several components share: pictures in, pictures out, and a small transformer block."""

from __future__ import annotations

import math

import gymnasium as gym
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ewm_studio.errors import UserError

SMALLEST_SIDE = 8  # pixels; below this there is nothing left to convolve


def picture_shape(space: gym.spaces.Box, who: str) -> tuple[int, int, int]:
    """Channels, height and width of a picture space (C, H, W).

    Raises:
        UserError: the space holds no pictures, or pictures that are too small; `who` names the component.
    """
    shape = space.shape
    if len(shape) != 3:
        raise UserError(f"{who} observes pictures of shape (channels, height, width), not {shape}; use Identity")
    channels, height, width = shape
    if min(height, width) < SMALLEST_SIDE:
        raise UserError(
            f"{who} needs pictures of at least {SMALLEST_SIDE} pixels a side, not {height} x {width}; "
            "raise env.image_size or crop less"
        )
    return channels, height, width


def to_unit(obs: Tensor) -> Tensor:
    """Pictures (B, C, H, W) as float32 in 0 to 1, channels last in memory, which convolves faster.

    uint8 is divided by 255; floating pictures (what `decode` gives) are taken to be in 0 to 1 already.
    """
    pictures = obs.float() if obs.is_floating_point() else obs.float() / 255
    return pictures.contiguous(memory_format=torch.channels_last)


def pad_to_multiple(pictures: Tensor, multiple: int) -> Tensor:
    """Pictures (B, C, H, W) with the last row and column repeated until both sides divide by `multiple`."""
    height, width = pictures.shape[-2:]
    below, right = -height % multiple, -width % multiple
    if not below and not right:
        return pictures
    return F.pad(pictures, (0, right, 0, below), mode="replicate")


def halvings(side: int, grid: int) -> int:
    """How often `side` pixels are halved to come to a grid of `grid` cells or a little more."""
    return max(0, int(math.log2(side / grid)))


def squared_error(reconstruction: Tensor, pictures: Tensor) -> Tensor:
    """Squared error (B,), summed over all pixels and channels.

    Summed, not averaged: an average would let every other term of a loss win and the picture go blank.
    """
    return (reconstruction - pictures).square().flatten(1).sum(1)


class ResidualBlock(nn.Module):
    """x + conv1x1(relu(conv3x3(relu(x)))), as in VQ-VAE (van den Oord et al. 2017)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, hidden, 3, padding=1)
        self.merge = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Feature map (B, C, H, W) to one of the same shape."""
        return x + self.merge(F.relu(self.spread(F.relu(x))))


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and MLP over a set of tokens, without mask or dropout."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, D) to tokens (B, N, D)."""
        b, n, d = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(b, n, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D / heads)
        attended = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(attended.transpose(1, 2).reshape(b, n, d))
        return x + self.mlp(self.norm_mlp(x))


def grid_positions(rows: int, columns: int, dim: int) -> Tensor:
    """Fixed sine and cosine positions (rows * columns, dim): half the features for the row, half for the column."""
    quarter = dim // 4
    frequency = 10_000 ** -(torch.arange(quarter, dtype=torch.float32) / quarter)

    def code(count: int) -> Tensor:
        angle = torch.arange(count, dtype=torch.float32)[:, None] * frequency
        return torch.cat([angle.sin(), angle.cos()], dim=1)  # (count, dim / 2)

    row, column = code(rows), code(columns)
    grid = torch.cat([row[:, None].expand(-1, columns, -1), column[None].expand(rows, -1, -1)], dim=-1)
    return grid.reshape(rows * columns, 4 * quarter)
