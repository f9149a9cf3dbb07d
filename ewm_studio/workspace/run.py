"""One run: what it logs, its checkpoints, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from ewm_studio.errors import UserError
from ewm_studio.workspace.checkpoints import Checkpoints
from ewm_studio.workspace.database import Database, Row, update
from ewm_studio.workspace.files import write_error
from ewm_studio.workspace.lock import RunLock
from ewm_studio.workspace.replays import Evaluation, evaluations_in

if TYPE_CHECKING:
    from torch import Tensor

FLUSH_SECONDS = 0.2
REPLAYS = "replays"  # the folder of kept evaluations
RunState = Literal["running", "finished", "stopped", "failed", "interrupted"]
SUMMARY = ("steps", "episodes", "epochs", "best_reward", "mean_reward", "error")


class Points(NamedTuple):
    """One tag's history: four arrays (N,), in the order it was logged."""

    step: np.ndarray  # int64, environment steps
    epoch: np.ndarray  # int64
    seconds: np.ndarray  # float64, since the start of the run
    value: np.ndarray  # float64


class Episodes(NamedTuple):
    """A run's episodes: four arrays (N,), in the order they ended."""

    step: np.ndarray  # int64, environment steps
    seconds: np.ndarray  # float64, since the start of the run
    reward: np.ndarray  # float64
    length: np.ndarray  # int64, environment steps


class Run:
    """A run of a workspace. Reading is free for everyone; one process at a time writes.

    Whoever logs or saves first after the run was opened becomes its writer: the run is `running` again and what it had
    logged after its latest checkpoint is forgotten, because it goes on from there.
    """

    def __init__(self, database: Database, id: int, name: str, folder: Path) -> None:
        self._database, self._id = database, id
        self.name = name
        self.folder = folder
        self._checkpoints = Checkpoints(folder / "checkpoints")
        self._lock = RunLock(folder)
        self._buffer_lock = threading.Lock()
        self._metrics: dict[str, list[Row]] = {}
        self._episodes: list[Row] = []
        self._counters: dict[str, int] = {}
        self._flushed_at = float("-inf")

    @property
    def alive(self) -> bool:
        """Whether a process is writing this run now."""
        return self._lock.alive()

    def begin(self) -> None:
        """Become the writer of a new run.

        Raises:
            UserError: another process is.
        """
        try:
            if not self._lock.acquire():
                raise UserError(f"run {self.name} is being trained already; stop that first")
        except OSError as error:
            raise write_error(self.folder, error) from error
        with self._database.writing() as connection:
            update(connection, self._id, {"state": "running", "started": time.time(), "finished": None, "error": ""})

    def resume(self) -> None:
        """Become the writer of a run that was there before; happens by itself at the first thing that is logged.

        Raises:
            UserError: another process is its writer.
        """
        if self._lock.held:
            return
        self.begin()
        latest = self._checkpoints.latest()
        self._database.cut(self._id, latest.step if latest else -1)
        episodes = self._database.read("SELECT count(*) FROM episodes WHERE run = ?", (self._id,))[0][0]
        self._counters["episodes"] = episodes

    def log_metrics(self, step: int, epoch: int, seconds: float, values: Mapping[str, float]) -> None:
        """Log one row of named scalars; reaches the disk within a fifth of a second of further logging."""
        self.resume()
        with self._buffer_lock:
            for tag, value in values.items():
                self._metrics.setdefault(tag, []).append((int(step), int(epoch), float(seconds), float(value)))
            self._counters |= {"steps": int(step), "epochs": int(epoch)}
        self._flush_in_time()

    def log_episode(self, step: int, seconds: float, reward: float, length: int) -> None:
        """Log the end of one episode."""
        self.resume()
        with self._buffer_lock:
            self._episodes.append((int(step), int(length), float(seconds), float(reward)))
            self._counters["episodes"] = self._counters.get("episodes", 0) + 1
            self._counters["steps"] = int(step)
        self._flush_in_time()

    def flush(self) -> None:
        """Write what is buffered."""
        with self._buffer_lock:
            metrics, episodes, counters = self._metrics, self._episodes, dict(self._counters)
            self._metrics, self._episodes = {}, []
        self._flushed_at = time.monotonic()
        if metrics or episodes:
            self._database.append(self._id, metrics, episodes, counters)

    def tags(self) -> list[str]:
        """Names of the logged scalars."""
        return self._database.tags(self._id)

    def metrics(self, tag: str) -> Points:
        """One scalar's history; empty arrays for a tag that was never logged."""
        rows = self._database.points(self._id, tag)
        return Points(*(np.ascontiguousarray(rows[name]) for name in ("step", "count", "seconds", "value")))

    def episodes(self) -> Episodes:
        """The episodes of the whole run."""
        rows = self._database.episodes(self._id)
        return Episodes(*(np.ascontiguousarray(rows[name]) for name in ("step", "seconds", "value", "count")))

    def save_checkpoint(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        metadata: Mapping[str, Any],
        trainer_tree: Any,
        mean_reward: float | None,
        keep: int = 3,
    ) -> tuple[Path, bool]:
        """Write `checkpoints/<step>.safetensors` and `.trainer`; a kill at any instant leaves the previous pair.

        Args:
            step: environment steps so far.
            tensors, metadata: the model, as `save_model` takes them.
            trainer_tree: what an exact resume needs, as `save_tree` takes it.
            mean_reward: decides which checkpoint is the best; None never beats a number, ties go to the later.
            keep: how many of the latest are kept besides the best.

        Returns:
            The model's path, and whether it is the best now.

        Raises:
            UserError or JobError: the files cannot be written; the previous checkpoint stands.
        """
        self.resume()
        path, best = self._checkpoints.save(step, tensors, metadata, trainer_tree, mean_reward, keep)
        self.flush()
        values: dict[str, Any] = {"steps": int(step), "mean_reward": mean_reward}
        if best:
            values |= {"checkpoint": path.relative_to(self.folder).as_posix(), "best_reward": mean_reward}
        with self._database.writing() as connection:
            update(connection, self._id, values)
        return path, best

    def best_checkpoint(self) -> Path | None:
        """The model with the highest mean reward; None before the first is saved."""
        best = self._checkpoints.best()
        return best.path if best else None

    def latest_checkpoint(self) -> Path | None:
        """The last model whose trainer state lies beside it (same name, `.trainer`); None if there is none."""
        latest = self._checkpoints.latest()
        return latest.path if latest else None

    def newest_model(self) -> Path | None:
        """The model file of the highest step, sound or not: not the latest checkpoint where that is damaged."""
        return self._checkpoints.newest_model()

    def evaluations(self) -> list[Evaluation]:
        """The evaluations of its models that were kept, newest first."""
        return evaluations_in(self.folder / REPLAYS, self.name)

    def finish(self, state: RunState, **summary: Any) -> None:
        """End the run: write what is buffered, its state and its last figures.

        Args:
            state: finished, stopped, failed or interrupted.
            summary: any of steps, episodes, epochs, best_reward, mean_reward, error.
        """
        unknown = set(summary) - set(SUMMARY)
        if unknown:
            raise TypeError(f"no such summary: {', '.join(sorted(unknown))}")
        try:
            self.flush()
            with self._database.writing() as connection:
                update(connection, self._id, {"state": state, "finished": time.time(), **summary})
        finally:
            self._lock.release()

    def _flush_in_time(self) -> None:
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()
