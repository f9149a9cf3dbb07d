"""How far a dream is trusted, and other numbers that a window knows before PyTorch is there."""

from __future__ import annotations

import math
from typing import Literal

Grade = Literal["line", "good", "doubt", "bad"]

FRESH_FRAMES = 60  # of a fresh track that pass before a dream, beyond those that are no part of the task
TRUSTED, DOUBTED = 2.0, 4.0  # of the trust meter: up to the first a dream is green, up to the second yellow


def graded(trust: float, parted: bool = False) -> Grade:
    """How far a dream can be trusted: good, doubt or bad by the trust meter; line where it is not read.

    Where reality stands beside it and has parted company, no meter makes the dream true again: bad.
    """
    if parted:
        return "bad"
    if math.isnan(trust):
        return "line"
    return "good" if trust <= TRUSTED else "doubt" if trust <= DOUBTED else "bad"
