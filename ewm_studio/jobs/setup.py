"""What every job does first: device, threads, seeds, spaces and the model, all checked before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Generator

from ewm_studio.envs.probe import Spaces
from ewm_studio.envs.spaces import describe, space_to_json
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts, from_description, patch
from ewm_studio.models.randomness import drawing_from
from ewm_studio.settings import ComponentChoice, EnvSettings, Experiment, StartSettings
from ewm_studio.settings.experiment import COMPONENTS, ComponentKind
from ewm_studio.settings.layers import HOW_TRAINED, Values, with_model
from ewm_studio.settings.typed_path import typed_path
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.files import check_folder
from ewm_studio.workspace.models import load_model
from ewm_studio.workspace.versions import versions


def build_model(
    experiment: Experiment, spaces: Spaces, workspace: Workspace, generator: Generator, resumed: bool = False
) -> tuple[AgentModel, Experiment]:
    """The model a run starts with: fresh, loaded, or patched; and the experiment that names its parts in full.

    The weights of a fresh one are drawn from `generator`. `resumed`: the experiment is that of a run that exists.

    Raises:
        UserError: parts do not fit, or a file is damaged, of another kind or of other spaces.
    """
    start, dropout = experiment.start, experiment.world_model.dropout
    if start.load_path:
        model = load_for(start.load_path, spaces, experiment.env, workspace, dropout, going_on(experiment))
    else:
        parts = choose_parts(experiment, spaces.observation, spaces.action, made=resumed)
        with drawing_from(generator):
            model = AgentModel(parts, spaces.observation, spaces.action)
    patch_from(start, model, workspace, dropout)
    own: Values = {k: {"name": part.name, **part.settings.model_dump(mode="json")} for k, part in model.parts.items()}
    return model, Experiment.from_dict(with_model(experiment.model_dump(mode="json"), own))


def going_on(experiment: Experiment) -> dict[ComponentKind, ComponentChoice]:
    """What an experiment says of how components that were loaded go on being trained, by kind."""
    chosen: dict[ComponentKind, ComponentChoice] = {kind: getattr(experiment, kind) for kind in COMPONENTS}
    return {
        kind: ComponentChoice(name=choice.name, **{n: v for n, v in choice.given.items() if n in HOW_TRAINED})
        for kind, choice in chosen.items()
    }


def patch_from(start: StartSettings, model: AgentModel, workspace: Workspace, dropout: float | None = None) -> None:
    """Replace the parts of `model` that `start.patch` names by those of the second model, where one is given.

    Raises:
        UserError: as `build_model`.
    """
    if start.patch_load_path:
        source = workspace.resolve_model(start.patch_load_path)
        donor, _ = from_description(*load_model(source), str(source), dropout)
        patch(model, donor, start.patch or "", str(source))
    elif start.patch:
        raise UserError("start.patch names parts, but no second model: give --patch-load-path")


def load_for(
    path: str,
    spaces: Spaces,
    env: EnvSettings,
    workspace: Workspace,
    dropout: float | None = None,
    how: Mapping[ComponentKind, ComponentChoice] | None = None,
) -> AgentModel:
    """A saved model for an environment with these spaces; `how` its components go on being trained, see `going_on`.

    Raises:
        UserError: as `build_model`.
    """
    source = workspace.resolve_model(path)
    model, made_for = from_description(*load_model(source), str(source), dropout, how)
    if model.observation_space != spaces.observation:
        raise UserError(
            f"{source}: made for {made_for.id}, observing {describe(model.observation_space)}; "
            f"{env.id} as set gives {describe(spaces.observation)}"
        )
    if model.action_space != spaces.action:
        raise UserError(
            f"{source}: made for {made_for.id}, acting by {describe(model.action_space)}; "
            f"{env.id} takes {describe(spaces.action)}"
        )
    return model


def model_metadata(
    model: AgentModel, experiment: Experiment, spaces: Spaces, counters: dict[str, Any]
) -> dict[str, Any]:
    """What a model file says about itself, so that it loads alone."""
    description = model.describe()
    description["spaces"]["raw_observation"] = space_to_json(spaces.raw_observation)
    return {
        **description,
        "env": experiment.env.describe(),
        "counters": counters,
        "seed": experiment.run.seed,
        "versions": versions(),
    }


def save_path_of(experiment: Experiment) -> Path | None:
    """Where the final model goes besides the run: a file, or a folder that is there, for one named like the run.

    Raises:
        UserError: the place cannot hold a file.
    """
    given = experiment.start.save_path
    if not given:
        return None
    path = typed_path(given, "start.save_path")
    if path.is_dir():
        check_folder(path, f"start.save_path {path}")
        return path
    if given.endswith(("/", os.sep)):
        raise UserError(f"start.save_path {path}: the folder {path} does not exist")
    if path.suffix != ".safetensors":
        path = typed_path(path.with_name(path.name + ".safetensors"), "start.save_path")
    if path.exists() and not path.is_file():
        raise UserError(f"start.save_path {path} is there and is no file; give another name")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"start.save_path {path}: the folder {folder} does not exist")
    check_folder(folder, f"start.save_path {path}")
    return path
