"""Settings by `section.field`: found, read from text, checked."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Any

from ewm_studio.errors import UserError, nearest
from ewm_studio.settings.experiment import COMPONENTS, SECTIONS, present_path
from ewm_studio.settings.fields import Field, fields_of


@cache
def all_fields() -> dict[str, Field]:
    """Every declared setting by its path, in the order of declaration; a component's own are not among them."""
    return {field.path: field for section, model in SECTIONS.items() for field in fields_of(section, model)}


def field_at(path: str, source: str = "settings") -> Field | None:
    """The setting at `section.field`, or where it stood in an earlier version; None for a component's own.

    Raises:
        UserError: there is no such setting; names the nearest.
    """
    field = all_fields().get(present_path(path))
    section, _, name = path.partition(".")
    if field is None and not (section in COMPONENTS and name and "." not in name):
        raise UserError(f"{source}: no setting '{path}'; {nearest(path, list(all_fields()))}")
    return field


def check_value(path: str, value: Any, source: str = "") -> Any:
    """A value as the setting at `path` holds it; a component's own is checked once its component is known.

    Raises:
        UserError: the value is of the wrong type or out of range; the line begins with `source`, or the path.
    """
    field = field_at(path, source or path)
    return value if field is None else field.check(value, source or path)


def read_value(path: str, text: str, source: str = "") -> Any:
    """A value typed by a person; a component's own setting is a TOML literal where it is one, else the text itself.

    Raises:
        UserError: see `check_value`.
    """
    field = field_at(path, source or path)
    return _literal(text) if field is None else field.parse(text, source or path)


def parse_assignment(text: str) -> tuple[str, Any]:
    """`section.field=value` as a path, the present one, and a checked value.

    Raises:
        UserError: it has another form, or see `check_value`.
    """
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or "." not in path:
        raise UserError(f"--set wants section.field=value, such as ppo.lr=0.001 (found {text!r:.80})")
    return present_path(path), read_value(path, value.strip(), f"--set {path}")


def _literal(text: str) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return text
    return values["value"] if set(values) == {"value"} else text
