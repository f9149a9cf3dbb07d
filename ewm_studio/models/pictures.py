"""Tensors as pictures that people look at."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ewm_studio.models.base import Tag, VisionModel


def to_pictures(obs: Tensor) -> np.ndarray:
    """Pictures (B, C, H, W), uint8 or float in 0 to 1 -> uint8 (B, H, W, C) on the CPU; the first three of four."""
    if obs.dtype != torch.uint8:
        obs = (obs.clamp(0, 1) * 255).round().to(torch.uint8)
    return obs[:, :3].permute(0, 2, 3, 1).contiguous().cpu().numpy()


@torch.no_grad()
def reconstructions(vision: VisionModel, obs: Tensor) -> dict[str, np.ndarray]:
    """Pictures (N, C, H, W) as `original` and, where vision reconstructs, `reconstruction`: uint8 (N, H, W, C).

    They may come from anywhere: rings of frames and recordings lie on the CPU.
    """
    pictures = {"original": to_pictures(obs)}
    if Tag.RECONSTRUCTS in vision.tags:
        pictures["reconstruction"] = to_pictures(vision.decode(vision.encode(obs.to(vision.device))))
    return pictures
