"""The training job: PPO for the controller, and vision and memory along with it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ewm_studio.acting.collector import LocalCollector, Rollout
from ewm_studio.acting.shared_collector import SharedCollector
from ewm_studio.analysis.live_dreams import rollout_figures
from ewm_studio.data.recordings import Recording
from ewm_studio.envs.probe import EnvProbe, Spaces
from ewm_studio.envs.simulator import Simulator
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.errors import UserError
from ewm_studio.events import CheckpointSaved, Event, JobControl
from ewm_studio.jobs.cluster.collecting import shared_collector
from ewm_studio.jobs.collect import check_spaces, find_recordings
from ewm_studio.jobs.dream_job import DreamJob
from ewm_studio.jobs.evolution_job import EvolutionJob
from ewm_studio.jobs.failures import explains_failures
from ewm_studio.jobs.learning import LearningJob
from ewm_studio.jobs.lifecycle import execute, prepare, restore_latest
from ewm_studio.jobs.meter import Meter
from ewm_studio.jobs.place import opens_workspace
from ewm_studio.jobs.resuming import computed_on, going_on
from ewm_studio.jobs.run_log import RunLog
from ewm_studio.jobs.warm_up import WarmUp
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.pictures import reconstructions
from ewm_studio.settings import Experiment
from ewm_studio.training.cloning import Cloning
from ewm_studio.training.optimize import Averages
from ewm_studio.training.randomness import Randomness
from ewm_studio.training.recurrent_ppo import make_ppo
from ewm_studio.training.world_model_trainer import WorldModelTrainer
from ewm_studio.workspace import Run, Workspace

PICTURE_SECONDS = 2.0  # least time between two sets of pictures
PICTURES = 8
DREAMS = "MDNRNN"  # the memory of who dreams and chose none
DREAMS_EVERY = 20  # epochs between two looks at what dreams are worth: one costs about a fifth of an epoch
FRAMES = "frames"  # the folder of a run that holds the agent's last frames, and the decisions that are replayed


@opens_workspace
@explains_failures
def train(
    experiment: Experiment, workspace: Workspace, control: JobControl | None = None, resume: str | None = None
) -> Generator[Event, None, None]:
    """Train an agent; with `resume`, go on where that run was stopped, exactly.

    Everything is checked before the run's folder is made. The job saves at every `run.save_freq`-th epoch and at its
    end, also when asked to stop.

    Raises:
        UserError: bad input. JobError: a loss that is not finite, or environments that died.
    """
    control = control or JobControl()
    experiment, previous = going_on("train", experiment, workspace, resume)
    if experiment.dream.train:
        experiment = as_dreamt(experiment)
    elif experiment.train.learner == "cma_es" and (experiment.warm_up.recording or experiment.warm_up.random_frames):
        raise UserError(
            "warm_up: evolution (train.learner cma_es) leaves vision and memory as they are; leave out "
            "warm_up.recording and warm_up.random_frames, and load a model that has them with --load-path"
        )
    if experiment.train.collectors and (experiment.dream.train or experiment.train.learner != "ppo"):
        raise UserError("train.collectors: only PPO from real rollouts is collected by others; leave it 0 here")
    names = experiment.warm_up.recording
    recordings = find_recordings(names, experiment, workspace) if names else []
    with contextlib.closing(EnvProbe(experiment.env)) as probe:
        start = prepare(experiment, workspace, previous, probe)
        check_spaces(recordings, start.spaces)
        shared = bool(experiment.train.collectors)
        envs = None if shared else make_vector(start.experiment.env, start.experiment.run.seed, probe)
    with contextlib.ExitStack() as stack:
        if envs is not None:
            stack.enter_context(contextlib.closing(envs))
        job: TrainingJob | DreamJob | EvolutionJob
        if envs is not None and start.experiment.dream.train:
            job = DreamJob(start.experiment, start.spaces, start.model, envs, start.randomness)
        elif envs is not None and start.experiment.train.learner == "cma_es":
            job = EvolutionJob(start.experiment, start.spaces, start.model, envs)
        else:
            job = TrainingJob(start.experiment, start.spaces, start.model, envs, start.randomness, recordings, probe)
            stack.callback(job.close)
        yield from execute("train", start, workspace, job, lambda run: job.run(run, control))


def as_dreamt(experiment: Experiment) -> Experiment:
    """The experiment of a run that learns in dreams, with a memory that can dream where none was chosen.

    Raises:
        UserError: it asks for what such a run does not do.
    """
    if experiment.warm_up.recording or experiment.warm_up.random_frames:
        raise UserError(
            "warm_up: a run that learns in dreams (--dream) begins with dream.random_steps; leave out "
            "warm_up.recording and warm_up.random_frames"
        )
    if experiment.train.learner != "ppo":
        raise UserError(f"train.learner {experiment.train.learner}: who learns in dreams (--dream) is dream.learner")
    return experiment.with_values(("memory.name", DREAMS)) if experiment.memory.name == "auto" else experiment


class TrainingJob(LearningJob):
    """State of a training run between two epochs; all of it is saved, so that a resumed run is the same run."""

    def __init__(
        self,
        experiment: Experiment,
        spaces: Spaces,
        model: AgentModel,
        envs: Simulator | None,
        randomness: Randomness,
        recordings: Sequence[Recording] = (),
        probe: EnvProbe | None = None,
    ) -> None:
        """Get ready to train `model`; `envs` is None where others act (`train.collectors`).

        Raises:
            UserError: settings that do not go together, or no cluster where one is asked for.
        """
        super().__init__(experiment, spaces, model, envs)
        num_envs = self.num_envs
        self.randomness = randomness
        ppo, generator = experiment.ppo, randomness.torch
        self.learner = make_ppo(model, experiment, num_envs, generator)
        self.world_model = WorldModelTrainer(model, experiment.world_model, generator)
        replay = self.world_model.replay
        if replay is not None and replay.capacity < num_envs:
            raise UserError(
                f"world_model.replay of {replay.capacity} decisions has no room for one of each of {num_envs} "
                "environments; give it more"
            )
        self.trains_world_model = experiment.world_model.train and not self.world_model.idle
        keeps_obs = self.trains_world_model and self.world_model.vision.trainable
        self.collector: LocalCollector | SharedCollector = (
            LocalCollector(envs, model, keeps_obs, generator)
            if envs is not None
            else shared_collector(self.model_file()[1], experiment, model, keeps_obs, generator)
        )
        cloning = Cloning(model.controller, ppo, self.learner.scaler, generator)
        self.warm_up = WarmUp(experiment, spaces, model, self.world_model, cloning, recordings, probe)
        self._pictures_at = 0.0
        self._saved_at = (-1, -1)

    @property
    def summary(self) -> str:
        """One line that says what trains on what."""
        e = self.experiment
        return f"{self.model.summary()} on {e.env.id}, seed {e.run.seed}, {self.num_envs} environments"

    @property
    def stages(self) -> tuple[str, ...]:
        """What is to come, in order."""
        return (*self.warm_up.stages, "train")

    @property
    def _position(self) -> tuple[int, int]:
        return self.epochs, sum(self.warm_up.done.values())

    def run(self, run: Run, control: JobControl) -> Generator[Event, None, None]:
        """Epochs until an end is reached; saves on the way and at the end."""
        yield from self.warm_up.run(run.folder, control)
        self._acting_since = time.monotonic()
        with RunLog(run, self.experiment.run.tensorboard) as sink:
            yield from self._epochs(run, sink, control)
        if self._saved_at != self._position:
            yield self._save(run)
        self._finish(run)

    def _epochs(self, run: Run, sink: RunLog, control: JobControl) -> Generator[Event, None, None]:
        settings, log = self.experiment.run, Averages()
        meter = Meter("train", self.experiment.train.total_steps, "steps", self.env_steps)
        while not (stop := self._reason_to_stop(control)):
            rollout, values = self._update()
            yield from self._note_rollout(run, rollout)
            log.add(values)
            self.epochs += 1
            self._note_score(self.mean_reward)
            yield meter.at(self.env_steps)
            if self.epochs % settings.log_freq == 0:
                yield sink.metrics(self.env_steps, self.epochs, self.seconds, self._told(log.take()))
            pictures = self._pictures(rollout)
            if pictures is not None:
                yield sink.images(self.env_steps, pictures)
            if self.epochs % settings.save_freq == 0:
                yield self._save(run)
        self.stopped_by = stop
        if log.count:  # epochs since the last row
            yield sink.metrics(self.env_steps, self.epochs, self.seconds, self._told(log.take()))

    def _update(self) -> tuple[Rollout, dict[str, float]]:
        """One update of the controller, then the world model on the same experience."""
        left = self._share_left()
        self.learner.steps = self._rollout_steps()
        values = self.learner.update(self.collector, left)
        rollout = self.learner.rollout
        assert rollout is not None
        if self.trains_world_model:
            assert rollout.next_obs is not None
            if self.epochs % DREAMS_EVERY == 0:  # before it is trained on
                values |= rollout_figures(self.model, rollout.buffer, rollout.next_obs)
            values |= self.world_model.train_on(rollout.buffer, rollout.next_obs, rollout.start, left)
        if self.trains_world_model or self.learner.trains_memory:
            self.collector.refresh(rollout)
        return rollout, values

    def _pictures(self, rollout: Rollout) -> dict[str, np.ndarray] | None:
        """Some observations and their reconstructions, at most every two seconds."""
        now = time.monotonic()
        if len(self.spaces.observation.shape) != 3 or now - self._pictures_at < PICTURE_SECONDS:
            return None
        self._pictures_at = now
        assert rollout.next_obs is not None
        return reconstructions(self.model.vision, rollout.next_obs[:PICTURES])

    def _save(self, run: Run) -> CheckpointSaved:
        tensors, metadata = self.model_file()
        folder = run.folder / FRAMES
        for ring in self.world_model.kept:
            ring.save(folder)  # before the checkpoint that counts on them
        path, best = run.save_checkpoint(
            self.env_steps, tensors, metadata, self.state(), self.mean_reward, keep=self.experiment.run.keep_checkpoints
        )
        for ring in self.world_model.kept:
            ring.prune(folder)
        self._checkpoint, self._saved_at = str(path), self._position
        return CheckpointSaved(str(path), self.env_steps, self.mean_reward, best)

    def close(self) -> None:
        """End those who collect."""
        if isinstance(self.collector, SharedCollector):
            self.collector.close()

    def state(self) -> dict[str, Any]:
        """Everything besides the weights that the next epoch depends on."""
        return {
            "counters": [self.env_steps, self.episodes, self.epochs, self.best_epoch],
            "best_mean": self.best,
            "seconds": self.seconds,
            "recent": list(self.recent),
            "recent_lengths": list(self.recent_lengths),
            **self.learner.state(),
            "world_model": self.world_model.state_dict(),
            "frames": self.world_model.frames.added if self.world_model.frames else 0,
            "replay": self.world_model.replay.added if self.world_model.replay else 0,
            "warm_up": self.warm_up.state(),
            "collector": self.collector.state(),
            "random": self.randomness.state(),
            "computed_on": computed_on(self.model.device),
        }

    def restore(self, run: Run) -> None:
        """Take up a run at its latest checkpoint.

        Raises:
            UserError: it has none, or one that is damaged or of other settings.
        """
        self._checkpoint = str(restore_latest(run, self.model, lambda state: self._take_up(state, run.folder)))
        self._steps_before, self._saved_at = self.env_steps, self._position

    def _take_up(self, state: dict[str, Any], folder: Path) -> None:
        """Undo `state`; `folder` is the run's."""
        self.env_steps, self.episodes, self.epochs, self.best_epoch = state["counters"]
        self.computed_on = state.get("computed_on")  # 0.1.0 did not say
        self.best, self.seconds_before = state["best_mean"], state["seconds"]
        self.recent.extend(state["recent"])
        self.recent_lengths.extend(state["recent_lengths"])
        self.learner.restore(state)
        self.world_model.load_state_dict(state["world_model"])
        self.warm_up.restore(state["warm_up"])
        if self.world_model.frames is not None and state["frames"]:
            self.world_model.frames.load(folder / FRAMES, state["frames"])
        if self.world_model.replay is not None and state.get("replay"):  # 0.1.0 had none
            self.world_model.replay.load(folder / FRAMES, state["replay"])
        self.collector.restore(state["collector"])
        self.randomness.restore(state["random"])
