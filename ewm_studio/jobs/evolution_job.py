"""Training by evolution: a linear controller by CMA-ES, on a vision and a memory that stay as they are."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ewm_studio.envs.probe import Spaces
from ewm_studio.envs.simulator import Simulator
from ewm_studio.events import CheckpointSaved, EpisodeFinished, Event, JobControl
from ewm_studio.jobs.lifecycle import restore_latest
from ewm_studio.jobs.meter import Meter
from ewm_studio.jobs.resuming import computed_on
from ewm_studio.jobs.run_log import RunLog
from ewm_studio.jobs.setup import model_metadata
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Run

if TYPE_CHECKING:
    from ewm_studio.training.cma_es import CMAES

LAST = 100  # episodes that the mean reward is taken over


class EvolutionJob:
    """State of an evolution between two generations; all of it is saved, so that a resumed run is the same run."""

    def __init__(self, experiment: Experiment, spaces: Spaces, model: AgentModel, envs: Simulator) -> None:
        self.experiment, self.spaces, self.model, self.envs = experiment, spaces, model.eval(), envs
        self.learner = _learner(experiment, self.model)
        self.env_steps = self.episodes = 0
        self.seconds_before = 0.0  # spent by earlier parts of a resumed run
        self.recent: deque[float] = deque(maxlen=LAST)
        self.best_mean: float | None = None
        self.best_generation = 0
        self.figures: dict[str, float] = {}
        self.stopped_by = ""
        self.computed_on: dict[str, str] | None = None  # when the run that is resumed was saved
        self._began, self._steps_before = time.monotonic(), 0
        self._checkpoint, self._saved_at = "", -1

    @property
    def summary(self) -> str:
        """One line that says what trains on what."""
        e = self.experiment
        count = f"{e.evolution.population} candidates, {self.envs.num_envs} environments"
        return f"{self.model.summary()} by CMA-ES on {e.env.id}, seed {e.run.seed}, {count}"

    @property
    def stages(self) -> tuple[str, ...]:
        """What is to come, in order."""
        return ("train",)

    @property
    def seconds(self) -> float:
        """Time spent on this run so far."""
        return self.seconds_before + time.monotonic() - self._began

    @property
    def mean_reward(self) -> float | None:
        """Mean unshaped reward of the last 100 episodes, of whichever candidates."""
        return float(np.mean(self.recent)) if self.recent else None

    def run(self, run: Run, control: JobControl) -> Generator[Event, None, None]:
        """Generations until an end is reached; saves on the way and at the end."""
        self.learner.stopped = lambda: control.stop_requested
        with RunLog(run, self.experiment.run.tensorboard) as sink:
            yield from self._generations(run, sink, control)
        if self._saved_at != self.learner.generation:
            yield self._save(run)
        run.finish(
            "stopped" if self.stopped_by == "stop" else "finished",
            **self._counters(),
            mean_reward=self.mean_reward,
            best_reward=self.best_mean,
        )

    def _generations(self, run: Run, sink: RunLog, control: JobControl) -> Generator[Event, None, None]:
        settings = self.experiment.run
        meter = Meter("train", self.experiment.train.total_steps, "steps", self.env_steps)
        while not (stop := self._reason_to_stop(control)):
            figures = self.learner.update(self.envs)
            if not figures:
                continue  # broken off
            yield from self._note_episodes(run)
            self._note_best()
            self.figures = figures | {
                "reward/mean_100": float(np.mean(self.recent)),
                "speed/steps_per_second": self._speed(),
            }
            yield meter.at(self.env_steps)
            yield sink.metrics(self.env_steps, self.learner.generation, self.seconds, dict(self.figures))
            if self.learner.generation % settings.save_freq == 0:
                yield self._save(run)
        self.stopped_by = stop

    def _reason_to_stop(self, control: JobControl) -> str:
        settings = self.experiment.train
        if control.stop_requested:
            return "stop"
        if settings.total_steps is not None and self.env_steps >= settings.total_steps:
            return "total_steps"
        if settings.epochs is not None and self.learner.generation >= settings.epochs:
            return "epochs"
        if settings.patience is not None and self.learner.generation - self.best_generation >= settings.patience:
            return "patience"
        return ""

    def _note_episodes(self, run: Run) -> Generator[Event, None, None]:
        self.env_steps += self.learner.steps
        for episode in self.learner.played:
            self.episodes += 1
            self.recent.append(episode.reward)
            run.log_episode(self.env_steps, self.seconds, episode.reward, episode.length)
            yield EpisodeFinished(self.env_steps, episode.reward, episode.length, episode.seed)

    def _note_best(self) -> None:
        mean = self.mean_reward
        if mean is not None and (self.best_mean is None or mean > self.best_mean):
            self.best_mean, self.best_generation = mean, self.learner.generation

    def _speed(self) -> float:
        return (self.env_steps - self._steps_before) / max(time.monotonic() - self._began, 1e-9)

    def _counters(self) -> dict[str, int]:
        return {"steps": self.env_steps, "episodes": self.episodes, "epochs": self.learner.generation}

    def model_file(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and description for a model file."""
        counters = {
            "env_steps": self.env_steps,
            "episodes": self.episodes,
            "epochs": self.learner.generation,
            "mean_reward": self.mean_reward,
        }
        return self.model.state_dict(), model_metadata(self.model, self.experiment, self.spaces, counters)

    def _save(self, run: Run) -> CheckpointSaved:
        tensors, metadata = self.model_file()
        path, best = run.save_checkpoint(
            self.env_steps, tensors, metadata, self.state(), self.mean_reward, keep=self.experiment.run.keep_checkpoints
        )
        self._checkpoint, self._saved_at = str(path), self.learner.generation
        return CheckpointSaved(str(path), self.env_steps, self.mean_reward, best)

    def state(self) -> dict[str, Any]:
        """Everything besides the weights that the next generation depends on."""
        return {
            "counters": [self.env_steps, self.episodes, self.best_generation],
            "best_mean": self.best_mean,
            "seconds": self.seconds,
            "recent": list(self.recent),
            "evolution": self.learner.state(),
            "computed_on": computed_on(self.model.device),
        }

    def restore(self, run: Run) -> None:
        """Take up a run at its latest checkpoint.

        Raises:
            UserError: it has none, or one that is damaged or of other settings.
        """
        self._checkpoint = str(restore_latest(run, self.model, self._take_up))
        self._steps_before, self._saved_at = self.env_steps, self.learner.generation

    def _take_up(self, state: dict[str, Any]) -> None:
        self.env_steps, self.episodes, self.best_generation = state["counters"]
        self.computed_on = state["computed_on"]
        self.best_mean, self.seconds_before = state["best_mean"], state["seconds"]
        self.recent.extend(state["recent"])
        self.learner.restore(state["evolution"])

    def result(self, run: Run) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "run": run.name,
            "checkpoint": str(run.best_checkpoint() or self._checkpoint),
            "env_steps": self.env_steps,
            "episodes": self.episodes,
            "epochs": self.learner.generation,
            "mean_reward": self.mean_reward,
            "best_mean_reward": self.best_mean,
            "losses": self.figures,
            "seconds": self.seconds,
            "steps_per_second": self._speed(),
            "stopped_by": self.stopped_by,
        }


def _learner(experiment: Experiment, model: AgentModel) -> CMAES:
    from ewm_studio.training.cma_es import CMAES  # its library takes a while to import

    return CMAES(model, model.controller, experiment.evolution, experiment.run.seed)
