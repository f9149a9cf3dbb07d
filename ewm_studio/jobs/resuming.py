"""What a run that is gone on with goes by: its own settings, and what of the present ones may change on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ewm_studio.errors import UserError
from ewm_studio.events import Message
from ewm_studio.settings import Experiment
from ewm_studio.settings.declare import declared
from ewm_studio.settings.experiment import COMPONENTS, SECTIONS
from ewm_studio.workspace import Run, Workspace

SETTINGS = "experiment.toml"
_INSTEAD = "start a new run from its model with --load-path"


def is_fixed(section: str, name: str) -> bool:
    """Whether a setting is what it was for as long as a run lasts."""
    if section in COMPONENTS:
        return True
    facts = declared(SECTIONS[section].model_fields[name])
    of_env = section == "env" and (facts["of_model"] or facts["training_only"])  # its episodes are played again
    return bool(of_env or facts["fixed"])


@dataclass(frozen=True)
class Previous:
    """A run that is gone on with, and the settings it has had."""

    run: Run
    own: Experiment


def going_on(
    kind: str, asked: Experiment, workspace: Workspace, resume: str | None
) -> tuple[Experiment, Previous | None]:
    """What a job goes by, and the run that it goes on with, if `resume` names one; nothing is written yet.

    Raises:
        UserError: there is no such run, it is of another kind of job, or something that cannot change was to.
    """
    if not resume:
        return asked, None
    run = _run_to_resume(workspace, resume, kind)
    own = Experiment.of_run(run.folder / SETTINGS)
    return settings_to_resume(run.name, own, asked), Previous(run, own)


def _run_to_resume(workspace: Workspace, name: str, kind: str) -> Run:
    run = workspace.run(name)
    own = workspace.info(run.name).job
    if own != kind:
        raise UserError(f"run {run.name} is of {own}: go on with ewm-studio {own} --resume {run.name}, or {_INSTEAD}")
    return run


def settings_to_resume(run: str, own: Experiment, asked: Experiment) -> Experiment:
    """What a run goes on by: as asked for, where it can change; `auto`, and what is left open, is as it was.

    Args:
        run: its name.
        own: its settings so far.
        asked: what is wanted now.

    Raises:
        UserError: something that cannot change was to; names the first.
    """
    before, now = own.model_dump(mode="json"), asked.model_dump(mode="json")
    for section in SECTIONS:
        group, was = now[section], before[section]
        for name, value in list(group.items()):
            if name not in was or value == was[name]:
                continue
            if (
                value == "auto"
                or (is_fixed(section, name) and value is None)
                or (section in COMPONENTS and name == "name" and str(value).casefold() == str(was[name]).casefold())
            ):
                group[name] = was[name]
            elif is_fixed(section, name):
                raise UserError(_refusal(run, section, name, was[name], value))
        if section in COMPONENTS:
            now[section] = {**was, **group}
    return Experiment.from_dict(now)


def _refusal(run: str, section: str, name: str, was: Any, value: Any) -> str:
    info = SECTIONS[section].model_fields.get(name)
    flag = str(declared(info).get("flag", "")) if info is not None else ""
    said = f"{section}.{name}" + (f" (--{flag.format(section=section)})" if flag else "")
    return f"{said} cannot change when a run is resumed: {run} has {_shown(was)}, found {_shown(value)}; {_INSTEAD}"


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value!s:.80}"


def computed_on(device: torch.device) -> dict[str, str]:
    """What the last bits of a result depend on beside the settings."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return {"device": device.type, "processor": where, "PyTorch": torch.__version__}


def differences(before: dict[str, str] | None, device: torch.device, own: Experiment, pictures: bool) -> list[Message]:
    """One line where a run cannot go on to the very same weights, before it does; none where it can.

    Args:
        before: what `computed_on` gave when the run was saved; None of a run of 0.1.0.
        device: to compute on now.
        own: the settings that the run had.
        pictures: whether vision sees pictures: without them `auto` has always meant one thread.
    """
    now = computed_on(device)
    said = [f"{name} {now[name]} (was {was})" for name, was in (before or now).items() if now.get(name) != was]
    if own.run.threads == "auto" and pictures:
        said.append(f"{torch.get_num_threads()} threads (how many it had is not known)")
    if not said:
        return []
    return [
        Message(f"goes on with {', '.join(said)}: soundly, but maybe not to the same weights bit for bit", "warning")
    ]
