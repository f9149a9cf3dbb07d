"""Color ramps that follow the theme: even steps of lightness around a token, and two-sided ones around a surface."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QColor

from ewm_studio.ui.kit.theme import color

STEPS = 64
_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def ramp(token: str) -> np.ndarray:
    """From a quiet shade of a color, through it, to one that stands out: uint8 (64, 3), even steps to the eye (Oklab).

    On a dark surface it grows lighter, on a light one darker.
    """
    middle, ground = _oklab(color(token)), _oklab(color("panel"))
    quiet = ground + (middle - ground) * 0.3
    strong = middle * [1.0, 0.75, 0.75]
    strong[0] = 0.95 if ground[0] < 0.5 else 0.22
    half = STEPS // 2
    first = quiet + (middle - quiet) * np.linspace(0, 1, half)[:, None]
    second = middle + (strong - middle) * np.linspace(0, 1, STEPS - half)[:, None]
    return _rgb(np.concatenate([first, second]))


def two_sided(low: str, middle: str, high: str) -> np.ndarray:
    """From one color over a surface to another: uint8 (64, 3)."""
    left, ground, right = (_oklab(color(token)) for token in (low, middle, high))
    share = np.linspace(-1, 1, STEPS)[:, None]
    return _rgb(ground + np.where(share < 0, left - ground, right - ground) * np.abs(share))


def steps_of(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Which step of a ramp stands for each value: int, of the values' shape; what is no number gets the first."""
    span = high - low
    share = (values - low) / span if span > 0 else np.zeros(values.shape)
    return np.round(np.clip(np.nan_to_num(share, nan=0.0), 0, 1) * (STEPS - 1)).astype(int)


def _oklab(shade: QColor) -> np.ndarray:
    rgb = np.array([shade.redF(), shade.greenF(), shade.blueF()])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: np.ndarray = _TO_LAB @ np.cbrt(_TO_LMS @ linear)
    return lab


def _rgb(lab: np.ndarray) -> np.ndarray:
    linear = (lab @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_LMS).T
    linear = np.clip(linear, 0, 1)
    rgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(rgb * 255).astype(np.uint8)
