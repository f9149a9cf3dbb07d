"""Numbers and times as people read them: 131,072 steps; 2 min 47 s; 3.0e-4; and texts from anywhere, made harmless."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def printable(text: str) -> str:
    """A text from anywhere as one line that only says something.

    What would move a cursor, begin another line, change colours or turn the direction of writing is spelled out, as is
    what no text can hold: a part of a file's name that is no UTF-8.
    """
    return text if text.isprintable() else "".join(map(_spelled, text))


def printable_lines(text: str) -> str:
    """`printable` for a text that may have several lines."""
    return "\n".join(map(printable, text.split("\n")))


def _spelled(sign: str) -> str:
    """A sign as it is, or as Python writes it; the many kinds of blank as a blank."""
    if sign.isprintable():
        return sign
    return " " if unicodedata.category(sign) == "Zs" or sign == "\t" else repr(sign)[1:-1]


def plain(value: Any) -> Any:
    """A value as JSON can hold it; NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # NumPy
        return plain(value.tolist())
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, bool | int) or value is None:
        return value
    return os.fspath(value) if isinstance(value, Path) else str(value)


def count(value: float) -> str:
    """A whole number with thousands set apart: 131,072."""
    return f"{round(value):,}"


def compact(value: float) -> str:
    """A number in little room: 950, 12.5 k, 4.35 M."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def size(count_of_bytes: float) -> str:
    """How much room something takes: 640 B, 12.3 kB, 18.9 MB, 1.2 GB."""
    for least, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count_of_bytes >= least:
            return f"{count_of_bytes / least:,.1f} {unit}"
    return f"{count_of_bytes:.0f} B"


def duration(seconds: float | None) -> str:
    """A time in at most two units: 8 s, 2 min 47 s, 3 h 5 min, 2 d 4 h."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    for size, unit, small, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {unit} {rest} {part}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def about(seconds: float | None) -> str:
    """A time that is only guessed, without the digits that a guess does not know: 25 s, 3 min 20 s, 23 min, 4 h."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    for least, step in ((86_400, 3600), (10 * 3600, 1800), (3600, 300), (600, 60), (60, 10), (10, 5)):
        if seconds >= least:
            return duration(max(least, step * round(seconds / step)))
    return duration(seconds)


def rate(value: float) -> str:
    """A speed: 412, 1,204 or 0.8; without its unit."""
    return count(value) if value >= 10 else f"{value:.1f}"


def significant(value: float | None) -> str:
    """A measured value with three or four digits that mean something: 742, 18.7, -0.011, 3.0e-5."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e6:
        return compact(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}" if abs(value - round(value)) < 0.05 else f"{value:.1f}"
    if size >= 1:
        return f"{value:.3g}"
    return f"{value:.3f}" if size >= 0.01 else exponent(float(f"{value:.1e}"))


def exponent(value: float) -> str:
    """A number as 3.0e-4: at least one decimal, no padding in the exponent."""
    mantissa, _, power = f"{value:.6e}".partition("e")
    mantissa = mantissa.rstrip("0")
    return f"{mantissa}0e{int(power)}" if mantissa.endswith(".") else f"{mantissa}e{int(power)}"


def setting_float(value: float) -> str:
    """A float setting exactly, as a person would write it: 0.99, 3.0e-4, 10."""
    if value == 0:
        return "0"
    short = repr(float(value))
    if 0.001 <= abs(value) < 1e6 and "e" not in short:
        return short.removesuffix(".0")
    mantissa, _, power = f"{float(value):.16e}".partition("e")
    for digits in range(1, 17):  # as few digits as give the same number back
        text = f"{float(value):.{digits}e}"
        if float(text) == float(value):
            mantissa, _, power = text.partition("e")
            break
    return f"{mantissa}e{int(power)}"


def date(seconds: float | None) -> str:
    """A moment as 2026-11-22 14:05, in local time."""
    from datetime import datetime

    try:
        return "" if seconds is None else f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError, OSError):  # a file may say anything
        return ""
