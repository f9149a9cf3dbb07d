"""A dream, and reality beside it, as a film or as a strip of moments."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ewm_studio.analysis.dreamt_pictures import bands
from ewm_studio.analysis.film import Pane
from ewm_studio.dreams.beside import parting
from ewm_studio.dreams.fan import Fan, pictures_of
from ewm_studio.dreams.limits import Grade, graded
from ewm_studio.dreams.real_world import Moment, RealWorld
from ewm_studio.dreams.tree import DreamStep, DreamTree
from ewm_studio.errors import UserError
from ewm_studio.workspace.files import write_aside

MOMENTS = 10  # of a strip
FAN_MOMENTS = (1, 2, 4, 8, 16)  # steps of a fan


def dream_panes(
    dream: Sequence[np.ndarray], real: Sequence[Sequence[np.ndarray]], repeat: int, path: Sequence[DreamStep] = ()
) -> list[Pane]:
    """The dream and reality frame by frame.

    Args:
        dream: pictures (H, W, 3) at the start and after each of D decisions.
        real: what the environment showed, at the start and in the frames of each decision; empty for none.
        repeat: frames of a decision.
        path: the steps of the dream, by which its border says how far it can be trusted.
    """
    decisions = len(dream) - 1
    index = np.concatenate([[0], np.repeat(np.arange(1, decisions + 1), repeat)])
    panes = [Pane("the dream", "memory", np.stack(dream), index, grades_of(path))]
    if len(real) and all(len(shown) for shown in real):
        frames = [real[0][-1]]
        for shown in real[1:]:
            frames += [shown[min(k, len(shown) - 1)] for k in range(repeat)]
        panes.append(Pane("reality under the same actions", "", np.stack(frames), np.arange(len(frames))))
    return panes


def grades_of(path: Sequence[DreamStep]) -> list[Grade]:
    """How far a dream can be trusted at its start and after each step; none of no step."""
    parted = parting([step.real.drift if step.real else math.nan for step in path])
    found: list[Grade] = ["good"] if path else []
    return found + [graded(step.trust, parted is not None and number >= parted) for number, step in enumerate(path, 1)]


def way_filmed(tree: DreamTree) -> tuple[list[Pane], float]:
    """The way from a dream's start to where it stands as panes, reality played again beside it; and frames a second.

    Raises:
        UserError: this dream has no pictures. JobError: the environment failed.
    """
    path = tree.path()
    actions = [step.action for step in path]
    moment, env = tree.start.moment, tree.dreamers[0].env
    with contextlib.closing(RealWorld(env if moment is None else moment.env)) as world:
        real = [] if moment is None else _reality(world, moment, actions, env.action_repeat)
        return dream_panes(_dreamt(tree), real, env.action_repeat, path), world.fps


def _dreamt(tree: DreamTree) -> list[np.ndarray]:
    """Pictures of the dream at the start and after each decision."""
    dreamt: list[np.ndarray] = []
    branch, upto = tree.branch, tree.place.step
    while True:
        first = [branch.root] if branch.parent is None else []
        latents = [*first, *(step.z for step in branch.steps[: upto - branch.at])]
        if latents:
            pictures = pictures_of(tree.dreamers[branch.model].model, np.stack(latents))
            if pictures is None:
                raise UserError("this dream is of numbers: there are no pictures to make a film of")
            dreamt[:0] = list(pictures)
        if branch.parent is None:
            return dreamt
        upto, branch = branch.at, tree.branches[branch.parent]


def _reality(world: RealWorld, moment: Moment, actions: list[NDArray], repeat: int) -> list[list[np.ndarray]]:
    """What the environment shows at a moment, and in the frames of each decision after it."""
    world.lead(moment.seed, moment.actions)
    shown = [[world.picture()]]
    for action in actions:
        shown.append([])
        for _ in range(repeat):
            world.frame(action)
            shown[-1].append(world.picture())
    return [[frame for frame in frames if frame is not None] for frames in shown]


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
