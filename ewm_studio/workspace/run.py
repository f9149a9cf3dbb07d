"""One run: what it logs, its checkpoints, and how it ends."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ewm_studio.errors import JobError, UserError
from ewm_studio.events import MEAN_OF
from ewm_studio.workspace.checkpoints import Checkpoints
from ewm_studio.workspace.database import Database, Row
from ewm_studio.workspace.files import write_error, write_text
from ewm_studio.workspace.history import History
from ewm_studio.workspace.lock import RunLock
from ewm_studio.workspace.logbook import EPISODES
from ewm_studio.workspace.record import SETTINGS, RunState, mean_of_last, read_record, write_note, write_record
from ewm_studio.workspace.replays import Evaluation, evaluations_in

if TYPE_CHECKING:
    from torch import Tensor

FLUSH_SECONDS = 0.2
REPLAYS = "replays"  # the folder of kept evaluations
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

    def __init__(self, database: Database, name: str, folder: Path) -> None:
        self._database = database
        self.name = name
        self.folder = folder
        self._checkpoints = Checkpoints(folder / "checkpoints")
        self._history = History(database, name, folder)
        self._lock = RunLock(folder)
        self._buffer_lock = threading.Lock()
        self._rows: dict[str, list[Row]] = {}
        self._values: dict[str, Any] = {}  # of its row in the list
        self._recent: deque[float] = deque(maxlen=MEAN_OF)  # rewards of the last episodes
        self._flushed_at = float("-inf")

    @property
    def best_reward(self) -> float | None:
        """Of the best checkpoint, by which it was chosen, as this writer knows it; None before the first."""
        found: float | None = self._values.get("best_reward")
        return found

    @property
    def alive(self) -> bool:
        """Whether a process is writing this run now."""
        return self._lock.alive()

    @property
    def behind(self) -> bool:
        """Whether the list does not know all yet that the run's folder holds; it is told when it is next read."""
        return self._history.behind

    def create(self, values: Mapping[str, Any], settings: str) -> None:
        """Become the writer of a new run, in a folder that is there and empty.

        Args:
            values: of its row in the list, as `record.FIELDS` names them.
            settings: the text of experiment.toml.

        Raises:
            UserError or JobError: it cannot be written.
        """
        self._take_lock()
        self._values = {**values, "state": "running", "started": time.time(), "steps": 0, "episodes": 0, "epochs": 0}
        write_text(self.folder / SETTINGS, settings)
        self._history.begin(self._values)
        write_record(self.folder, self.name, self._values)  # last: without it, whoever lists runs leaves it alone

    def abandon(self) -> None:
        """Be its writer no more, without a word: it could not be begun."""
        self._lock.release()

    def resume(self) -> None:
        """Become the writer of a run that was there before; happens by itself at the first thing that is logged.

        Raises:
            UserError: another process is its writer.
        """
        if self._lock.held:
            return
        self._take_lock()
        try:
            self._go_on()
        except BaseException:
            self._lock.release()
            raise

    def _go_on(self) -> None:
        known = self._history.known()
        latest = self._checkpoints.latest()
        began = {"state": "running", "started": time.time(), "finished": None, "error": ""}
        self._values = {**known, **began}
        if "title" not in read_record(self.folder) and (known["title"] or known["note"]):
            write_note(self.folder, known["title"], known["note"])
        write_record(self.folder, self.name, self._values)  # first: on a full disk nothing is forgotten
        left = self._history.go_on(latest.step if latest else -1, self._values)
        rewards = left[EPISODES]["value"] if EPISODES in left else ()
        self._recent.extend(float(reward) for reward in rewards[-MEAN_OF:])
        # As if it had gone on all the time: what it took until its end is what its rows say, whatever lies between.
        spent = max((float(rows["seconds"].max()) for rows in left.values() if len(rows)), default=0.0)
        self._values |= {"episodes": len(rewards), "started": time.time() - spent}
        write_record(self.folder, self.name, self._values)

    def log_metrics(self, step: int, epoch: int, seconds: float, values: Mapping[str, float]) -> None:
        """Log one row of named scalars; reaches the disk within a fifth of a second of further logging."""
        self.resume()
        with self._buffer_lock:
            for tag, value in values.items():
                self._rows.setdefault(tag, []).append((int(step), int(epoch), float(seconds), float(value)))
            self._values |= {"steps": int(step), "epochs": int(epoch)}
        self._flush_in_time()

    def log_episode(self, step: int, seconds: float, reward: float, length: int) -> None:
        """Log the end of one episode."""
        self.resume()
        with self._buffer_lock:
            self._rows.setdefault(EPISODES, []).append((int(step), int(length), float(seconds), float(reward)))
            self._recent.append(float(reward))
            self._values |= {"steps": int(step), "episodes": self._values["episodes"] + 1}
        self._flush_in_time()

    def flush(self) -> None:
        """Write what is buffered: to the run's folder, and to the database if it can be had.

        Raises:
            JobError: the run's folder is gone, or the disk is full.
        """
        values = self._write_rows()
        self._history.bring_up(values)

    def tags(self) -> list[str]:
        """Names of the logged scalars."""
        return self._database.tags(self.name)

    def metrics(self, tag: str) -> Points:
        """One scalar's history; empty arrays for a tag that was never logged."""
        rows = self._database.points(self.name, tag)
        return Points(*(np.ascontiguousarray(rows[name]) for name in ("step", "count", "seconds", "value")))

    def episodes(self) -> Episodes:
        """The episodes of the whole run."""
        rows = self._database.episodes(self.name)
        return Episodes(*(np.ascontiguousarray(rows[name]) for name in ("step", "seconds", "value", "count")))

    def save_checkpoint(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        metadata: Mapping[str, Any],
        trainer_tree: Any,
        score: float | None,
        keep: int = 3,
    ) -> tuple[Path, bool]:
        """Write `checkpoints/<step>.safetensors` and `.trainer`; a kill at any instant leaves the previous pair.

        Args:
            step: environment steps so far.
            tensors, metadata: the model, as `save_model` takes them.
            trainer_tree: what an exact resume needs, as `save_tree` takes it.
            score: decides which checkpoint is the best; None never beats a number, ties go to the later.
            keep: how many of the latest are kept besides the best.

        Returns:
            The model's path, and whether it is the best now.

        Raises:
            UserError or JobError: the files cannot be written; the previous checkpoint stands.
        """
        self.resume()
        self._write_rows()  # first, so that a checkpoint never knows of more than the curves do
        path, best = self._checkpoints.save(step, tensors, metadata, trainer_tree, score, keep)
        values: dict[str, Any] = {"steps": int(step)}
        if best:
            values |= {"checkpoint": path.relative_to(self.folder).as_posix(), "best_reward": score}
        with self._buffer_lock:
            self._values |= values
        self.flush()
        write_record(self.folder, self.name, self._values)
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
            before = self._values or self._history.known()
            self._values = {**before, "state": state, "finished": time.time(), **summary}
            values = self._write_rows()
            write_record(self.folder, self.name, values)
            self._history.end(values)
        finally:
            self._lock.release()

    def _take_lock(self) -> None:
        try:
            if not self._lock.acquire():
                raise UserError(f"run {self.name} is being trained already; stop that first")
        except OSError as error:
            raise write_error(self.folder, error) from error

    def _check_place(self) -> None:
        if self._lock.held and not self._lock.in_place:
            raise JobError(
                f"{self.folder}: the run's folder is gone; it was deleted, moved or unmounted while the run was going"
            )

    def _write_rows(self) -> dict[str, Any]:
        """Write what is buffered to the run's folder; gives the values that go with it."""
        self._check_place()
        with self._buffer_lock:
            if self._recent:
                self._values["mean_reward"] = mean_of_last(list(self._recent))
            rows, values = self._rows, dict(self._values)
            self._rows = {}
        self._flushed_at = time.monotonic()
        if rows:
            self._history.add(rows)
        return values

    def _flush_in_time(self) -> None:
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self._history.bring_up_in_time(self._write_rows())
