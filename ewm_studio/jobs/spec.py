"""A job in words that travel to another thread, process or machine."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ewm_studio.errors import UserError
from ewm_studio.events import Event, JobControl
from ewm_studio.jobs.kinds import job_kind

if TYPE_CHECKING:
    from ewm_studio.jobs.live_feed import LiveFeed
    from ewm_studio.settings import Experiment
    from ewm_studio.workspace import Workspace

# Given how it is asked to stop, a generator of events.
StartJob = Callable[[JobControl], Generator[Event, None, None]]


def new_job_id() -> str:
    """A name for a job that no other has, under which its events travel."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class JobSpec:
    """What is to be done, in plain values.

    Attributes:
        kind: a name in the table of job kinds.
        workspace: its folder.
        experiment: nested settings; empty where a run is resumed with its own.
        resume: the run to go on with; empty where none is.
        model: what is to be played by its own settings: a run or a file; empty where the experiment says all.
    """

    kind: str
    workspace: str
    experiment: dict[str, Any] = field(default_factory=dict)
    resume: str = ""
    model: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> JobSpec:
        """What `to_dict` gave, also by way of JSON.

        Raises:
            UserError: a name or a type is not one of a job's.
        """
        kinds = {f.name: dict if f.name == "experiment" else str for f in fields(cls)}
        wrong = [name for name, value in values.items() if not isinstance(value, kinds.get(name, ()))]
        if wrong or not {"kind", "workspace"} <= values.keys():
            raise UserError(f"not a job: {', '.join(wrong) or 'kind or workspace'} is missing or not understood")
        return cls(**values)

    def events(self, control: JobControl, feed: LiveFeed | None = None) -> Generator[Event, None, None]:
        """Run it here; `feed` brings what is driven to a kind that is fed.

        Raises:
            UserError: bad input. JobError: the job could not go on.
        """
        from ewm_studio.jobs.live_feed import LiveFeed
        from ewm_studio.workspace import Workspace

        kind = job_kind(self.kind)
        if self.resume and not kind.may_resume:
            raise UserError(f"{self.kind} does not go on with a run")
        more: dict[str, Any] = {"resume": self.resume} if self.resume else {}
        if kind.fed:
            more["feed"] = feed or LiveFeed()
        with contextlib.closing(Workspace(self.workspace)) as workspace:
            # Whoever asked for it agreed to the environment's module or did not; a job in words says nothing of that.
            yield from kind.load()(self._settings(workspace).as_of_file(), workspace, control, **more)

    def check_trusted(self, workspace: Workspace) -> None:
        """Refuse, before it is started, what would import a module that nobody agreed to.

        Raises:
            Untrusted: the environment's. What else is wrong with the job is the job's to say.
        """
        from ewm_studio.envs.trust import check_trusted
        from ewm_studio.errors import Untrusted

        try:
            check_trusted(self._environment(workspace))
        except Untrusted:
            raise
        except UserError:
            return

    def _environment(self, workspace: Workspace) -> str:
        """The id of the environment that it would make."""
        from ewm_studio.jobs.launch import build_experiment, model_values

        if self.model:
            return str(model_values(workspace, self.model)["env"]["id"])
        if self.resume and not self.experiment:
            return build_experiment(workspace, resume=self.resume).experiment.env.id
        return str(self.experiment.get("env", {}).get("id", ""))

    def _settings(self, workspace: Workspace) -> Experiment:
        from ewm_studio.jobs.launch import build_experiment
        from ewm_studio.settings import Experiment

        if self.resume and not self.experiment:
            return build_experiment(workspace, resume=self.resume).experiment
        experiment = Experiment.from_dict(self.experiment)
        return self._as_the_model_was_made(experiment, workspace) if self.model else experiment

    def _as_the_model_was_made(self, experiment: Experiment, workspace: Workspace) -> Experiment:
        """The settings to play the model in: its own environment, and what was chosen for playing."""
        from ewm_studio.jobs.launch import build_experiment

        workspace.make()  # what is played in the window is kept, to be watched there
        kept: dict[str, Any] = {"infer.episodes": experiment.infer.episodes, "infer.greedy": experiment.infer.greedy}
        kept |= {"run.seed": experiment.run.seed, "run.device": experiment.run.device}
        return build_experiment(workspace, overrides={"start.load_path": self.model, **kept}).experiment
