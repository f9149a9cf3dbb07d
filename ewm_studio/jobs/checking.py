"""What of a job can be seen to go wrong before its turn comes: it is said when it is queued, not an hour later."""

from __future__ import annotations

import contextlib

from ewm_studio.analysis.inspection import inspect
from ewm_studio.errors import UserError
from ewm_studio.jobs.collect import find_recordings
from ewm_studio.jobs.kinds import job_kind
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace


def check_job(job: JobSpec) -> None:
    """Look into a job that is about to wait.

    Raises:
        UserError: its environment cannot be made, a part does not fit, or what it begins with is not there.
    """
    if job.resume or job_kind(job.kind).plays:  # what it goes on with may still be in the making
        return
    experiment = Experiment.from_dict(job.experiment).as_of_file()
    with contextlib.closing(Workspace(job.workspace)) as workspace:
        for named in (experiment.start.load_path, experiment.start.patch_load_path):
            if named and not _being_made(named, workspace):
                workspace.resolve_model(named)
        names = experiment.data.recording if job.kind == "pretrain" else experiment.warm_up.recording
        if names:
            find_recordings(names, experiment, workspace)
    found = inspect(experiment)
    if found.problem:
        raise UserError(found.problem)
    if job.kind == "pretrain" and found.parameters and not (found.parameters["vision"] or found.parameters["memory"]):
        vision, memory = found.chosen["vision"], found.chosen["memory"]
        raise UserError(f"There is nothing to pretrain: neither {vision} nor {memory} has anything to learn.")


def _being_made(name: str, workspace: Workspace) -> bool:
    """Whether a model's name is that of a run that is being trained, so that its model may still come."""
    with contextlib.suppress(UserError):
        return workspace.run_meant(name).alive
    return False
