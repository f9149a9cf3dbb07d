"""How far a dream can be trusted, told without knowing what comes.

Two signs, each in units of the dream's own motion: what is lost on the way through decoder and encoder and back, since
latents that no picture has are not on the manifold; and how far several draws under the same actions have parted.
After nicklashansen/mmbench2 (2026).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ewm_studio.models.base import Tag, VisionModel

FIRST = 4  # steps whose readings are the measure of the later ones
DECODED_AT_ONCE = 256


@torch.no_grad()
def readings(vision: VisionModel, z: Tensor) -> dict[str, np.ndarray]:
    """The signs (K, N) of dreams z (D, K, N, Z): `spread` over the D draws, and `round_trip` where vision decodes."""
    motion = (z[:, 1:] - z[:, :-1]).norm(dim=-1).mean(0)  # (K - 1, N)
    motion = torch.cat([motion[:1], motion]).clamp_min(1e-9)
    usual = motion.median()
    signs = {"spread": (z - z.mean(0)).norm(dim=-1).mean(0) / usual}
    if Tag.RECONSTRUCTS in vision.tags and len(vision.observation_space.shape) == 3:
        signs["round_trip"] = round_trip(vision, z[0]) / usual
    return {name: sign.cpu().numpy() for name, sign in signs.items()}


@torch.no_grad()
def round_trip(vision: VisionModel, z: Tensor) -> Tensor:
    """|z - encode(decode(z))| (...) of latents (..., Z)."""
    flat = z.flatten(0, -2)
    back = torch.cat([vision.encode(vision.decode(part)) for part in flat.split(DECODED_AT_ONCE)])
    return (flat - back).norm(dim=-1).view(z.shape[:-1])


def meter(signs: dict[str, np.ndarray]) -> np.ndarray:
    """One number (K, N) from the signs: 0 as in the first steps, above 1 doubtful, above 2.5 not to be trusted."""
    deviations = []
    for sign in signs.values():
        first = sign[:FIRST]
        middle = np.median(first)
        deviations.append((sign - middle) / max(float(np.median(np.abs(first - middle))), 1e-9))
    return np.mean(deviations, axis=0)
