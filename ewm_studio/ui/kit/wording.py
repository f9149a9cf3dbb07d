"""What the engine says, in the window's words: there are no flags and no paths of settings here, but named fields."""

from __future__ import annotations

import dataclasses
import re
from functools import cache

from ewm_studio.jobs.failure import Failure
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.settings.paths import all_fields

_FLAG = re.compile(r"--(?!-)(?P<name>[a-z][a-z-]*)(?P<value>(?: |=)[A-Z][A-Z_]+(?:\.[a-z]+)?(?![a-z]))?")
_SET = re.compile(r"--set (?P<path>[a-z_]+\.[a-z_]+)=(?P<value>\S*[^\s.,;)])")
_PATH = re.compile(r"(?<![\w./-])(?P<path>[a-z_]+\.[a-z_]+)(?![\w./])")
_BOTH = re.compile(r"(“[^”]+”) \(\1\)")  # a setting by its path, then by its flag
_COMMAND = re.compile(r"(?:bring it back from the run folders with |see )?`?ewm-studio [a-z][^`;,)]*`?")
_OTHER = {"trust-env": "trust it", "env-arg": "“Arguments”", "dream": "“Learning in dreams”", "config": "the settings"}


def in_the_windows_words(failure: Failure) -> Failure:
    """A failure as the window tells it; its details stay as they are."""
    return dataclasses.replace(failure, what=without_flags(failure.what))


def without_flags(text: str) -> str:
    """A message of the engine, its flags and settings by the names of the form's fields."""
    labels, flags = _names()
    text = _SET.sub(lambda m: f"{_quoted(labels.get(m['path'], m['path']))} {m['value']}", text)
    text = _COMMAND.sub(
        lambda m: "make it anew from the run folders" if "--rebuild" in m[0] else "the command line", text
    )
    text = _FLAG.sub(lambda m: _OTHER.get(m["name"]) or _quoted(flags.get(m["name"], m["name"])), text)
    text = _PATH.sub(lambda m: _quoted(labels[m["path"]]) if m["path"] in labels else m[0], text)
    return _BOTH.sub(r"\1", text)


@cache
def _names() -> tuple[dict[str, str], dict[str, str]]:
    """The form's labels by path, and by flag."""
    fields = all_fields().values()
    labels = {field.path: field.label for field in fields} | {"env.id": "Environment"}
    labels |= {f"{kind}.name": kind.capitalize() for kind in COMPONENTS}
    return labels, {field.flag: labels[field.path] for field in fields if field.flag} | {"env": "Environment"}


def _quoted(name: str) -> str:
    return f"“{name}”"
