"""What a training run does before its first rollout, stage by stage; each can be stopped and taken up again.

Experience is collected with random actions, read from recordings, or both. Vision trains on draws from its frames,
memory on its sequences, and the controller copies the recorded driver.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from ewm_studio.data.experience import Experience, StoredEpisode
from ewm_studio.data.frame_buffer import FrameBuffer, motion_levels
from ewm_studio.data.frames import FrameStore
from ewm_studio.data.recordings import Recording
from ewm_studio.envs.probe import EnvProbe, Spaces
from ewm_studio.events import EpisodeFinished, Event, Images, JobControl, Message
from ewm_studio.jobs.collect import collect_random, encode_all, frame_store, read_recordings
from ewm_studio.jobs.meter import Meter
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.pictures import reconstructions
from ewm_studio.settings import Experiment
from ewm_studio.training.cloning import Cloning, demonstration
from ewm_studio.training.optimize import Averages
from ewm_studio.training.sequences import to_sequence_batch
from ewm_studio.training.world_model_trainer import WorldModelTrainer

READ_BATCH = 512  # frames moved at once
PICTURES = 8
MEMORY_SALT = 0x3E3  # keeps the order of memory's passes apart from other draws of the same seed

T = TypeVar("T")


class WarmUp:
    """The stages before the first rollout.

    The experience follows from seed and recordings, so a resumed run gathers the same again where it still needs it.

    Attributes:
        left: stages of training that are not over: vision, memory, clone.
        done: minibatches trained in each so far.
        cloning: trains the controller.
    """

    def __init__(
        self,
        experiment: Experiment,
        spaces: Spaces,
        model: AgentModel,
        trainer: WorldModelTrainer,
        cloning: Cloning,
        recordings: Sequence[Recording],
        probe: EnvProbe | None = None,
    ) -> None:
        self.experiment, self.spaces, self.model = experiment, spaces, model
        self.trainer, self.cloning = trainer, cloning
        self.recordings, self._probe = recordings, probe
        settings = experiment.warm_up
        wanted = {
            "vision": trainer.vision.trainable and settings.vision_epochs > 0,
            "memory": trainer.memory.trainable and settings.memory_epochs > 0,
            "clone": bool(recordings) and settings.clone_epochs > 0,
        }
        gathers = settings.random_frames > 0 or bool(recordings)
        self.left = [name for name, asked in wanted.items() if gathers and asked]
        self.done = dict.fromkeys(self.left, 0)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages to come, by the names that their progress goes under."""
        first = ("collect",) if self.left and self.experiment.warm_up.random_frames else ()
        encode = ("encode",) if {"memory", "clone"} & set(self.left) else ()
        vision, rest = [n for n in self.left if n == "vision"], [n for n in self.left if n != "vision"]
        return (*first, *vision, *encode, *rest)

    def run(self, folder: Path, control: JobControl) -> Generator[Event, None, None]:
        """Do what is left; `folder` takes the frames that memory has no room for. Ends early when asked to stop.

        Raises:
            UserError: there is no frame to train on.
        """
        if not self.left:
            return
        with frame_store(self.experiment, self.spaces, folder) as store:
            recorded: list[StoredEpisode] = []
            experience = Experience(store)
            kept = self.trainer.frames
            if self.left != ["vision"] or kept is None or not kept.added:
                recorded, experience = yield from self._gather(store, control)
            if "vision" in self.left and not control.stop_requested:
                yield from self._vision(experience, control)
            if not self.left or control.stop_requested:
                return
            latents = yield from encode_all(store, self.trainer.model, control)
            if "memory" in self.left and not control.stop_requested:
                yield from self._memory(experience, latents, control)
            if "memory" not in self.left:
                self._fill_replay(experience, latents)
            if "clone" in self.left and not control.stop_requested:
                yield from self._clone(recorded, latents, control)

    def state(self) -> dict[str, Any]:
        """Where it stands, for an exact resume."""
        cloning = self.cloning.state() if "clone" in self.left else None
        return {"left": list(self.left), "done": dict(self.done), "cloning": cloning}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.left, self.done = state["left"], state["done"]
        if state["cloning"] is not None:
            self.cloning.restore(state["cloning"])

    def _gather(
        self, store: FrameStore, control: JobControl
    ) -> Generator[Event, None, tuple[list[StoredEpisode], Experience]]:
        """The recorded episodes, and all experience: theirs and that of random actions."""
        experiment, goal = self.experiment, self.experiment.warm_up.random_frames
        recorded = yield from read_recordings(self.recordings, self.spaces, experiment, store)
        random: list[StoredEpisode] = []
        if goal and not control.stop_requested:  # the episodes of random actions are none of the agent's
            collecting = collect_random(experiment, goal, store, control, self._probe)
            random = (yield from without_episodes(collecting)).episodes
        skip = -(-self.spaces.settling_frames // experiment.env.action_repeat)
        experience = Experience(store, [*recorded, *random])
        return recorded, experience if control.stop_requested else experience.without_starts(skip)

    def _vision(self, experience: Experience, control: JobControl) -> Generator[Event, None, None]:
        """Vision on draws from the frames: those that are kept, or all where none are."""
        trainer, settings = self.trainer, self.experiment.world_model
        frames = trainer.frames
        if frames is None:
            frames = trainer.new_frames(experience.frame_count)
        if not frames.added:
            _fill(frames, experience, self.experiment.run.seed, settings.balance)
        pass_updates = -(-len(frames) // settings.vision_batch_size)
        updates = pass_updates * self.experiment.warm_up.vision_epochs
        meter, losses, loss = Meter("vision", updates, "minibatches", self.done["vision"]), Averages(), np.nan
        while self.done["vision"] < updates and not control.stop_requested:
            trainer.train_on_draws(frames, 1, losses)
            self.done["vision"] += 1
            yield meter.at(self.done["vision"])
            if self.done["vision"] % pass_updates == 0:
                loss = losses.take()["vision/total"]
                if len(self.spaces.observation.shape) == 3:
                    yield Images(0, reconstructions(trainer.model.vision, frames.newest(PICTURES)))
        if self.done["vision"] >= updates:
            self.left.remove("vision")
            yield Message(f"vision trained on {len(frames):,} frames: loss {loss:.4g}")

    def _memory(self, experience: Experience, latents: Tensor, control: JobControl) -> Generator[Event, None, None]:
        """Memory by passes over the sequences, each in an order that seed and pass decide."""
        model, trainer, losses = self.trainer.model, self.trainer.memory, Averages()
        total = self.experiment.warm_up.memory_epochs * experience.step_count
        batches = itertools.chain.from_iterable(
            self._sequences(experience, latents, epoch) for epoch in range(self.experiment.warm_up.memory_epochs)
        )
        meter, steps = Meter("memory", total, "steps"), 0
        model.memory.train()
        for number, batch in enumerate(batches):
            steps += int(batch.mask.sum())
            if number < self.done["memory"]:  # trained before the run was stopped
                continue
            if control.stop_requested:
                model.memory.eval()
                return
            losses.add(trainer.step(model.losses(sequences=batch, generator=self.trainer.generator)["memory"]))
            self.done["memory"] += 1
            yield meter.at(steps)
        model.memory.eval()
        self.left.remove("memory")
        loss = losses.take().get("memory/total", np.nan)
        yield Message(f"memory trained on {experience.step_count:,} steps: loss {loss:.4g}")

    def _fill_replay(self, experience: Experience, latents: Tensor) -> None:
        """The first that is replayed, where there is a replay and nothing in it yet."""
        replay = self.trainer.replay
        for episode in experience.episodes if replay is not None and not replay.added else ():
            assert replay is not None
            replay.add_episode(
                z=latents[torch.from_numpy(episode.frames)],
                action=torch.from_numpy(episode.action),
                reward=torch.from_numpy(episode.reward),
                terminated=episode.terminated,
                obs=torch.from_numpy(experience.store.read(episode.frames)) if replay.keeps_obs else None,
            )

    def _sequences(self, experience: Experience, latents: Tensor, epoch: int) -> Iterator[SequenceBatch]:
        settings, seed = self.experiment.world_model, self.experiment.run.seed
        rng = np.random.default_rng(np.random.SeedSequence([seed, MEMORY_SALT, epoch]))
        for sequences in experience.sequence_batches(rng, settings.memory_batch_size, settings.sequence_length):
            yield to_sequence_batch(sequences, latents, self.trainer.model.action_encoding)

    def _clone(
        self, recorded: list[StoredEpisode], latents: Tensor, control: JobControl
    ) -> Generator[Event, None, None]:
        """The controller on what the recorded driver did."""
        shown = demonstration(self.model, recorded, latents, self.experiment.ppo.gamma)
        updates = self.experiment.warm_up.clone_epochs * -(-len(shown.z) // self.experiment.ppo.batch_size)
        meter, losses = Meter("clone", updates, "minibatches", self.done["clone"]), Averages()
        if not self.done["clone"]:
            self.cloning.begin(shown)
        while self.done["clone"] < updates and not control.stop_requested:
            losses.add(self.cloning.update(shown))
            self.done["clone"] += 1
            yield meter.at(self.done["clone"])
        if self.done["clone"] >= updates:
            self.left.remove("clone")
            likelihood = -losses.take().get("clone/policy_loss", np.nan)
            yield Message(
                f"controller cloned from {len(shown.z):,} recorded decisions: log-likelihood {likelihood:.4g}"
            )


def _fill(frames: FrameBuffer, experience: Experience, seed: int, with_levels: bool) -> None:
    """Put frames into the ring in random order, so that the agent's replace the episodes evenly."""
    store = experience.store
    levels = torch.zeros(len(store), dtype=torch.uint8)
    for episode in experience.episodes if with_levels else ():
        pictures = torch.from_numpy(store.read(episode.frames)).unsqueeze(1)  # (T + 1, 1, ...)
        is_first = torch.zeros(len(pictures), 1, dtype=torch.bool)
        levels[torch.from_numpy(episode.frames)] = motion_levels(pictures, is_first)[:, 0]
    for numbers in experience.number_batches(np.random.default_rng(seed), READ_BATCH):
        frames.add(torch.from_numpy(store.read(numbers)), levels[torch.from_numpy(numbers)])


def without_episodes(events: Generator[Event, None, T]) -> Generator[Event, None, T]:
    """The events but those of finished episodes, and the generator's value."""
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return cast("T", end.value)
        if not isinstance(event, EpisodeFinished):
            yield event
