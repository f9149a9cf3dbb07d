"""A loss that is not finite ends a job."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ewm_studio.errors import JobError


def check_finite(values: Mapping[str, float]) -> None:
    """Refuse losses that are not finite.

    Raises:
        JobError: naming the first of them.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise JobError(
                f"the loss '{name}' became {value}; the last checkpoint stands. Lower the learning rate or "
                "max_grad_norm, and look at the scale of observations and rewards"
            )
