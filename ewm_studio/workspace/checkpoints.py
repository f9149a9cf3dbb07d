"""The checkpoints of one run: pairs of a model and the trainer's state, told apart by their step.

Everything is decided by what the files say about themselves, so a run's folder means the same wherever it is copied.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ewm_studio.errors import UserError
from ewm_studio.workspace import models, tree
from ewm_studio.workspace.container import read_header
from ewm_studio.workspace.files import clean_leftovers, write_error

if TYPE_CHECKING:
    from torch import Tensor

MODEL, TRAINER = ".safetensors", ".trainer"
_NEXT = ".next"  # a trainer state that waits for its model


@dataclass(frozen=True)
class Checkpoint:
    """A model file in the folder, with the step and the mean reward that its name and metadata tell."""

    path: Path
    step: int
    mean_reward: float | None
    trainer_sha256: str


class Checkpoints:
    """The folder `checkpoints/` of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Checkpoint]:
        """Every model that can be read, by step."""
        found = []
        for step, path in self._numbered(MODEL):
            with contextlib.suppress(UserError):
                found.append(_describe(path, step))
        return found

    def best(self) -> Checkpoint | None:
        """The one with the highest mean reward, the later of equals; without any reward, the latest."""
        return max(self.all(), key=_merit, default=None)

    def latest(self) -> Checkpoint | None:
        """The last one that has its own trainer state with it."""
        return next((c for c in reversed(self.all()) if self._complete(c)), None)

    def newest_model(self) -> Path | None:
        """The model file of the highest step, whatever is in it."""
        return next((path for _, path in reversed(self._numbered(MODEL))), None)

    def save(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        metadata: Mapping[str, Any],
        trainer: Any,
        mean_reward: float | None,
        keep: int,
    ) -> tuple[Path, bool]:
        """Write a pair, drop the ones that are no longer kept; gives the model's path and whether it is the best.

        The trainer's state comes first and the model completes the pair. Where the step was saved before, the new
        state waits under another name until its model is there, so the old pair is whole until then.

        Raises:
            UserError or JobError: the files cannot be written; what was there stands.
        """
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise write_error(self.folder, error) from error
        path = self.folder / f"{step}{MODEL}"
        state = path.with_suffix(TRAINER)
        waiting = state.with_name(state.name + _NEXT) if path.exists() else state
        if mean_reward is not None and not math.isfinite(mean_reward):
            mean_reward = None
        digest = tree.save_tree(waiting, trainer)
        own = {"step": step, "mean_reward": mean_reward, "trainer_sha256": digest}
        models.save_model(path, tensors, {**metadata, "checkpoint": own})
        if waiting != state:
            with contextlib.suppress(FileNotFoundError):  # whoever looked for the latest may have done it
                os.replace(waiting, state)
        best = self.best()
        self._prune(keep, best)
        return path, best is not None and best.step == step

    def _prune(self, keep: int, best: Checkpoint | None) -> None:
        """Remove all but the latest and the best, and what killed saves left behind."""
        steps = [step for step, _ in self._numbered(MODEL)]
        kept = set(steps[-keep:]) | ({best.step} if best else set())
        for step, path in self._numbered(MODEL):
            if step not in kept:
                with contextlib.suppress(OSError):
                    path.unlink()  # the model first: a trainer's state alone is no checkpoint
        for step, path in [*self._numbered(TRAINER), *self._numbered(TRAINER + _NEXT)]:
            if step not in kept or path.name.endswith(_NEXT):
                with contextlib.suppress(OSError):
                    path.unlink()
        clean_leftovers(self.folder)

    def _complete(self, checkpoint: Checkpoint) -> bool:
        """Whether the trainer's state of this very model is there; ends a save that was killed before its end."""
        state = checkpoint.path.with_suffix(TRAINER)
        if _digest(state) == checkpoint.trainer_sha256:
            return True
        waiting = state.with_name(state.name + _NEXT)
        if _digest(waiting) != checkpoint.trainer_sha256:
            return False
        with contextlib.suppress(OSError):
            os.replace(waiting, state)
        return _digest(state) == checkpoint.trainer_sha256

    def _numbered(self, suffix: str) -> list[tuple[int, Path]]:
        """Files named `<step><suffix>`, by step."""
        try:
            names = os.listdir(self.folder)
        except OSError:
            return []
        stems = [n.removesuffix(suffix) for n in names if n.endswith(suffix)]
        return sorted((int(s), self.folder / f"{s}{suffix}") for s in stems if s.isascii() and s.isdigit())


def _describe(path: Path, step: int) -> Checkpoint:
    own = models.read_metadata(path).get("checkpoint")
    own = own if isinstance(own, dict) else {}
    mean = own.get("mean_reward")
    mean = float(mean) if isinstance(mean, int | float) and math.isfinite(mean) else None
    return Checkpoint(path, step, mean, str(own.get("trainer_sha256")))


def _merit(checkpoint: Checkpoint) -> tuple[bool, float, int]:
    """No reward never beats a number; ties go to the later."""
    mean = checkpoint.mean_reward
    return mean is not None, mean if mean is not None else 0.0, checkpoint.step


def _digest(trainer: Path) -> str:
    """The digest a trainer's state carries; empty where there is none to read."""
    try:
        return read_header(trainer, tree.FORMAT, tree.VERSION).digest
    except UserError:
        return ""
