"""Settings by `section.field`: found, read from text, checked."""

from __future__ import annotations

import tomllib
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ewm_studio.errors import UserError, nearest
from ewm_studio.settings import ComponentChoice, Experiment, explain

SECTIONS: dict[str, type[BaseModel]] = {
    name: info.annotation
    for name, info in Experiment.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
}
COMPONENTS: tuple[str, ...] = tuple(name for name, model in SECTIONS.items() if issubclass(model, ComponentChoice))


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
