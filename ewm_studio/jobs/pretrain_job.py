"""Vision and memory trained beforehand, on random or recorded experience; the controller is bypassed."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ewm_studio.acting.agent import Agent
from ewm_studio.analysis.held_out import memory_figures, vision_figures
from ewm_studio.analysis.live_dreams import dream_figures, held_out_windows
from ewm_studio.analysis.together import together_figures
from ewm_studio.data.experience import Experience, StoredSequences
from ewm_studio.data.recordings import Recording
from ewm_studio.envs.probe import EnvProbe, Spaces
from ewm_studio.errors import JobError
from ewm_studio.events import CheckpointSaved, Event, JobControl, Message
from ewm_studio.jobs.collect import (
    ENCODE_BATCH,
    PROGRESS_SECONDS,
    check_spaces,
    driver_of,
    encode_all,
    frame_store,
    gather,
    recordings_to_pretrain_on,
)
from ewm_studio.jobs.company import Company, in_company, prepare_together
from ewm_studio.jobs.covered import covered_by, told
from ewm_studio.jobs.failures import explains_failures
from ewm_studio.jobs.lifecycle import execute, prepare, restore_latest
from ewm_studio.jobs.meter import Meter
from ewm_studio.jobs.place import opens_workspace
from ewm_studio.jobs.resuming import computed_on, going_on
from ewm_studio.jobs.run_log import RunLog
from ewm_studio.jobs.setup import model_metadata
from ewm_studio.jobs.stages import B, Pass, Stage
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.pictures import reconstructions
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.settings import Experiment
from ewm_studio.training.data_parallel import shared_sequences
from ewm_studio.training.optimize import Averages, weights_of
from ewm_studio.training.randomness import Randomness
from ewm_studio.training.sequences import to_sequence_batch
from ewm_studio.training.together import TogetherTrainer, trainers_by_stage
from ewm_studio.workspace import Run, Workspace

HELD_OUT_FRAMES = 4096  # at most this many held-out frames are looked at after an epoch
PICTURE_SECONDS = 2.0  # least time between two sets of pictures
PICTURES = 8


@opens_workspace
@explains_failures
def pretrain(
    experiment: Experiment, workspace: Workspace, control: JobControl | None = None, resume: str | None = None
) -> Generator[Event, None, None]:
    """Train vision, then memory on its latents, without a controller; with `resume`, go on with that run exactly.

    A resumed run gathers the same experience again (one seed, one experience) and goes on at the minibatch it had
    stopped at.

    Raises:
        UserError: bad input. JobError: a loss that is not finite, or environments that died.
    """
    control = control or JobControl()
    experiment, previous = going_on("pretrain", experiment, workspace, resume)
    recordings = recordings_to_pretrain_on(experiment, workspace)
    with contextlib.ExitStack() as stack:
        company = stack.enter_context(in_company(experiment, resume, control))
        probe = stack.enter_context(contextlib.closing(EnvProbe(experiment.env)))
        spreads = not recordings or experiment.data.random_share > 0
        start = prepare_together(company, experiment, lambda e: prepare(e, workspace, previous, probe, spreads))
        check_spaces(recordings, start.spaces)
        driver = driver_of(experiment, workspace, start.spaces)
        job = PretrainJob(start.experiment, start.spaces, start.model, start.randomness, company)
        control = control if company is None else company.control
        place = workspace if company is None or company.place is None else company.place
        work = partial(_gather_and_train, job=job, recordings=recordings, control=control, probe=probe, driver=driver)
        yield from execute("pretrain", start, place, job, work)


def _gather_and_train(
    run: Run,
    job: PretrainJob,
    recordings: Sequence[Recording],
    control: JobControl,
    probe: EnvProbe,
    driver: Agent | None,
) -> Generator[Event, None, None]:
    with frame_store(job.experiment, job.spaces, run.folder) as store:
        experience = yield from gather(recordings, job.experiment, job.spaces, store, control, probe, driver)
        yield from job.run(run, experience, control)


class PretrainJob:
    """State of a pretraining run between two epochs; all of it is saved, so that a resumed run is the same run."""

    def __init__(
        self,
        experiment: Experiment,
        spaces: Spaces,
        model: AgentModel,
        randomness: Randomness,
        company: Company | None = None,
    ) -> None:
        self._company = company
        self.experiment, self.spaces, self.model, self.randomness = experiment, spaces, model.eval(), randomness
        self.trainers = trainers_by_stage(model, experiment, randomness.torch)
        # The baseline that shows what training was worth: the same memory with fresh weights of its own.
        with drawing_from(make_generator(experiment.run.seed)):
            self.untrained = model.fresh_memory().to(model.device)
        self.epochs_done = dict.fromkeys(self.trainers, 0)
        self.best = dict.fromkeys(self.trainers, float("inf"))  # held-out loss
        self.best_epoch = dict.fromkeys(self.trainers, 0)
        self.best_weights: dict[str, dict[str, Tensor]] = {}  # of the epoch with the least held-out loss, on the CPU
        self.frames_seen = 0
        self._pass = Pass()
        self.seconds_before, self._began = 0.0, time.monotonic()
        self.losses: dict[str, float] = {}
        self.stopped_by = "epochs"
        self.computed_on: dict[str, str] | None = None  # when the run that is resumed was saved
        self._frames_here = 0
        self._counts = {"frames": 0, "episodes": 0}
        self._gathered_before: int | None = None  # frames, when the run that is resumed was saved
        self._progress_at = self._pictures_at = 0.0
        self._checkpoint, self._saved_at = "", (-1, -1)
        self._coverage: dict[str, Any] | None = None

    @property
    def summary(self) -> str:
        """One line that says what is trained on what."""
        e, trained = self.experiment, " and ".join(trainer.name for trainer in self.trainers.values())
        return f"{trained} of {self.model.summary()} on {e.env.id}, seed {e.run.seed}"

    @property
    def stages(self) -> tuple[str, ...]:
        """What is to come, in order."""
        settings = self.experiment.data
        collects = settings.recording is None or settings.random_share > 0
        encodes = ("encode",) if "memory" in self.trainers else ()
        return (
            *(("collect",) if collects else ()),
            *(n for n in self.trainers if n != "memory"),
            *encodes,
            *(n for n in self.trainers if n == "memory"),
        )

    @property
    def seconds(self) -> float:
        """Time spent on this run so far."""
        return self.seconds_before + time.monotonic() - self._began

    @property
    def epochs(self) -> int:
        """Epochs done, over vision and memory."""
        return sum(self.epochs_done.values())

    @property
    def _position(self) -> tuple[int, int]:
        return self.epochs, self._pass.batches

    def run(self, run: Run, experience: Experience, control: JobControl) -> Generator[Event, None, None]:
        """Train vision, then memory; saves on the way and at the end."""
        self._counts = {"frames": experience.frame_count, "episodes": experience.episode_count}
        if self._gathered_before not in (None, experience.frame_count) and not control.stop_requested:
            yield Message(
                f"{experience.frame_count:,} frames now, {self._gathered_before:,} when the run was stopped: it goes "
                "on, but not to the same weights",
                "warning",
            )
        with RunLog(run, self.experiment.run.tensorboard) as sink:
            if not control.stop_requested:  # stopped while it was gathered, there may be too little to split
                yield from self._stages(run, sink, experience, control)
        if control.stop_requested:
            self.stopped_by = "stop"
        if self._saved_at != self._position:
            yield self._save(run)
        run.finish(
            "stopped" if self.stopped_by == "stop" else "finished",
            steps=self.frames_seen,
            episodes=self._counts["episodes"],
            epochs=self.epochs,
        )

    def _stages(
        self, run: Run, sink: RunLog, experience: Experience, control: JobControl
    ) -> Generator[Event, None, None]:
        model, settings, generator = self.model, self.experiment.data, self.randomness.torch
        skip = self.spaces.settling_frames if settings.skip_start == "auto" else settings.skip_start
        experience = experience.without_starts(-(-skip // self.experiment.env.action_repeat))
        train, held_out = experience.split(settings.held_out, np.random.default_rng(self.experiment.run.seed))
        both = self.trainers.get("together")
        if isinstance(both, TogetherTrainer):
            found = covered_by(experience, self.spaces.action)
            self._coverage = found.describe()
            yield from told(found)
            whole = Stage[StoredSequences](
                "together",
                train.step_count,
                lambda: self._stored(train, self.randomness.numpy),
                lambda sequences: int(sequences.mask.sum()),
                lambda sequences: both.losses(sequences, experience.store, generator),
                lambda: together_figures(
                    model, self.untrained, held_out, self._some_frames(held_out), self.experiment.world_model, generator
                ),
            )
            yield from self._train(whole, run, sink, held_out, control)
        if "vision" in self.trainers:
            stage = Stage[Tensor](
                "vision",
                train.frame_count,
                lambda: self._frames(train),
                len,
                lambda frames: model.losses(obs=frames, generator=generator)["vision"],
                lambda: vision_figures(model.vision, self._some_frames(held_out), generator),
                lambda frames, peers: frames[peers.share(len(frames))],
            )
            yield from self._train(stage, run, sink, held_out, control)
        if "memory" in self.trainers and not control.stop_requested:
            latents = yield from encode_all(experience.store, model, control)
            if control.stop_requested:
                return
            found = covered_by(experience, self.spaces.action, latents)
            self._coverage = found.describe()
            yield from told(found)
            tried = held_out_windows(held_out, latents, model.action_encoding)
            stage_ = Stage[SequenceBatch](
                "memory",
                train.step_count,
                lambda: self._sequences(train, latents, self.randomness.numpy),
                lambda batch: int(batch.mask.sum()),
                lambda batch: model.losses(sequences=batch, generator=generator)["memory"],
                lambda: (
                    memory_figures(
                        model.memory, self.untrained, self._sequences(held_out, latents, np.random.default_rng(0))
                    )
                    | dream_figures(model.memory, tried)
                ),
                shared_sequences,
            )
            yield from self._train(stage_, run, sink, held_out, control)

    def _train(
        self, stage: Stage[B], run: Run, sink: RunLog, held_out: Experience, control: JobControl
    ) -> Generator[Event, None, None]:
        """Epochs of one component: a pass over the training part, then figures on the part kept aside."""
        settings, name, done = self.experiment.pretrain, stage.name, self.epochs_done
        component = self.trainers[name].component
        meter = Meter(name, settings.epochs * stage.size, "frames", done[name] * stage.size + self._pass.seen)
        log = Averages()
        while done[name] < settings.epochs and not control.stop_requested:
            if settings.patience is not None and done[name] - self.best_epoch[name] >= settings.patience:
                self.stopped_by = "patience"
                break
            if self.best_epoch[name] and name not in self.best_weights:  # it had ended, with its best weights
                self.best_weights[name] = weights_of(self.trainers[name].component)
            component.train()
            yield from self._pass_over(stage, meter, log, sink, held_out, control)
            component.eval()
            if control.stop_requested and self._pass.seen < stage.size:
                break  # inside the pass, which a resumed run ends
            self._pass = Pass()
            done[name] += 1
            figures = stage.evaluate()
            if self._company is not None:  # what is best is the same for all
                figures = self._company.peers.of_first(figures)
            self._note_best(name, figures)
            yield meter.at(done[name] * stage.size)
            if done[name] % self.experiment.run.log_freq == 0 or done[name] == settings.epochs:
                values = log.take() | figures
                self.losses |= {k: v for k, v in values.items() if np.isfinite(v)}
                yield sink.metrics(self.frames_seen, self.epochs, self.seconds, values)
            if name != "memory" and (self._pictures_due or (self._shows_pictures and done[name] == settings.epochs)):
                yield self._pictures(sink, held_out)
            if self.epochs % self.experiment.run.save_freq == 0:
                yield self._save(run)
        if not control.stop_requested:
            yield from self._take_best(name)

    def _take_best(self, name: str) -> Iterator[Event]:
        """Put back the weights of the epoch with the least held-out loss, where that is not the last one."""
        weights = self.best_weights.pop(name, None)
        if weights is not None and self.best_epoch[name] < self.epochs_done[name]:
            self.trainers[name].component.load_state_dict(weights)
            self._saved_at = (-1, -1)
            kept = f"{self.trainers[name].name} is kept as it was after epoch {self.best_epoch[name]}"
            yield Message(f"{kept}, the best on what was held out")

    def _pass_over(
        self, stage: Stage[B], meter: Meter, log: Averages, sink: RunLog, held_out: Experience, control: JobControl
    ) -> Generator[Event, None, None]:
        """One pass over the training part, or the rest of one that was stopped; ends early when asked to stop."""
        trainer, done = self.trainers[stage.name], self._pass
        if done.batches:
            self.randomness.numpy.bit_generator.state = done.random  # draws the same order again
        done.random = dict(self.randomness.numpy.bit_generator.state)
        falls = self.experiment.pretrain.lr_schedule == "linear"
        whole = self.experiment.pretrain.epochs * stage.size
        for batch in itertools.islice(stage.batches(), done.batches, None):
            if falls:
                trainer.slow_to(1 - (self.epochs_done[stage.name] * stage.size + done.seen) / whole)
            company = self._company
            log.add(trainer.step(stage.loss(batch)) if company is None else company.step(trainer, stage, batch))
            count = stage.count(batch)
            done.batches += 1
            done.seen += count
            self.frames_seen += count
            self._frames_here += count
            if control.stop_requested:
                return
            if time.monotonic() - self._progress_at > PROGRESS_SECONDS:
                self._progress_at = time.monotonic()
                yield meter.at(self.epochs_done[stage.name] * stage.size + done.seen)
                if stage.name != "memory" and self._pictures_due:
                    yield self._pictures(sink, held_out)
                    trainer.component.train()

    def _note_best(self, name: str, figures: dict[str, float]) -> None:
        # Of a memory that is trained on its own predictions, the best is the one whose dreams hold.
        loss = figures.get(f"{name}/held_out_open_loop", figures.get(f"{name}/held_out_total"))
        if loss is None:
            return
        if not np.isfinite(loss):
            raise JobError(
                f"the held-out loss of {name} became {loss}; the last checkpoint stands. Lower the learning rate"
            )
        if loss < self.best[name]:
            self.best[name], self.best_epoch[name] = loss, self.epochs_done[name]
            self.best_weights[name] = weights_of(self.trainers[name].component)

    def _to_device(self, frames: np.ndarray) -> Tensor:
        return torch.from_numpy(frames).to(self.model.device)

    def _frames(self, experience: Experience) -> Iterator[Tensor]:
        """One pass over the frames in random order."""
        size = self.experiment.world_model.vision_batch_size
        for frames in experience.frame_batches(self.randomness.numpy, size):
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
        for sequences in self._stored(experience, rng):
            yield to_sequence_batch(sequences, latents, self.model.action_encoding)

    def _stored(self, experience: Experience, rng: np.random.Generator) -> Iterator[StoredSequences]:
        settings = self.experiment.world_model
        return experience.sequence_batches(rng, settings.memory_batch_size, settings.sequence_length)

    @property
    def _shows_pictures(self) -> bool:
        return len(self.spaces.observation.shape) == 3

    @property
    def _pictures_due(self) -> bool:
        return self._shows_pictures and time.monotonic() - self._pictures_at > PICTURE_SECONDS

    def _pictures(self, sink: RunLog, held_out: Experience) -> Event:
        self._pictures_at = time.monotonic()
        obs = next(self._some_frames(held_out))[:PICTURES]
        return sink.images(self.frames_seen, reconstructions(self.model.vision.eval(), obs))

    def model_file(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and description for a model file."""
        counters = {"frames": self._counts["frames"], "epochs": self.epochs, "frames_seen": self.frames_seen}
        return self.model.state_dict(), model_metadata(self.model, self.experiment, self.spaces, counters)

    def _save(self, run: Run) -> CheckpointSaved:
        tensors, metadata = self.model_file()
        keep = self.experiment.run.keep_checkpoints
        path, best = run.save_checkpoint(self.frames_seen, tensors, metadata, self.state(), None, keep=keep)
        self._checkpoint, self._saved_at = str(path), self._position
        return CheckpointSaved(str(path), self.frames_seen, None, best)

    def state(self) -> dict[str, Any]:
        """Everything besides the weights that the next epoch depends on."""
        return {
            "epochs_done": self.epochs_done,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "frames_seen": self.frames_seen,
            "seconds": self.seconds,
            "pass": asdict(self._pass),
            "gathered": self._counts["frames"],
            "optimizers": {name: trainer.state_dict() for name, trainer in self.trainers.items()},
            "random": self.randomness.state(),
            "computed_on": computed_on(self.model.device),
        }

    def restore(self, run: Run) -> None:
        """Take up a run at its latest checkpoint.

        Raises:
            UserError: it has none, or one that is damaged or of other settings.
        """
        self._checkpoint = str(restore_latest(run, self.model, self._take_up))
        self._saved_at = self._position

    def _take_up(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.epochs_done, self.best, self.best_epoch = state["epochs_done"], state["best"], state["best_epoch"]
        self.best_weights = state.get("best_weights", {})
        if "best_weights" not in state:  # 0.1.0 kept the last weights, whatever they were worth
            self.best = dict.fromkeys(self.best, np.inf)
        self.frames_seen, self.seconds_before = state["frames_seen"], state["seconds"]
        self._pass = Pass(**state["pass"])
        self.computed_on = state.get("computed_on")  # 0.1.0 did not say
        self._gathered_before = state.get("gathered")  # states of earlier versions do not say
        for name, trainer in self.trainers.items():
            trainer.load_state_dict(state["optimizers"][name])
        self.randomness.restore(state["random"])

    def result(self, run: Run) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "run": run.name,
            "checkpoint": str(run.latest_checkpoint() or self._checkpoint),
            "env_steps": self._counts["frames"],
            "frames_seen": self.frames_seen,
            "episodes": self._counts["episodes"],
            "epochs": self.epochs,
            "mean_reward": None,
            "best_mean_reward": None,
            "losses": self.losses,
            "coverage": self._coverage,
            "seconds": self.seconds,
            "steps_per_second": self._frames_here / max(self.seconds - self.seconds_before, 1e-9),
            "stopped_by": self.stopped_by,
        }
