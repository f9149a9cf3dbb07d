"""Every random number of a job comes from one seed, and its state is saved for an exact resume."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> np.random.Generator:
    """Seed PyTorch and give the job's NumPy generator."""
    torch.manual_seed(seed)
    return np.random.default_rng(np.random.SeedSequence([seed, 0xDA7A]))


def random_state(rng: np.random.Generator) -> dict[str, Any]:
    """The state of every random number generator a job draws from."""
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": rng.bit_generator.state,
    }


def restore_random_state(state: dict[str, Any], rng: np.random.Generator) -> None:
    """Undo `random_state`."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    rng.bit_generator.state = state["numpy"]
