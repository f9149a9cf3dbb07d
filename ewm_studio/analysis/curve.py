"""A learning curve as a picture, drawn without a window: what a card shows of how its model learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = 960, 480
MARGINS = 76, 40, 44, 60  # left, top, right, bottom
SMOOTHER = 2  # drawn so many times larger and shrunk, for smooth lines
GROUND, GRID, INK, FAINT = "#ffffff", "#e3e6ea", "#22272e", "#5b6470"
COLORS = "#2563eb", "#d97706", "#0d9488", "#7c3aed", "#be185d", "#4d7c0f", "#475569", "#0891b2", "#b91c1c", "#a16207"


@dataclass(frozen=True)
class Line:
    """One run's curve: its name, where it stood, two arrays (N,), and its colour, else one of its own.

    Lines of one name are explained once.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    color: str = ""


def draw_curves(path: Path, lines: Sequence[Line], x_title: str, y_title: str) -> None:
    """Draw curves over one another into a PNG file."""
    lines = [line for line in lines if len(line.x)]
    width, height = (SMOOTHER * n for n in SIZE)
    left, top, right, bottom = (SMOOTHER * n for n in MARGINS)
    image = Image.new("RGB", (width, height), GROUND)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(13 * SMOOTHER)
    x_ticks = round_ticks(0.0, max((float(line.x.max()) for line in lines), default=1.0))
    lows, highs = [float(line.y.min()) for line in lines], [float(line.y.max()) for line in lines]
    y_ticks = round_ticks(min([0.0, *lows]), max(highs, default=1.0))

    def across(x: float) -> float:
        return left + (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * (width - left - right)

    def down(y: float) -> float:
        return height - bottom - (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (height - top - bottom)

    for tick in y_ticks:
        pen.line([(left, down(tick)), (width - right, down(tick))], GRID, SMOOTHER)
        pen.text((left - 8 * SMOOTHER, down(tick)), f"{tick:,.10g}", FAINT, font, "rm")
    for tick in x_ticks:
        pen.text((across(tick), height - bottom + 8 * SMOOTHER), f"{tick:,.10g}", FAINT, font, "mt")
    pen.text((width - right, height - 8 * SMOOTHER), x_title, INK, font, "rb")
    pen.text((left, top - 12 * SMOOTHER), y_title, INK, font, "lb")
    key_x = float(left)
    for number, line in enumerate(lines):
        color = line.color or COLORS[number % len(COLORS)]
        points = [(across(x), down(y)) for x, y in zip(line.x.tolist(), line.y.tolist(), strict=True)]
        pen.line(points, color, 2 * SMOOTHER, "curve")
        if line.label in (other.label for other in lines[:number]):
            continue
        pen.line(
            [(key_x, height - 16 * SMOOTHER), (key_x + 16 * SMOOTHER, height - 16 * SMOOTHER)], color, 3 * SMOOTHER
        )
        pen.text((key_x + 22 * SMOOTHER, height - 16 * SMOOTHER), line.label, INK, font, "lm")
        key_x += 38 * SMOOTHER + pen.textlength(line.label, font)
    image.resize(SIZE, Image.Resampling.LANCZOS).save(path, "PNG", optimize=True)


def round_ticks(low: float, high: float) -> list[float]:
    """Round values, evenly spaced, the first at or below `low`, the last at or above `high`."""
    span = max(high - low, 1e-9)
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 2.5, 5, 10) if span / (factor * step) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * number for number in range(first, max(last, first + 1) + 1)]
