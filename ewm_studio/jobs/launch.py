"""What a run is made of: defaults, a loaded model, a configuration file and single values, laid over each other.

The command line, the terminal menu and the window all come through here. Neither torch nor Qt is imported.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ewm_studio.errors import UserError, nearest
from ewm_studio.settings import ComponentChoice, EnvSettings, Experiment, explain, read_toml

if TYPE_CHECKING:
    from ewm_studio.workspace import Workspace

SECTIONS: dict[str, type[BaseModel]] = {
    name: info.annotation
    for name, info in Experiment.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
}
COMPONENTS: tuple[str, ...] = tuple(name for name, model in SECTIONS.items() if issubclass(model, ComponentChoice))

# How many environments run, and whether they are shown, is no part of what a model was made for.
_NOT_THE_MODELS = ("batch_size", "workers", "render_mode")

Values = dict[str, Any]  # section -> field -> value


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
    given = {path: check_value(path, value) for path, value in (overrides or {}).items()}
    single = _nested(given)
    from_file: Values = {} if config is None else read_toml(Path(config))
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
        base = read_toml(path)
        source = str(path) if config is None else source
    elif load_path:
        base = model = model_values(workspace, str(load_path))
    values = _over(_over(base, from_file), single)
    notes = _overrule(values, model) if model else []
    values.pop("versions", None)
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
        described = EnvSettings.model_validate(metadata["env"]).describe()
        env = {name: value for name, value in described.items() if name not in _NOT_THE_MODELS}
        parts = {k: {"name": str(metadata["parts"][k]["name"]), **metadata["parts"][k]["settings"]} for k in COMPONENTS}
    except ValidationError as error:
        raise UserError(explain(error, str(path))) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: the description of the model is not understood ({error!r})") from None
    return {"env": env, **parts}


def setting_at(path: str, source: str = "settings") -> tuple[str, str, FieldInfo | None]:
    """Section, field and declaration at `section.field`; a component's own setting has no declaration here.

    Raises:
        UserError: there is no such setting; names the nearest.
    """
    section, _, name = path.partition(".")
    if section in COMPONENTS and name and "." not in name:
        return section, name, SECTIONS[section].model_fields.get(name)
    if section in SECTIONS and name in SECTIONS[section].model_fields:
        return section, name, SECTIONS[section].model_fields[name]
    known = [f"{s}.{f}" for s, group in SECTIONS.items() for f in group.model_fields]
    raise UserError(f"{source}: no setting '{path}'; {nearest(path, known)}")


def check_value(path: str, value: Any, source: str | None = None) -> Any:
    """A value as the setting at `path` holds it.

    Raises:
        UserError: the value is of the wrong type or out of range; the line begins with `source`.
    """
    source = source or path
    section, name, info = setting_at(path, source)
    if info is None:
        return value
    holder = SECTIONS[section]()
    try:
        setattr(holder, name, value)
    except ValidationError as error:
        line = explain(error, source)
        raise UserError(line.replace(f"{source}: {name} ", f"{source}: ", 1)) from None
    return getattr(holder, name)


def read_value(path: str, text: str, source: str | None = None) -> Any:
    """A value typed by a person: a TOML literal where it is one, the text itself otherwise.

    An empty text, or `none` where the setting is no text, empties a setting that may be empty.

    Raises:
        UserError: see `check_value`.
    """
    info = setting_at(path, source or path)[2]
    value = _literal(text)
    if info is not None:
        kinds = _kinds(info.annotation)
        if NoneType in kinds and (text == "" or (str not in kinds and text.lower() == "none")):
            return None
        # A file may be called 12, and `true` is no number.
        misread = str in kinds or (isinstance(value, bool) and bool not in kinds)
        value = text if misread and not isinstance(value, str) else value
    return check_value(path, value, source)


def parse_assignment(text: str) -> tuple[str, Any]:
    """`section.field=value` as a path and a checked value.

    Raises:
        UserError: it has another form, or see `check_value`.
    """
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or "." not in path:
        raise UserError(f"--set wants section.field=value, such as ppo.lr=0.001 (found {text!r:.80})")
    return path, read_value(path, value.strip(), f"--set {path}")


def _literal(text: str) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return text
    return values["value"] if set(values) == {"value"} else text


def _kinds(annotation: Any) -> set[Any]:
    """The types a union is made of; Annotated ones by what they annotate."""
    parts = get_args(annotation)
    if not parts:
        return {annotation}
    return {kind for part in parts for kind in ({part} if part is NoneType else _kinds(part))}


def _given(values: Values, section: str, name: str, otherwise: Any) -> Any:
    group = values.get(section)
    return group.get(name, otherwise) if isinstance(group, dict) else otherwise


def _nested(flat: Mapping[str, Any]) -> Values:
    nested: Values = {}
    for path, value in flat.items():
        section, name, _ = setting_at(path)
        nested.setdefault(section, {})[name] = value
    return nested


def _over(lower: Values, upper: Values) -> Values:
    """`upper` laid over `lower`. Another component's name drops the settings that belonged to the old one."""
    merged = {section: dict(group) if isinstance(group, dict) else group for section, group in lower.items()}
    for section, group in upper.items():
        below = merged.get(section)
        if not isinstance(group, dict) or not isinstance(below, dict):
            merged[section] = dict(group) if isinstance(group, dict) else group
            continue
        if section in COMPONENTS and str(group.get("name", below.get("name"))) != str(below.get("name")):
            below = {}
        merged[section] = {**below, **group}
    return merged


def _overrule(values: Values, model: Values) -> list[str]:
    """Put the loaded model's components in place of the chosen ones; says which choices that overrules."""
    notes = []
    for kind in COMPONENTS:
        chosen, own = values.get(kind), model[kind]
        name = chosen.get("name") if isinstance(chosen, dict) else None
        if isinstance(name, str) and name not in ("auto", own["name"]):
            notes.append(f"{kind} {name} is not used: the loaded model brings its own, {own['name']}")
        values[kind] = dict(own)
    return notes
