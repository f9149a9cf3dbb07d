"""A dream, and reality beside it, as a film or as a strip of moments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ewm_studio.analysis.dreamt_pictures import bands
from ewm_studio.analysis.film import Pane
from ewm_studio.dreams.fan import Fan
from ewm_studio.workspace.files import write_aside

MOMENTS = 10  # of a strip
FAN_MOMENTS = (1, 2, 4, 8, 16)  # steps of a fan


def dream_panes(dream: Sequence[np.ndarray], real: Sequence[Sequence[np.ndarray]], repeat: int) -> list[Pane]:
    """The dream and reality frame by frame.

    Args:
        dream: pictures (H, W, 3) at the start and after each of D decisions.
        real: what the environment showed, at the start and in the frames of each decision; empty for none.
        repeat: frames of a decision.
    """
    decisions = len(dream) - 1
    index = np.concatenate([[0], np.repeat(np.arange(1, decisions + 1), repeat)])
    panes = [Pane("the dream", "memory", np.stack(dream), index)]
    if len(real) and all(len(shown) for shown in real):
        frames = [real[0][-1]]
        for shown in real[1:]:
            frames += [shown[min(k, len(shown) - 1)] for k in range(repeat)]
        panes.append(Pane("reality under the same actions", "", np.stack(frames), np.arange(len(frames))))
    return panes


def dream_strip(path: Path, panes: Sequence[Pane]) -> None:
    """Write moments evenly over a dream, one pane above the other, to a .png.

    Raises:
        UserError or JobError: it cannot be written.
    """
    frames = len(panes[0].index)
    at = np.linspace(0, frames - 1, min(MOMENTS, frames)).round().astype(int)
    size = panes[0].at(0).shape[:2]
    rows = [np.stack([_sized(pane.at(int(frame)), size) for frame in at]) for pane in panes]
    _write(path, bands(rows))


def fan_strip(path: Path, fans: Sequence[Fan]) -> None:
    """Write each fan as a band: its draws below each other, moments from left to right; fans without pictures are none.

    Raises:
        UserError or JobError: it cannot be written.
    """
    shown = [fan.pictures for fan in fans if fan.pictures is not None]
    steps = [step - 1 for step in FAN_MOMENTS if shown and step <= len(shown[0])]
    rows = [pictures[steps, draw] for pictures in shown for draw in range(pictures.shape[1])]
    if rows:
        _write(path, bands(rows, together=shown[0].shape[1]))


def _sized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[:2] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR))


def _write(path: Path, picture: np.ndarray) -> None:
    write_aside(path, lambda temporary: Image.fromarray(picture).save(temporary, "PNG"))
