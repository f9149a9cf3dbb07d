"""What a run is made of: defaults, a loaded model, a configuration file and single values, laid over each other.

The command line, the terminal menu and the window all come through here. Neither torch nor Qt is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ewm_studio.errors import UserError
from ewm_studio.settings import EnvSettings, Experiment, explain, read_sections, read_settings
from ewm_studio.settings.experiment import COMPONENTS, present_path, values_of_run
from ewm_studio.settings.layers import HOW_TRAINED, Values, over, with_model
from ewm_studio.settings.paths import check_value
from ewm_studio.settings.typed_path import typed_path

if TYPE_CHECKING:
    from ewm_studio.workspace import Workspace


@dataclass(frozen=True)
class Launch:
    """An experiment ready to start, and lines about what was overruled on the way."""

    experiment: Experiment
    notes: list[str] = field(default_factory=list)


def build_experiment(
    workspace: Workspace,
    *,
    config: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    resume: str | None = None,
) -> Launch:
    """Lay the sources of settings over each other, the later ones winning.

    Defaults, then the experiment of the run that is resumed or else the environment of the model that
    `start.load_path` names, then the configuration file, then single values. A loaded model brings its own
    components, whatever was chosen.

    Args:
        workspace: where names of runs and models are looked up.
        config: an `experiment.toml`.
        overrides: values by `section.field`.
        resume: name of a run to go on with.

    Raises:
        UserError: a source cannot be read, or a setting is unknown or out of range; names the source.
    """
    given = {present_path(path): check_value(path, value) for path, value in (overrides or {}).items()}
    single = _nested(given)
    from_file: Values = {} if config is None else read_settings(typed_path(config, "--config"))
    source = "settings" if config is None else str(config)
    load_path = _given(single, "start", "load_path", _given(from_file, "start", "load_path", None))
    base: Values = {}
    model: Values = {}
    if resume is not None:
        if given.get("start.load_path"):
            raise UserError(
                "--resume goes on with the run's own model and --load-path starts a new run: give one of them"
            )
        path = workspace.run(resume).folder / "experiment.toml"
        base = values_of_run(read_sections(path))
        source = str(path) if config is None else source
    elif load_path:
        model = model_values(workspace, str(load_path))
    single = _with_arguments(single, with_model(base, model, from_file))
    values = with_model(base, model, from_file, single)
    values.pop("versions", None)
    notes = _overruled(over(from_file, single), single, model)
    return Launch(Experiment.from_dict(values, source), notes)


def model_values(workspace: Workspace, name: str) -> Values:
    """The environment and the components of a saved model, as settings; its weights are not read.

    Raises:
        UserError: there is no such model, or its file is damaged or of another kind.
    """
    from ewm_studio.workspace.models import read_metadata

    path = workspace.resolve_model(name)
    metadata = read_metadata(path)
    try:
        env = EnvSettings.of_file(metadata["env"]).of_model()
        parts: Values = {
            k: {"name": str(metadata["parts"][k]["name"]), **metadata["parts"][k]["settings"]} for k in COMPONENTS
        }
    except ValidationError as error:
        raise UserError(explain(error, str(path))) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: the description of the model is not understood ({error!r})") from None
    return {"env": env, **parts}


def _given(values: Values, section: str, name: str, otherwise: Any) -> Any:
    group = values.get(section)
    return group.get(name, otherwise) if isinstance(group, dict) else otherwise


def _with_arguments(single: Values, below: Values) -> Values:
    """Single values, with the environment's arguments that are given beside those of the same environment below."""
    given = _given(single, "env", "kwargs", None)
    known = _given(below, "env", "kwargs", {})
    same = _given(single, "env", "id", None) in (None, _given(below, "env", "id", None))
    if not given or not same or not isinstance(known, dict):
        return single
    return {**single, "env": {**single["env"], "kwargs": {**known, **given}}}


def _nested(flat: Mapping[str, Any]) -> Values:
    nested: Values = {}
    for path, value in flat.items():
        section, _, name = path.partition(".")
        nested.setdefault(section, {})[name] = value
    return nested


def _overruled(chosen: Values, single: Values, model: Values) -> list[str]:
    """Says which chosen components, and which of their single settings, have to give way to a loaded model's."""
    notes = []
    for kind in [kind for kind in COMPONENTS if kind in model]:
        group, own = chosen.get(kind), model[kind]["name"]
        name = group.get("name") if isinstance(group, dict) else None
        if isinstance(name, str) and name not in ("auto", own):
            notes.append(f"{kind} {name} is not used: the loaded model brings its own, {own}")
            continue
        for setting, value in (single.get(kind) or {}).items():
            if setting not in ("name", *HOW_TRAINED) and model[kind].get(setting, value) != value:
                notes.append(f"{kind}.{setting} is not used: the loaded model brings its own, {model[kind][setting]}")
    return notes
