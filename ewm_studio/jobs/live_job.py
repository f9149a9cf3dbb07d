"""Learning while somebody drives: vision and memory trained on the growing experience, shown on the present frame."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ewm_studio.data.experience import StoredSequences
from ewm_studio.data.frames import FrameStore
from ewm_studio.envs.probe import EnvProbe, Spaces
from ewm_studio.errors import UserError
from ewm_studio.events import CheckpointSaved, Event, Finished, JobControl, Message
from ewm_studio.jobs.collect import frame_store
from ewm_studio.jobs.failures import explains_failures
from ewm_studio.jobs.lifecycle import execute, prepare
from ewm_studio.jobs.live_feed import Decision, LiveFeed
from ewm_studio.jobs.meter import Meter
from ewm_studio.jobs.run_log import RunLog
from ewm_studio.jobs.setup import model_metadata
from ewm_studio.machine import cores
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.base import Tag
from ewm_studio.models.pictures import reconstructions, to_pictures
from ewm_studio.settings import Experiment
from ewm_studio.training.optimize import Averages, trainers_of
from ewm_studio.training.randomness import Randomness
from ewm_studio.training.sequences import to_sequence_batch
from ewm_studio.workspace import Run, Workspace

LEAST = 32  # decisions before anything is trained, and before a run is made
SEQUENCE_STEPS = 32  # decisions of one sequence of memory, and the history a prediction is made from
MOST_PASSES = 200  # over what was driven so far; then the job rests until more comes
SHOW_SECONDS = 0.4
SAVE_SECONDS = 60.0
WAIT_SECONDS = 0.2  # for decisions, where there is nothing else to do


@explains_failures
def live(
    experiment: Experiment, workspace: Workspace, control: JobControl, feed: LiveFeed
) -> Generator[Event, None, None]:
    """Train vision and memory on the decisions that come through `feed`, until asked to stop; then save them as a run.

    The run is one of pretraining, and is made when the first decisions are there. Pictures of the latest decision come
    every `SHOW_SECONDS`: `original`, `reconstruction`, and `prediction`, the frame that memory expects next.
    Rewards and ends train memory as far as they are known.

    Raises:
        UserError: bad input. JobError: a loss that is not finite, or a full disk.
    """
    asked = _beside_a_driver(experiment)
    with contextlib.closing(EnvProbe(asked.env)) as probe:
        start = prepare(asked, workspace, None, probe, spreads=False)
    job = LiveJob(start.experiment, start.spaces, start.model, start.randomness)
    first: list[Decision] = []
    while len(first) < LEAST and not control.stop_requested:
        first += feed.take(WAIT_SECONDS)
    if len(first) < LEAST:
        yield Message("too little was driven to learn from")
        yield Finished("stop")
        return
    yield from execute("pretrain", start, workspace, job, lambda run: job.run(run, first, feed, control))


def _beside_a_driver(experiment: Experiment) -> Experiment:
    """Settings that leave a core to whoever drives, and measure nothing first."""
    values: list[tuple[str, Any]] = []
    if experiment.run.threads == "auto":
        values.append(("run.threads", max(1, cores() - 1)))
    if experiment.env.batch_size == "auto":
        values.append(("env.batch_size", 1))
    return experiment.with_values(*values)


class Driven:
    """The decisions so far, one after another as they were made."""

    def __init__(self, store: FrameStore, most: int = 1_000_000) -> None:
        self._store = store
        self._actions: list[np.ndarray] = []
        self._rewards = np.full(most, np.nan, np.float32)  # NaN where it is not known
        self._terminated = np.zeros(most, bool)
        self._is_first = np.zeros(most, bool)
        self.most = most  # decisions; what comes after them is only shown

    def __len__(self) -> int:
        return len(self._actions)

    def add(self, decisions: list[Decision]) -> None:
        """Take in decisions, as far as there is room."""
        decisions = decisions[: self.most - len(self)]
        if not decisions:
            return
        count = len(self)
        new = slice(count, count + len(decisions))
        self._is_first[new] = [decision.is_first for decision in decisions]
        self._rewards[new] = [np.nan if decision.reward is None else decision.reward for decision in decisions]
        self._terminated[new] = [decision.terminated for decision in decisions]
        self._store.append(np.stack([decision.obs for decision in decisions]))
        self._actions += [decision.action for decision in decisions]

    def frames(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Observations (N, ...) drawn from all."""
        return self._store.read(np.sort(rng.integers(0, len(self), min(count, len(self)))))

    def sequences(self, rng: np.random.Generator, rows: int) -> tuple[np.ndarray, StoredSequences]:
        """Observations (N, ...), and sequences of steps (T, rows) over them, drawn from all."""
        steps = min(SEQUENCE_STEPS, len(self) - 1)
        at = rng.integers(0, len(self) - steps, rows) + np.arange(steps + 1)[:, None]  # (T + 1, rows)
        return self._store.read(at.ravel()), self._sequences(at)

    def latest(self) -> tuple[np.ndarray, StoredSequences]:
        """Observations (N, ...) and the sequence (N, 1) that ends with the latest decision, whose step is not over."""
        at = np.arange(max(0, len(self) - SEQUENCE_STEPS), len(self))[:, None]
        return self._store.read(at.ravel()), self._sequences(np.concatenate([at, at[-1:]]))

    def _sequences(self, at: np.ndarray) -> StoredSequences:
        """Sequences of the steps at (T + 1, B), the last of which only follows."""
        here = at[:-1]
        return StoredSequences(
            frames=np.arange(at.size).reshape(at.shape),
            action=np.stack([self._actions[i] for i in here.ravel()]).reshape(*here.shape, *self._actions[0].shape),
            reward=np.nan_to_num(self._rewards[here]),
            terminated=self._terminated[here],
            is_first=self._is_first[here],
            valid=~self._is_first[at[1:]],
            mask=np.ones(here.shape, bool),
            known=~np.isnan(self._rewards[here]),
        )


class LiveJob:
    """The state of one run of learning while driving."""

    def __init__(self, experiment: Experiment, spaces: Spaces, model: AgentModel, randomness: Randomness) -> None:
        self.experiment, self.spaces, self.model, self.randomness = experiment, spaces, model.eval(), randomness
        self.trainers = trainers_of(model, experiment, randomness.torch)
        self.stopped_by = "stop"
        self.computed_on: dict[str, str] | None = None  # it goes on with no run
        self.losses: dict[str, float] = {}
        self.frames_seen = self.updates = self._count = 0
        self._began = self._saved = time.monotonic()
        self._shown = 0.0
        self._checkpoint = ""

    @property
    def summary(self) -> str:
        """One line that says what is trained on what."""
        e = self.experiment
        return f"{' and '.join(self.trainers)} of {self.model.summary()} while driving {e.env.id}"

    @property
    def stages(self) -> tuple[str, ...]:
        """There is one."""
        return ("drive",)

    @property
    def seconds(self) -> float:
        """Time since the job began."""
        return time.monotonic() - self._began

    def run(self, run: Run, first: list[Decision], feed: LiveFeed, control: JobControl) -> Generator[Event, None, None]:
        """Learn until asked to stop, then save."""
        log, meter = Averages(), Meter("drive", None, "frames")
        with (
            frame_store(self.experiment, self.spaces, run.folder) as store,
            RunLog(run, self.experiment.run.tensorboard) as sink,
        ):
            driven = Driven(store)
            driven.add(first)
            fresh = True
            while not control.stop_requested:
                resting = self.frames_seen >= MOST_PASSES * len(driven)
                arrived = feed.take(WAIT_SECONDS if resting else 0)
                driven.add(arrived)
                fresh = fresh or bool(arrived) or not resting
                if not resting:
                    self._learn(driven, log)
                if fresh and time.monotonic() - self._shown > SHOW_SECONDS:
                    fresh = False
                    self._shown = time.monotonic()
                    yield meter.at(len(driven))
                    yield from self._show(driven, sink, log)
                if time.monotonic() - self._saved > SAVE_SECONDS:
                    yield self._save(run, driven)
            if feed.dropped:
                yield Message(f"{feed.dropped:,} decisions came too fast to be learned from")
            yield self._save(run, driven)
            run.finish("finished", steps=len(driven), epochs=self.frames_seen // len(driven))

    def _learn(self, driven: Driven, log: Averages) -> None:
        """One step of vision, and every second time one of memory, whose steps look at many more frames."""
        settings, model = self.experiment.world_model, self.model
        if "vision" in self.trainers:
            frames = self._to_device(driven.frames(self.randomness.numpy, settings.vision_batch_size))
            model.vision.train()
            losses = model.losses(obs=frames, generator=self.randomness.torch)
            log.add(self.trainers["vision"].step(losses["vision"]))
            model.vision.eval()
            self.frames_seen += len(frames)
        if "memory" in self.trainers and (self.updates % 2 or "vision" not in self.trainers):
            obs, sequences = driven.sequences(self.randomness.numpy, settings.memory_batch_size)
            with torch.no_grad():
                latents = model.vision.encode(self._to_device(obs))
            batch = to_sequence_batch(sequences, latents, model.action_encoding)
            model.memory.train()
            losses = model.losses(sequences=batch, generator=self.randomness.torch)
            log.add(self.trainers["memory"].step(losses["memory"]))
            model.memory.eval()
            self.frames_seen += int(batch.mask.sum()) if "vision" not in self.trainers else 0
        self.updates += 1

    def _show(self, driven: Driven, sink: RunLog, log: Averages) -> Generator[Event, None, None]:
        values = log.take()
        if values:
            self.losses |= {k: v for k, v in values.items() if np.isfinite(v)}
            yield sink.metrics(self.frames_seen, self.frames_seen // len(driven), self.seconds, values)
        if len(self.spaces.observation.shape) == 3:
            yield sink.images(self.frames_seen, self._pictures(driven))

    @torch.no_grad()
    def _pictures(self, driven: Driven) -> dict[str, np.ndarray]:
        """The latest frame, its reconstruction and the frame expected after it, uint8 (1, H, W, C) each."""
        model = self.model
        obs, sequences = driven.latest()
        frames = self._to_device(obs)
        pictures = reconstructions(model.vision, frames[-1:])
        if Tag.RECONSTRUCTS in model.vision.tags and Tag.PREDICTS in model.memory.tags:
            batch = to_sequence_batch(sequences, _and_again(model.vision.encode(frames)), model.action_encoding)
            h, _ = model.memory.sequence(batch.z[:-1], batch.action, batch.is_first, model.memory.initial_state(1))
            pictures["prediction"] = to_pictures(model.vision.decode(model.memory.predict(h[-1]).mean))
        return pictures

    def _to_device(self, frames: np.ndarray) -> Tensor:
        return torch.from_numpy(frames).to(self.model.device)

    def restore(self, run: Run) -> None:
        """Refuse: what was driven is gone.

        Raises:
            UserError: always.
        """
        raise UserError(f"{run.name} learned while somebody drove and cannot be resumed; load its model instead")

    def model_file(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and description for a model file."""
        counters = {"frames": self._count, "epochs": 0, "frames_seen": self.frames_seen}
        return self.model.state_dict(), model_metadata(self.model, self.experiment, self.spaces, counters)

    def _save(self, run: Run, driven: Driven) -> CheckpointSaved:
        self._saved, self._count = time.monotonic(), len(driven)
        state = {"frames_seen": self.frames_seen, "random": self.randomness.state()}
        tensors, metadata = self.model_file()
        keep = self.experiment.run.keep_checkpoints
        path, best = run.save_checkpoint(self.frames_seen, tensors, metadata, state, None, keep=keep)
        self._checkpoint = str(path)
        return CheckpointSaved(str(path), self.frames_seen, None, best)

    def result(self, run: Run) -> dict[str, Any]:
        """What came of it."""
        return {
            "run": run.name,
            "checkpoint": self._checkpoint,
            "env_steps": self._count,
            "epochs": self.frames_seen // max(self._count, 1),
            "losses": self.losses,
            "seconds": self.seconds,
            "stopped_by": self.stopped_by,
        }


def _and_again(latents: Tensor) -> Tensor:
    """Latents (N, Z) with the last one once more, in the place of the one that is yet to come."""
    return torch.cat([latents, latents[-1:]])
