"""Training by evolution: a linear controller by CMA-ES, on a vision and a memory that stay as they are."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ewm_studio.envs.probe import Spaces
from ewm_studio.envs.simulator import Simulator
from ewm_studio.events import CheckpointSaved, Event, JobControl
from ewm_studio.jobs.learning import LearningJob
from ewm_studio.jobs.lifecycle import restore_latest
from ewm_studio.jobs.meter import Meter
from ewm_studio.jobs.resuming import computed_on
from ewm_studio.jobs.run_log import RunLog
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Run

STEPS = 16  # of all environments, between two words of how far a generation is

if TYPE_CHECKING:
    from ewm_studio.training.cma_es import CMAES


class EvolutionJob(LearningJob):
    """State of an evolution between two generations; all of it is saved, so that a resumed run is the same run."""

    def __init__(self, experiment: Experiment, spaces: Spaces, model: AgentModel, envs: Simulator) -> None:
        super().__init__(experiment, spaces, model, envs)
        self.envs = envs
        self.learner = _learner(experiment, self.model)
        self._saved_at = -1

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

    def run(self, run: Run, control: JobControl) -> Generator[Event, None, None]:
        """Generations until an end is reached; saves on the way and at the end."""
        with RunLog(run, self.experiment.run.tensorboard) as sink:
            yield from self._generations(run, sink, control)
        if self._saved_at != self.epochs:
            yield self._save(run)
        self._finish(run)

    def _generations(self, run: Run, sink: RunLog, control: JobControl) -> Generator[Event, None, None]:
        meter = Meter("train", self.experiment.train.total_steps, "steps", self.env_steps)
        while not (stop := self._reason_to_stop(control)):
            for step, decisions in enumerate(self.learner.judge(self.envs), 1):
                if control.stop_requested:
                    break
                if step % STEPS == 0:
                    yield meter.at(self.env_steps + decisions)
            else:
                yield from self._learned(run, sink, meter)
        self.stopped_by = stop

    def _learned(self, run: Run, sink: RunLog, meter: Meter) -> Generator[Event, None, None]:
        """A generation is through."""
        yield from self._note_episodes(run)
        self.epochs = self.learner.generation
        self._note_score(self.mean_reward)
        yield meter.at(self.env_steps)
        yield sink.metrics(self.env_steps, self.epochs, self.seconds, self._told(self.learner.figures))
        if self.epochs % self.experiment.run.save_freq == 0:
            yield self._save(run)

    def _note_episodes(self, run: Run) -> Generator[Event, None, None]:
        self.env_steps += self.learner.steps
        for episode in self.learner.played:
            yield self._note_episode(run, self.env_steps, episode)

    def _save(self, run: Run) -> CheckpointSaved:
        tensors, metadata = self.model_file()
        path, best = run.save_checkpoint(
            self.env_steps, tensors, metadata, self.state(), self.mean_reward, keep=self.experiment.run.keep_checkpoints
        )
        self._checkpoint, self._saved_at = str(path), self.epochs
        return CheckpointSaved(str(path), self.env_steps, self.mean_reward, best)

    def state(self) -> dict[str, Any]:
        """Everything besides the weights that the next generation depends on."""
        return {
            "counters": [self.env_steps, self.episodes, self.best_epoch],
            "best_mean": self.best,
            "seconds": self.seconds,
            "recent": list(self.recent),
            "recent_lengths": list(self.recent_lengths),
            "evolution": self.learner.state(),
            "computed_on": computed_on(self.model.device),
        }

    def restore(self, run: Run) -> None:
        """Take up a run at its latest checkpoint.

        Raises:
            UserError: it has none, or one that is damaged or of other settings.
        """
        self._checkpoint = str(restore_latest(run, self.model, self._take_up))
        self._steps_before, self._saved_at = self.env_steps, self.epochs

    def _take_up(self, state: dict[str, Any]) -> None:
        self.env_steps, self.episodes, self.best_epoch = state["counters"]
        self.computed_on = state["computed_on"]
        self.best, self.seconds_before = state["best_mean"], state["seconds"]
        self.recent.extend(state["recent"])
        self.recent_lengths.extend(state["recent_lengths"])
        self.learner.restore(state["evolution"])
        self.epochs = self.learner.generation


def _learner(experiment: Experiment, model: AgentModel) -> CMAES:
    from ewm_studio.training.cma_es import CMAES  # its library takes a while to import

    return CMAES(model, model.controller, experiment.evolution, experiment.run.seed)
