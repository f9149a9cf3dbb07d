"""What every job has in which a controller learns: what was done and earned so far, when to stop, and what is told."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from typing import Any

import numpy as np
from torch import Tensor

from ewm_studio.acting.collector import Rollout
from ewm_studio.envs.probe import Spaces
from ewm_studio.envs.simulator import Episode, Simulator
from ewm_studio.events import MEAN_OF, EpisodeFinished, Event, JobControl
from ewm_studio.jobs.setup import model_metadata
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Run


class LearningJob:
    """Base of the jobs of `train`; a subclass acts, learns and saves.

    Attributes:
        env_steps, episodes, epochs: so far; an epoch is what is learned between two rows of figures.
        best: the highest score, by which the best checkpoint is chosen, and `best_epoch`, when it was.
        seconds_before: spent by earlier parts of a resumed run.
        recent, recent_lengths: rewards and lengths of the last episodes.
        losses: the last figures.
        stopped_by: why it ended.
        computed_on: what the run that is resumed was computed on, when it was saved.
    """

    def __init__(self, experiment: Experiment, spaces: Spaces, model: AgentModel, envs: Simulator | None) -> None:
        self.experiment, self.spaces, self.model = experiment, spaces, model.eval()
        count = experiment.env.batch_size
        assert envs is not None or count != "auto"  # `prepare` has found a number
        self.num_envs = envs.num_envs if envs is not None else int(count)
        self.env_steps = self.episodes = self.epochs = self.best_epoch = 0
        self.best: float | None = None
        self.seconds_before = 0.0
        self.recent: deque[float] = deque(maxlen=MEAN_OF)
        self.recent_lengths: deque[int] = deque(maxlen=MEAN_OF)
        self.losses: dict[str, float] = {}
        self.stopped_by = ""
        self.computed_on: dict[str, str] | None = None
        self._began = self._acting_since = time.monotonic()
        self._steps_before = 0
        self._checkpoint = ""

    @property
    def seconds(self) -> float:
        """Time spent on this run so far."""
        return self.seconds_before + time.monotonic() - self._began

    @property
    def mean_reward(self) -> float | None:
        """Mean unshaped reward of the last 100 episodes."""
        return float(np.mean(self.recent)) if self.recent else None

    def model_file(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and description for a model file."""
        counters = {
            "env_steps": self.env_steps,
            "episodes": self.episodes,
            "epochs": self.epochs,
            "mean_reward": self.mean_reward,
        }
        return self.model.state_dict(), model_metadata(self.model, self.experiment, self.spaces, counters)

    def result(self, run: Run) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "run": run.name,
            "checkpoint": str(run.best_checkpoint() or self._checkpoint),
            "env_steps": self.env_steps,
            "episodes": self.episodes,
            "epochs": self.epochs,
            "mean_reward": self.mean_reward,
            "best_mean_reward": run.best_reward,
            "losses": self.losses,
            "seconds": self.seconds,
            "steps_per_second": self._speed(),
            "stopped_by": self.stopped_by,
        }

    def _finish(self, run: Run) -> None:
        run.finish(
            "stopped" if self.stopped_by == "stop" else "finished",
            steps=self.env_steps,
            episodes=self.episodes,
            epochs=self.epochs,
        )

    def _reason_to_stop(self, control: JobControl) -> str:
        """Empty: it goes on."""
        settings = self.experiment.train
        if control.stop_requested:
            return "stop"
        if settings.total_steps is not None and self.env_steps >= settings.total_steps:
            return "total_steps"
        if settings.minutes is not None and self.seconds >= 60 * settings.minutes:
            return "minutes"
        if settings.epochs is not None and self.epochs >= settings.epochs:
            return "epochs"
        if settings.patience is not None and self.epochs - self.best_epoch >= settings.patience:
            return "patience"
        return ""

    def _share_left(self) -> float:
        """How much of the run is to come, 1 to 0."""
        settings, ends = self.experiment.train, [0.0]
        if settings.total_steps is not None:
            ends.append(self.env_steps / settings.total_steps)
        if settings.minutes is not None:
            ends.append(self.seconds / (60 * settings.minutes))
        if settings.epochs is not None:
            ends.append(self.epochs / settings.epochs)
        return 1.0 - min(max(ends), 1.0)

    def _rollout_steps(self) -> int:
        """Steps of the next rollout; the last one is cut so that the total is met as nearly as it can be."""
        steps, limit = self.experiment.ppo.rollout_steps, self.experiment.train.total_steps
        if limit is None:
            return steps
        return max(1, min(steps, -(-(limit - self.env_steps) // self.num_envs)))

    def _note_rollout(self, run: Run, rollout: Rollout) -> Generator[Event, None, None]:
        """Count what was acted, and the episodes that ended in it."""
        for after, episode in rollout.episodes:
            yield self._note_episode(run, self.env_steps + after, episode)
        self.env_steps += rollout.buffer.reward.numel()

    def _note_episode(self, run: Run, step: int, episode: Episode) -> EpisodeFinished:
        """Count an episode that ended at `step`."""
        self.episodes += 1
        self.recent.append(episode.reward)
        self.recent_lengths.append(episode.length)
        run.log_episode(step, self.seconds, episode.reward, episode.length)
        return EpisodeFinished(step, episode.reward, episode.length, episode.seed, self.mean_reward)

    def _note_score(self, score: float | None) -> None:
        """Whether this epoch's score is the best; patience begins with the first."""
        if score is None:
            self.best_epoch = self.epochs
        elif self.best is None or score > self.best:
            self.best, self.best_epoch = score, self.epochs

    def _told(self, values: dict[str, float]) -> dict[str, float]:
        """The figures of an epoch and what was earned of late; kept as the last ones, but for those without a value."""
        self.losses = {name: value for name, value in values.items() if np.isfinite(value)}
        if self.recent:
            values["reward/mean_100"] = float(np.mean(self.recent))
            values["reward/length_mean_100"] = float(np.mean(self.recent_lengths))
        values["speed/steps_per_second"] = self._speed()
        return values

    def _speed(self) -> float:
        return (self.env_steps - self._steps_before) / max(time.monotonic() - self._acting_since, 1e-9)
