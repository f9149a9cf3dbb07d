"""Small made-up episodes to write into recordings."""

from __future__ import annotations

from typing import Any

import numpy as np

META: dict[str, Any] = {
    "env": "Drive-v0",
    "observation_space": {"type": "Box", "shape": [12, 12, 3]},
    "action_space": {"type": "Box", "shape": [2]},
    "source": "manual",
    "seed": 3,
}


def episode(seed: int, length: int, shape: tuple[int, ...] = (12, 12, 3)) -> dict[str, Any]:
    """What a recording's writer takes: random pictures, actions and rewards; odd seeds terminate, even ones are cut."""
    rng = np.random.default_rng(seed)
    return {
        "obs": rng.integers(0, 256, (length + 1, *shape), dtype=np.uint8),
        "action": rng.normal(size=(length, 2)).astype(np.float32),
        "reward": rng.normal(size=length),
        "terminated": bool(seed % 2),
        "truncated": not seed % 2,
        "manual": rng.random(length) < 0.5,
    }
