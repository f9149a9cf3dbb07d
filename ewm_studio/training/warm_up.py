"""Vision trained on frames of random actions before the first rollout of a training run."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import torch

from ewm_studio.data.recent_frames import RecentFrames
from ewm_studio.models.agent import reconstructions
from ewm_studio.settings import Experiment
from ewm_studio.training.collect import collect_random, frame_store
from ewm_studio.training.events import EpisodeFinished, Event, Images, JobControl, Message
from ewm_studio.training.meter import Meter
from ewm_studio.training.optimize import Averages
from ewm_studio.training.setup import Spaces
from ewm_studio.training.world_model import WorldModelTrainer

READ_BATCH = 512  # frames moved at once
PICTURES = 8

T = TypeVar("T")


class WarmUp:
    """Fills the trainer's frames with those of random actions and trains vision on draws from them.

    The frames follow from the seed, so a run stopped while they were collected collects the same again.

    Attributes:
        updates: minibatches it takes; 0 where none is asked for.
        done: minibatches trained so far.
    """

    def __init__(self, experiment: Experiment, spaces: Spaces, trainer: WorldModelTrainer) -> None:
        self.experiment, self.spaces, self.trainer = experiment, spaces, trainer
        settings = experiment.world_model
        frames = settings.random_frames if trainer.frames is not None else 0
        self.pass_updates = -(-frames // settings.vision_batch_size)  # minibatches that make a pass
        self.updates = self.pass_updates * settings.random_epochs
        self.done = 0

    def run(self, folder: Path, control: JobControl) -> Generator[Event, None, None]:
        """Do what is left of it; `folder` takes the frames that memory has no room for. Ends early when asked to stop.

        Raises:
            UserError: random actions give no frame to train on.
        """
        frames = self.trainer.frames
        if frames is None or self.done >= self.updates:
            return
        if not frames.added:
            yield from self._collect(frames, folder, control)
        meter, losses = Meter("vision", self.updates, "minibatches", self.done), Averages()
        while self.done < self.updates and not control.stop_requested:
            self.trainer.train_on_recent(1, losses)
            self.done += 1
            yield meter.at(self.done)
            if self.done % self.pass_updates == 0:
                loss = losses.take()["vision/total"]
                if len(self.spaces.observation.shape) == 3:
                    yield Images(0, reconstructions(self.trainer.model.vision, frames.newest(PICTURES)))
        if self.done == self.updates:
            yield Message(f"vision trained on {len(frames):,} frames of random actions: loss {loss:.4g}")

    def _collect(self, frames: RecentFrames, folder: Path, control: JobControl) -> Generator[Event, None, None]:
        """Collect and put into the ring in random order, so that the agent's frames replace episodes evenly."""
        experiment, goal = self.experiment, self.experiment.world_model.random_frames
        with frame_store(experiment, self.spaces, folder) as store:
            # The episodes of random actions are none of the agent's.
            experience = yield from without_episodes(collect_random(experiment, goal, store, control))
            if control.stop_requested:
                return
            experience = experience.without_starts(-(-self.spaces.settling_frames // experiment.env.action_repeat))
            for batch in experience.frame_batches(np.random.default_rng(experiment.run.seed), READ_BATCH):
                frames.add(torch.from_numpy(batch))


def without_episodes(events: Generator[Event, None, T]) -> Generator[Event, None, T]:
    """The events but those of finished episodes, and the generator's value."""
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return cast("T", end.value)
        if not isinstance(event, EpisodeFinished):
            yield event
