"""Runs that differ by their seed alone, as one: their mean, and the band from the lowest to the highest of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ewm_studio.analysis.history import RunHistory

PLACES = 500  # at which a mean over seeds is taken


@dataclass(frozen=True)
class Band:
    """A mean over runs, where all of them have values: arrays (N,)."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def grouped(histories: Sequence[RunHistory]) -> list[list[RunHistory]]:
    """Runs that differ by their seed alone together, in the order of the first of each; the others by themselves.

    Runs of one seed are no group: one of them was run twice.
    """
    groups: dict[str, list[RunHistory]] = {}
    for number, history in enumerate(histories):
        about = history.about
        key = f"{history.job} {about.kind}" if about is not None else f"alone {number}"
        groups.setdefault(key, []).append(history)
    found: list[list[RunHistory]] = []
    for group in groups.values():
        seeds = {history.about.seed for history in group if history.about is not None}
        found += [group] if len(seeds) == len(group) else [[history] for history in group]
    return found


def band_over(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> Band:
    """The mean over curves, each of positions (N,) that never fall and values (N,), from where all begin to an end."""
    curves = [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in curves]
    if not curves or not all(len(x) for x, _ in curves):
        return Band(*(np.empty(0) for _ in range(4)))
    first, last = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    if last < first:
        return Band(*(np.empty(0) for _ in range(4)))
    places = np.linspace(first, last, PLACES if last > first else 1)
    values = np.stack([np.interp(places, x, y) for x, y in curves])
    return Band(places, values.mean(0), values.min(0), values.max(0))
