"""Vision and memory trained beforehand, on random or recorded experience; the controller is bypassed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ewm_studio.data.experience import Experience, to_sequence_batch
from ewm_studio.envs.vector import choose_batch_size
from ewm_studio.errors import JobError, UserError
from ewm_studio.models.agent import reconstructions
from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.world_model import WorldModel, load_weights
from ewm_studio.settings import Experiment
from ewm_studio.training.collect import collect_random, find_recording, frame_store, read_recording
from ewm_studio.training.events import CheckpointSaved, Event, Finished, JobControl, Message, RunStarted
from ewm_studio.training.held_out import memory_figures, vision_figures
from ewm_studio.training.logs import RunLog
from ewm_studio.training.meter import Meter
from ewm_studio.training.optimize import Averages, ComponentTrainer
from ewm_studio.training.randomness import random_state, restore_random_state, seed_everything
from ewm_studio.training.setup import (
    Spaces,
    build_model,
    choose_device,
    model_metadata,
    preprocessor_of,
    save_path_of,
    set_threads,
    spaces_of,
    versions,
)
from ewm_studio.workspace import Run, Workspace
from ewm_studio.workspace.models import load_model, save_model

ENCODE_BATCH = 512  # frames encoded at once
HELD_OUT_FRAMES = 4096  # at most this many held-out frames are looked at after an epoch
PROGRESS_SECONDS = 0.1  # least time between two progress events
PICTURE_SECONDS = 2.0  # least time between two sets of pictures
PICTURES = 8


def pretrain(
    experiment: Experiment, workspace: Workspace, control: JobControl | None = None, resume: str | None = None
) -> Generator[Event, None, None]:
    """Train vision, then memory on its latents, without a controller; with `resume`, go on with that run exactly.

    A resumed run gathers the same experience again (one seed, one experience) and goes on at the epoch it had saved.

    Raises:
        UserError: bad input. JobError: a loss that is not finite, or environments that died.
    """
    control = control or JobControl()
    spaces = spaces_of(experiment.env)
    device = choose_device(experiment.run.device)
    save_path = save_path_of(experiment)
    set_threads(experiment.run.threads, spaces.observation)
    recording = find_recording(experiment, spaces, workspace)
    messages: list[str] = []
    if experiment.env.batch_size == "auto":
        count, sentence = choose_batch_size(experiment.env)
        experiment = experiment.with_values(("env.batch_size", count))
        messages.append(sentence)
    rng = seed_everything(experiment.run.seed)
    model, experiment = build_model(experiment, spaces, workspace)
    experiment = experiment.model_copy(update={"versions": versions()})
    job = PretrainJob(experiment, spaces, model.to(device), rng)
    if resume:
        run = workspace.run(resume)
        job.restore(run)
    else:
        run = workspace.create_run(
            experiment.env.id, "pretrain", experiment.to_toml(), model.describe()["parts"], experiment.run.seed
        )
    yield RunStarted("pretrain", run.name, str(run.folder), f"{job.summary}, {device}")
    for sentence in messages:
        yield Message(sentence)
    store = frame_store(experiment, spaces, run.folder)
    try:
        if recording is None:
            experience = yield from collect_random(experiment, store, control)
        else:
            experience = yield from read_recording(
                recording, preprocessor_of(spaces, experiment.env), experiment, store
            )
        yield from job.run(run, experience, control)
    except BaseException as error:
        run.finish(
            "interrupted" if isinstance(error, GeneratorExit | KeyboardInterrupt) else "failed", error=str(error)
        )
        raise
    finally:
        store.close()
    if save_path is not None:
        save_model(save_path, *job.model_file())
        yield Message(f"model saved to {save_path}")
    yield Finished(job.stopped_by, job.result(run))


class PretrainJob:
    """State of a pretraining run between two epochs; all of it is saved, so that a resumed run is the same run."""

    def __init__(self, experiment: Experiment, spaces: Spaces, model: WorldModel, rng: np.random.Generator) -> None:
        self.experiment, self.spaces, self.model, self.rng = experiment, spaces, model.eval(), rng
        settings = experiment.pretrain
        both = not (settings.vision or settings.memory)
        trainers = {
            "vision": ComponentTrainer(model.vision, "vision", experiment.world_model),
            "memory": ComponentTrainer(model.memory, "memory", experiment.world_model),
        }
        self.trainers = {name: t for name, t in trainers.items() if t.trainable and (both or getattr(settings, name))}
        if not self.trainers:
            raise UserError(
                f"nothing to pretrain: {model.summary()} has no vision or memory to train among those asked for; "
                "choose others with --vision and --memory"
            )
        # The baseline that shows what training was worth: the same memory with other, untrained weights.
        with torch.random.fork_rng(devices=[]):
            part = model.parts["memory"]
            fresh: Any = part.cls
            self.untrained = fresh(part.settings, model.vision.latent_dim, model.action_encoding.dim).to(model.device)
        self.epochs_done = dict.fromkeys(self.trainers, 0)
        self.best = dict.fromkeys(self.trainers, float("inf"))  # held-out loss
        self.best_epoch = dict.fromkeys(self.trainers, 0)
        self.frames_seen = 0
        self.seconds_before, self._began = 0.0, time.monotonic()
        self.losses: dict[str, float] = {}
        self.stopped_by = "epochs"
        self._frames_here = 0
        self._counts = {"frames": 0, "episodes": 0}
        self._progress_at = self._pictures_at = 0.0
        self._checkpoint, self._saved_at = "", -1

    @property
    def summary(self) -> str:
        """One line that says what is trained on what."""
        e = self.experiment
        return f"{' and '.join(self.trainers)} of {self.model.summary()} on {e.env.id}, seed {e.run.seed}"

    @property
    def seconds(self) -> float:
        """Time spent on this run so far."""
        return self.seconds_before + time.monotonic() - self._began

    @property
    def epochs(self) -> int:
        """Epochs done, over vision and memory."""
        return sum(self.epochs_done.values())

    def run(self, run: Run, experience: Experience, control: JobControl) -> Generator[Event, None, None]:
        """Train vision, then memory; saves on the way and at the end."""
        self._counts = {"frames": experience.frame_count, "episodes": experience.episode_count}
        train, held_out = experience.split(
            self.experiment.pretrain.held_out, np.random.default_rng(self.experiment.run.seed)
        )
        sink = RunLog(run, self.experiment.run.tensorboard)
        self._began_training = time.monotonic()
        if "vision" in self.trainers:
            yield from self._stage(
                "vision",
                run,
                sink,
                control,
                train.frame_count,
                lambda: ((len(obs), self.model.vision.loss(obs)) for obs in self._frames(train)),
                lambda: vision_figures(self.model.vision, self._some_frames(held_out)),
                held_out,
            )
        if "memory" in self.trainers and not control.stop_requested:
            latents = yield from self._encode(experience)
            yield from self._stage(
                "memory",
                run,
                sink,
                control,
                train.frame_count,
                lambda: (
                    (int(b.mask.sum()), self.model.memory.loss(b, self.model.memory.initial_state(b.z.shape[1])))
                    for b in self._sequences(train, latents, self.rng)
                ),
                lambda: memory_figures(
                    self.model.memory, self.untrained, self._sequences(held_out, latents, np.random.default_rng(0))
                ),
                held_out,
            )
        if control.stop_requested:
            self.stopped_by = "stop"
        if self._saved_at != self.epochs:
            yield self._save(run)
        sink.close()
        run.finish(
            "stopped" if self.stopped_by == "stop" else "finished",
            steps=self._counts["frames"],
            episodes=self._counts["episodes"],
            epochs=self.epochs,
        )

    def _stage(
        self,
        name: str,
        run: Run,
        sink: RunLog,
        control: JobControl,
        frames: int,
        batches: Callable[[], Iterator[tuple[int, dict[str, Tensor]]]],
        evaluate: Callable[[], dict[str, float]],
        held_out: Experience,
    ) -> Generator[Event, None, None]:
        """Epochs of one component: a pass over the training part, then figures on the part kept aside."""
        settings, trainer = self.experiment.pretrain, self.trainers[name]
        patience, done = settings.patience, self.epochs_done
        meter = Meter(name, settings.epochs * frames, "frames", done[name] * frames)
        log = Averages()
        while done[name] < settings.epochs and not control.stop_requested:
            if patience is not None and done[name] - self.best_epoch[name] >= patience:
                self.stopped_by = "patience"
                break
            trainer.component.train()
            seen = done[name] * frames
            for count, losses in batches():
                log.add(trainer.step(losses))
                seen += count
                self._frames_here += count
                if time.monotonic() - self._progress_at > PROGRESS_SECONDS:
                    self._progress_at = time.monotonic()
                    yield meter.at(seen)
                    if name == "vision" and time.monotonic() - self._pictures_at > PICTURE_SECONDS:
                        yield self._pictures(sink, held_out)
                        trainer.component.train()
            trainer.component.eval()
            done[name] += 1
            self.frames_seen += frames
            figures = evaluate()
            self._note_best(name, figures)
            yield meter.at(done[name] * frames)
            if done[name] % self.experiment.run.log_freq == 0 or done[name] == settings.epochs:
                values = log.take() | figures
                self.losses |= {k: v for k, v in values.items() if np.isfinite(v)}
                yield sink.metrics(self.frames_seen, self.epochs, self.seconds, values)
            if name == "vision":
                yield self._pictures(sink, held_out)
            if self.epochs % self.experiment.run.save_freq == 0:
                yield self._save(run)

    def _note_best(self, name: str, figures: dict[str, float]) -> None:
        loss = figures.get(f"{name}/held_out_total")
        if loss is None:
            return
        if not np.isfinite(loss):
            raise JobError(
                f"the held-out loss of {name} became {loss}; the last checkpoint stands. Lower the learning rate"
            )
        if loss < self.best[name]:
            self.best[name], self.best_epoch[name] = loss, self.epochs_done[name]

    def _to_device(self, frames: np.ndarray) -> Tensor:
        return torch.from_numpy(frames).to(self.model.device)

    def _frames(self, experience: Experience) -> Iterator[Tensor]:
        """One pass over the frames in random order."""
        size = self.experiment.world_model.vision_batch_size
        for frames in experience.frame_batches(self.rng, size):
            yield self._to_device(frames)

    def _some_frames(self, experience: Experience) -> Iterator[Tensor]:
        """The same held-out frames every time, at most `HELD_OUT_FRAMES`."""
        seen = 0
        for frames in experience.frame_batches(np.random.default_rng(0), ENCODE_BATCH):
            if seen >= HELD_OUT_FRAMES:
                return
            seen += len(frames)
            yield self._to_device(frames)

    def _sequences(self, experience: Experience, latents: Tensor, rng: np.random.Generator) -> Iterator[SequenceBatch]:
        settings = self.experiment.world_model
        for stretch in experience.sequence_batches(rng, settings.memory_batch_size, settings.sequence_length):
            yield to_sequence_batch(stretch, latents, self.model.action_encoding)

    @torch.no_grad()
    def _encode(self, experience: Experience) -> Generator[Event, None, Tensor]:
        """Latents (frames, Z) of every frame, encoded once by the vision as it is now."""
        store, vision = experience.store, self.model.vision.eval()
        count = len(store)
        latents = torch.empty(count, vision.latent_dim, device=self.model.device)
        meter = Meter("encode", count, "frames")
        for begin in range(0, count, ENCODE_BATCH):
            index = np.arange(begin, min(begin + ENCODE_BATCH, count))
            latents[begin : begin + len(index)] = vision.encode(self._to_device(store.read(index)))
            if time.monotonic() - self._progress_at > PROGRESS_SECONDS:
                self._progress_at = time.monotonic()
                yield meter.at(begin + len(index))
        yield meter.at(count)
        return latents

    def _pictures(self, sink: RunLog, held_out: Experience) -> Event:
        self._pictures_at = time.monotonic()
        vision = self.model.vision.eval()
        obs = next(self._some_frames(held_out))[:PICTURES]
        if obs.dim() != 4:
            return Message("vision observes vectors: there are no pictures to show")
        return sink.images(self.frames_seen, reconstructions(vision, obs))

    def model_file(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and description for a model file."""
        counters = {"frames": self._counts["frames"], "epochs": self.epochs, "frames_seen": self.frames_seen}
        return self.model.state_dict(), model_metadata(self.model, self.experiment, self.spaces, counters)

    def _save(self, run: Run) -> CheckpointSaved:
        tensors, metadata = self.model_file()
        keep = self.experiment.run.keep_checkpoints
        path, best = run.save_checkpoint(self.frames_seen, tensors, metadata, self.state(), None, keep=keep)
        self._checkpoint, self._saved_at = str(path), self.epochs
        return CheckpointSaved(str(path), self.frames_seen, None, best)

    def state(self) -> dict[str, Any]:
        """Everything besides the weights that the next epoch depends on."""
        return {
            "epochs_done": self.epochs_done,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "frames_seen": self.frames_seen,
            "seconds": self.seconds,
            "optimizers": {name: trainer.state_dict() for name, trainer in self.trainers.items()},
            "random": random_state(self.rng),
        }

    def restore(self, run: Run) -> None:
        """Take up a run at its latest checkpoint.

        Raises:
            UserError: it has none, or one that is damaged or of other settings.
        """
        from ewm_studio.workspace.tree import load_tree

        latest = run.latest_checkpoint()
        if latest is None:
            raise UserError(
                f"{run.name} has no checkpoint to resume from; start it again with --config "
                f"{run.folder / 'experiment.toml'}"
            )
        tensors, _ = load_model(latest)
        load_weights(self.model, tensors, str(latest))
        state = load_tree(latest.with_suffix(".trainer"))
        self.epochs_done, self.best, self.best_epoch = state["epochs_done"], state["best"], state["best_epoch"]
        self.frames_seen, self.seconds_before = state["frames_seen"], state["seconds"]
        for name, trainer in self.trainers.items():
            trainer.load_state_dict(state["optimizers"][name])
        restore_random_state(state["random"], self.rng)
        self._checkpoint, self._saved_at = str(latest), self.epochs

    def result(self, run: Run) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "run": run.name,
            "checkpoint": str(run.latest_checkpoint() or self._checkpoint),
            "env_steps": self._counts["frames"],
            "episodes": self._counts["episodes"],
            "epochs": self.epochs,
            "mean_reward": None,
            "best_mean_reward": None,
            "losses": self.losses,
            "seconds": self.seconds,
            "steps_per_second": self._frames_here / max(self.seconds - self.seconds_before, 1e-9),
            "stopped_by": self.stopped_by,
        }
