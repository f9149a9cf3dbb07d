"""The numbers that a network computes with."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def computing(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which products of matrices are computed in `precision`; weights and sums stay of 32 bits.

    Weights are cast for each product anew: an update may step them between two.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)
