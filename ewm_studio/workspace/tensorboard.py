"""TensorBoard files in a run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter  # type: ignore[import-untyped]

from ewm_studio.workspace.files import write_error


class TensorBoardLog:
    """Writes `events.*` files: scalars by name, and pictures as one sheet a name.

    Raises:
        UserError or JobError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            self._writer = SummaryWriter(logdir=str(folder), flush_secs=5)
        except OSError as error:
            raise write_error(Path(folder), error) from error

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """One row of named scalars at an environment step."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def images(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Pictures uint8 (N, H, W, 3) by name, side by side."""
        for name, batch in pictures.items():
            self._writer.add_images(f"pictures/{name}", batch, step, dataformats="NHWC")

    def close(self) -> None:
        """Write what is buffered and end the file."""
        self._writer.close()
