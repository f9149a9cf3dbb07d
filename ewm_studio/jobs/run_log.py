"""Where a job's figures go: the run's database, TensorBoard files where asked for, and the event stream."""

from __future__ import annotations

from types import TracebackType

import numpy as np

from ewm_studio.events import Images, Metrics
from ewm_studio.workspace import Run


class RunLog:
    """Writes a run's metrics and pictures and hands the events back for the job to yield."""

    def __init__(self, run: Run, tensorboard: bool) -> None:
        self.run = run
        self._tensorboard = None
        if tensorboard:
            from ewm_studio.workspace.tensorboard import TensorBoardLog

            self._tensorboard = TensorBoardLog(run.folder)

    def metrics(self, step: int, epoch: int, seconds: float, values: dict[str, float]) -> Metrics:
        """Log one row; figures that are not finite are left out."""
        finite = {name: float(value) for name, value in values.items() if np.isfinite(value)}
        self.run.log_metrics(step, epoch, seconds, finite)
        if self._tensorboard is not None:
            self._tensorboard.scalars(step, finite)
        return Metrics(step, epoch, seconds, finite)

    def images(self, step: int, pictures: dict[str, np.ndarray]) -> Images:
        """Log pictures, uint8 (N, H, W, C) by name."""
        if self._tensorboard is not None:
            self._tensorboard.images(step, pictures)
        return Images(step, pictures)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tensorboard is not None:
            self._tensorboard.close()
