"""Writing a recording without a person: by the random policy or by a model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import Any, cast

import torch

from ewm_studio.acting.disturbed import disturbed
from ewm_studio.acting.episode import Listener, play_episodes
from ewm_studio.acting.policy import ControllerPolicy, Policy
from ewm_studio.acting.random_policy import RandomPolicy
from ewm_studio.analysis.figures import spread
from ewm_studio.data.library import Library
from ewm_studio.data.recordings import RecordingWriter
from ewm_studio.envs.factory import env_notes, make_prepared_env
from ewm_studio.envs.simulator import Simulator, Step, Watchable
from ewm_studio.envs.single import SingleEnv
from ewm_studio.envs.spaces import space_to_json
from ewm_studio.errors import UserError
from ewm_studio.events import EpisodeFinished, Event, Finished, JobControl, Message, RunStarted
from ewm_studio.jobs.covered import Covered, told
from ewm_studio.jobs.failures import explains_failures
from ewm_studio.jobs.infer_job import agent_for
from ewm_studio.jobs.meter import Meter
from ewm_studio.jobs.place import opens_workspace
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import Experiment
from ewm_studio.training.randomness import Randomness
from ewm_studio.workspace import Workspace

FRAMES_A_NEWS = 256  # between two words about the progress


@opens_workspace
@explains_failures
def record(
    experiment: Experiment, workspace: Workspace, control: JobControl | None = None
) -> Generator[Event, None, None]:
    """Record `data.frames` frames of stock observations; every finished episode is on disk at once.

    With `start.load_path` the model acts, otherwise the random policy. Every frame is recorded with the action
    applied at it; `env.action_repeat` holds each decision for that many frames. The last episode is cut at the end.

    Raises:
        UserError: bad input. JobError: the disk is full.
    """
    control = control or JobControl()
    settings, data = experiment.env.as_collected(experiment.data.idle_limit), experiment.data
    if "," in (experiment.data.recording or ""):
        raise UserError(f"--recording {experiment.data.recording}: a recording is written under one name")
    name = experiment.data.recording or time.strftime(f"%Y-%m-%d-%H%M%S-{_source(experiment)}")
    place = Library(workspace).place_to_write(name)
    randomness = Randomness(experiment.run.seed)
    agent = agent_for(experiment, workspace) if experiment.start.load_path else None
    env = make_prepared_env(settings, training=True)
    policy: Policy = RandomPolicy(env.action_space, randomness.numpy)
    if agent is not None:
        policy = ControllerPolicy(agent.model.controller, experiment.infer.greedy)
        randomness.move_to(agent.model.device)
    policy = disturbed(policy, env.action_space, randomness.numpy, data)
    with contextlib.closing(SingleEnv(env, settings, seeds=experiment.run.seed)) as simulator:
        source = _source(experiment)
        writer = RecordingWriter(
            place,
            {
                "env": settings.id,
                "env_kwargs": settings.kwargs,
                "pixels": settings.pixels,
                "source": source,
                "seed": experiment.run.seed,
                "action_repeat": settings.action_repeat,
                "observation_space": space_to_json(env.preprocessor.raw_space),
                "action_space": space_to_json(env.action_space),
            },
        )
        yield RunStarted("record", name, str(writer.folder), f"{settings.id} by {source} policy")
        yield from (Message(line, "warning") for line in env_notes(settings))
        recorder = EpisodeRecorder(writer, experiment.data.frames)
        world = agent.model if agent else None
        try:
            yield from record_in(simulator, policy, world, recorder, randomness.torch, control)
        finally:
            writer.discard()  # what an environment that failed has left half done


def _source(experiment: Experiment) -> str:
    """Who acts."""
    return "model" if experiment.start.load_path else "random"


def record_in(
    simulator: Simulator,
    policy: Policy,
    world: WorldModel | None,
    recorder: EpisodeRecorder,
    generator: torch.Generator,
    control: JobControl,
) -> Generator[Event, None, None]:
    """Record what a policy does in any simulator of one episode, an environment or a dream, until there is enough.

    Raises:
        JobError: the environment failed, or the disk is full.
    """
    covered = Covered()
    steps = play_episodes(
        simulator,
        policy,
        world,
        [recorder, covered],
        generator=generator,
        stopped=lambda: control.stop_requested or recorder.full,
    )
    meter, began, said = Meter("record", recorder.goal, "frames"), time.monotonic(), 0
    for _ in steps:
        yield from recorder.take_events()
        if recorder.frames - said >= FRAMES_A_NEWS:
            said = recorder.frames
            yield meter.at(said)
    recorder.cut()
    yield from recorder.take_events()
    frames, rewards, folder = recorder.frames, recorder.rewards, recorder.writer.folder
    stopped_by = "frames" if recorder.full else "stop"
    yield Message(f"{frames:,} frames in {len(rewards)} episodes written to {folder}")
    result: dict[str, Any] = {"recording": str(folder), "frames": frames, "episodes": len(rewards), **spread(rewards)}
    found = covered.found(simulator.action_space)
    if found is not None:
        yield from told(found)
        result["coverage"] = found.describe()
    yield Finished(stopped_by, {**result, "seconds": time.monotonic() - began, "stopped_by": stopped_by})


class EpisodeRecorder(Listener):
    """Writes every frame of one environment as it is before preparation, until there are enough.

    Attributes:
        frames: written so far.
        rewards: of the episodes written so far.
    """

    def __init__(self, writer: RecordingWriter, goal: int) -> None:
        self.writer, self.goal = writer, goal
        self.frames, self.rewards = 0, list[float]()
        self._total, self._length, self._seed, self._events = 0.0, 0, 0, list[Event]()

    @property
    def full(self) -> bool:
        """Whether there are enough frames."""
        return self.frames >= self.goal

    def begin(self, simulator: Simulator, obs: Any) -> None:
        """From now on, every frame."""
        self._simulator = cast("Watchable", simulator)
        self._simulator.on_frame = self._on_frame
        self._begin()

    def step(self, belief: Any, action: Any, step: Step) -> None:
        """Write an episode that ended, unless there were enough frames before its end."""
        for episode in step.episodes:
            cut = self._length < episode.length
            # Not what the rules of training made an end: a memory would learn it as one.
            self._end(bool(step.env_terminated[0]) and not cut, episode.seed)
            self._begin()

    def cut(self) -> None:
        """Write the episode that is going on, if there is anything of it."""
        if self._length:
            self._end(terminated=False, seed=self._simulator.seed)
        self.writer.discard()

    def take_events(self) -> list[Event]:
        """What is to be told since the last call."""
        events, self._events = self._events, []
        return events

    def _on_frame(self, action: Any, reward: float, over: bool) -> None:
        if self.full:
            return
        self.writer.step(action, reward, self._simulator.raw(), manual=False)
        self._total, self._length, self.frames = self._total + reward, self._length + 1, self.frames + 1

    def _begin(self) -> None:
        self._total, self._length = 0.0, 0
        self.writer.begin(self._simulator.raw())

    def _end(self, terminated: bool, seed: int) -> None:
        self.writer.meta["seed"] = seed
        self.writer.end(terminated=terminated, truncated=not terminated)
        self.rewards.append(self._total)
        self._events.append(EpisodeFinished(self.frames, self._total, self._length, seed))
