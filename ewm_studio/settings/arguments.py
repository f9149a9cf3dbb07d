"""Arguments of an environment's constructor, as people write them: is_slippery = false, map_name = "8x8"."""

from __future__ import annotations

import json
import math
import re
import tomllib
from typing import Any

from ewm_studio.errors import UserError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BREAKS = re.compile(r",(?=\s*[A-Za-z_][A-Za-z0-9_]*\s*=)")  # between two arguments, not inside a list
RESERVED = {
    "render_mode": "env.render_mode (--render-mode)",
    "max_episode_steps": "env.max_episode_steps",
    "id": "env.id (--env)",
}


def read_argument(text: str, source: str) -> tuple[str, Any]:
    """`name=value`: the value a TOML or JSON literal where it is one, else the text itself.

    Raises:
        UserError: it has another form, or a value that no file could keep.
    """
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not _NAME.fullmatch(name):
        raise UserError(f"{source} wants name=value, such as is_slippery=false (found {text!r:.80})")
    checked = check_arguments({name: _literal(value.strip())})
    return name, checked[name]


def read_arguments(text: str, source: str) -> dict[str, Any]:
    """`name = value, name = value`; also what `arguments_text` wrote, and a JSON object. An empty text is none.

    Raises:
        UserError: as `read_argument`.
    """
    text = text.strip()
    if text.startswith("{"):
        try:
            return check_arguments(dict(json.loads(text)))
        except (ValueError, TypeError, RecursionError):
            raise UserError(f"{source} is no JSON object (found {text!r:.80})") from None
    parts = [part for part in _BREAKS.split(text) if part.strip()]
    return dict(read_argument(part.strip(), source) for part in parts)


def arguments_text(arguments: dict[str, Any]) -> str:
    """Arguments as a person reads them, as JSON where that could be misread; `read_arguments` reads them back."""
    whole = ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
    breaks = len(_BREAKS.findall(whole)) + 1
    return whole if breaks == max(len(arguments), 1) else json.dumps(arguments, ensure_ascii=False)


def check_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments that can be kept in every file and given to a constructor.

    Raises:
        UserError: one has a name that no argument has, a value that no file keeps, or is a setting of its own.
    """
    for name, value in arguments.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UserError(f"env.kwargs: {name!r:.60} is no name of an argument")
        if name in RESERVED:
            raise UserError(f"env.kwargs: {name} is a setting of its own, {RESERVED[name]}")
        if not _kept(value):
            raise UserError(
                f"env.kwargs: {name} should be true or false, a number, a text, or a list or table of them (found "
                f"{value!r:.60}); leave out what is to stay as it is"
            )
    return arguments


def _kept(value: Any, depth: int = 0) -> bool:
    """Whether TOML and JSON both keep a value."""
    if depth > 16:
        return False
    if isinstance(value, list):
        return all(_kept(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return all(isinstance(name, str) and _kept(item, depth + 1) for name, item in value.items())
    if isinstance(value, int):  # also bool; TOML's numbers have 64 bits
        return -(2**63) <= value < 2**63
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def _literal(text: str) -> Any:
    for read in (lambda: tomllib.loads(f"value = {text}"), lambda: {"value": json.loads(text)}):
        try:
            values = read()
        except (ValueError, RecursionError):
            continue
        if set(values) == {"value"}:
            return values["value"]
    return text
