"""A job in words that travel, and the events that come of it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ewm_studio.events import Event, JobControl
    from ewm_studio.jobs.live_feed import LiveFeed
    from ewm_studio.settings import Experiment
    from ewm_studio.workspace import Workspace


def job_events(
    command: str, experiment: Experiment, workspace: Workspace, control: JobControl, resume: str | None = None
) -> Generator[Event, None, None]:
    """A job's events; imports the engine, and torch with it, only now."""
    from ewm_studio import jobs as training

    if command == "pretrain" and resume is None:
        from ewm_studio.terminal.drive import driven_first

        experiment = driven_first(experiment, workspace, control)
    if resume is not None:
        return getattr(training, command)(experiment, workspace, control, resume=resume)
    return getattr(training, command)(experiment, workspace, control)


@dataclass(frozen=True)
class Job:
    """A job in words that travel to another process."""

    kind: Literal["train", "pretrain", "infer", "live"]
    workspace: str  # its folder
    experiment: dict[str, Any]  # nested settings; unused when a run is resumed
    resume: str = ""  # the run to go on with
    model: str = ""  # what `infer` plays: a run or a file

    def events(self, control: JobControl, feed: LiveFeed | None = None) -> Generator[Event, None, None]:
        """Run it here; `feed` brings what is driven to the kind `live`.

        Raises:
            UserError: bad input. JobError: the job could not go on.
        """
        from ewm_studio import jobs as training
        from ewm_studio.jobs.launch import build_experiment
        from ewm_studio.jobs.live_feed import LiveFeed
        from ewm_studio.settings import Experiment
        from ewm_studio.workspace import Workspace

        with contextlib.closing(Workspace(self.workspace)) as workspace:
            if self.resume:
                experiment = build_experiment(workspace, resume=self.resume).experiment
                yield from getattr(training, self.kind)(experiment, workspace, control, self.resume)
                return
            experiment = Experiment.from_dict(self.experiment)
            if self.kind == "live":
                yield from training.live(experiment, workspace, control, feed or LiveFeed())
                return
            if self.kind == "infer":
                workspace.make()  # what is played in the window is kept, to be watched there
                experiment = self._as_the_model_was_made(experiment, workspace)
            yield from getattr(training, self.kind)(experiment, workspace, control)

    def _as_the_model_was_made(self, experiment: Any, workspace: Any) -> Any:
        """The settings to play the model in: its own environment, and what was chosen for playing."""
        from ewm_studio.jobs.launch import build_experiment

        kept: dict[str, Any] = {"infer.episodes": experiment.infer.episodes, "infer.greedy": experiment.infer.greedy}
        kept |= {"run.seed": experiment.run.seed, "run.device": experiment.run.device}
        return build_experiment(workspace, overrides={"start.load_path": self.model, **kept}).experiment
