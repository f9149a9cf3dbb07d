"""Models on a run's way, kept until they are judged: curves of unseen episodes, alike for all ways to learn."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from ewm_studio.workspace.files import write_error
from ewm_studio.workspace.studies import StudyFolder

MOMENTS = "moments"  # in the study's folder


class Moments:
    """Of one run: the first model at or after each of evenly spaced shares of its steps."""

    def __init__(self, folder: StudyFolder, key: str, count: int, total_steps: int | None) -> None:
        self._place = folder.path / MOMENTS / key
        self._count, self._total = count, total_steps

    def see(self, model: Path, step: int) -> None:
        """Keep a model that was just saved, where it is the first past a share; one that is gone already is let go.

        Raises:
            UserError or JobError: there is no room for it.
        """
        if not self._total or not 0 < (share := step * self._count // self._total) < self._count:
            return
        if any(known * self._count // self._total == share for known in self.kept()):
            return
        target = self._place / f"{step}.safetensors"
        try:
            self._place.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(model, target.with_suffix(".part"))
                target.with_suffix(".part").replace(target)
        except OSError as error:
            raise write_error(target, error) from error

    def kept(self) -> dict[int, Path]:
        """The models that are there, by their steps."""
        return {int(path.stem): path for path in sorted(self._place.glob("*.safetensors")) if path.stem.isdecimal()}

    def forget(self) -> None:
        """All of them are judged."""
        shutil.rmtree(self._place, ignore_errors=True)
