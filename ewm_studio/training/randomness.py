"""Every random number of a job comes from one seed, and its state is saved for an exact resume."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ewm_studio.models.randomness import make_generator

_SALT = 0xDA7A  # keeps NumPy's numbers apart from other streams of the same seed


class Randomness:
    """The generators a job draws from, all of one seed.

    Attributes:
        numpy: for what happens outside of PyTorch.
        torch: on the model's device; everything that PyTorch draws for the job comes from it.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.numpy = np.random.default_rng(np.random.SeedSequence([seed, _SALT]))
        self.torch = make_generator(seed)

    def move_to(self, device: torch.device) -> None:
        """Draw on `device` from now on; a stream of another kind of device begins anew."""
        if device.type != self.torch.device.type:
            self.torch = make_generator(self.seed, device)

    def state(self) -> dict[str, Any]:
        """For an exact resume."""
        return {
            "torch": self.torch.get_state().cpu(),
            "device": self.torch.device.type,
            "numpy": self.numpy.bit_generator.state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`; a stream that was drawn on another kind of device cannot be gone on with, and begins anew."""
        self.numpy.bit_generator.state = state["numpy"]
        if state.get("device", "cpu") == self.torch.device.type:  # 0.1.0 does not say where
            self.torch.set_state(state["torch"])
