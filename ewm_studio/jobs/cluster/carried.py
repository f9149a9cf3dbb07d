"""What a job needs of this machine: the run it goes on with, its models, the recordings that it learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ewm_studio.data.library import Library
from ewm_studio.errors import UserError
from ewm_studio.jobs.cluster.parcels import travelling
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.workspace import Workspace

_MODELS = ("load_path", "patch_load_path")
_RECORDINGS = (("warm_up", "recording"), ("data", "recording"))


@dataclass(frozen=True)
class Carried:
    """Files that go with a job.

    Attributes:
        files: by their paths in the workspace that is made for it.
        models: settings that name a model file, with its path there.
    """

    files: dict[str, Path]
    models: dict[str, str]


def carried(job: JobSpec, workspace: Workspace) -> Carried:
    """All that a job needs.

    Raises:
        UserError: it is not there, or a recording lies outside of the workspace.
    """
    files: dict[str, Path] = {}
    models: dict[str, str] = {}
    if job.resume:
        files |= _folder(workspace.run(job.resume).folder, f"runs/{job.resume}")
    for number, name in enumerate(_MODELS):
        given = job.experiment.get("start", {}).get(name)
        if given and not job.resume:
            model = workspace.resolve_model(given)
            models[f"start.{name}"] = place = f"models/{number}/{model.name}"
            files[place] = model
    for section, name in _RECORDINGS if job.kind in ("train", "pretrain") else ():
        given = job.experiment.get(section, {}).get(name)
        for recording in Library(workspace).find_all(given) if given else ():
            if recording.folder.resolve().parent != workspace.recordings_folder.resolve():
                raise UserError(
                    f"{recording.folder}: a cluster is sent recordings of the workspace only; import it first"
                )
            files |= _folder(recording.folder, f"recordings/{recording.folder.name}")
    return Carried(files, models)


def _folder(folder: Path, place: str) -> dict[str, Path]:
    return {f"{place}/{path}": folder / path for path in travelling(folder)}
