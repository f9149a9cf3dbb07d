"""In which settings runs differ from one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ewm_studio import formatting as format
from ewm_studio.settings import Experiment
from ewm_studio.settings.fields import label_of_name
from ewm_studio.settings.paths import all_fields

UNSET = "–"  # a part has no such setting


@dataclass(frozen=True)
class Difference:
    """One setting that not all have alike: its path, its name in the form, and each run's value in words."""

    path: str
    label: str
    values: tuple[str, ...]


def differences(experiments: Sequence[Experiment]) -> list[Difference]:
    """Settings that are not the same for all, in the order they are declared; the packages' versions are left out."""
    flat = [_flat(experiment.model_dump(mode="json", exclude={"versions"})) for experiment in experiments]
    paths = dict.fromkeys(path for values in flat for path in values)
    found = []
    for path in paths:
        values = tuple(words_of(values[path]) if path in values else UNSET for values in flat)
        if len(set(values)) > 1:
            found.append(Difference(path, label_of(path), values))
    return found


def label_of(path: str) -> str:
    """A setting's name in the form; with its group, where another one is called so, or it is a part's own."""
    section, _, name = path.partition(".")
    if name == "name":
        return section.capitalize()
    fields = all_fields()
    own = path not in fields
    label = label_of_name(name) if own else fields[path].label
    several = own or sum(field.label == label for field in fields.values()) > 1
    return f"{label} ({section.replace('_', ' ')})" if several else label


def words_of(value: Any) -> str:
    """A setting's value in a few words: on, 0.99, 100,000; none where it is empty."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return format.setting_float(value)
    return format.count(value) if isinstance(value, int) else str(value)


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested values by their paths."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{before}{name}"
        if isinstance(value, dict) and not before:
            found |= _flat(value, f"{path}.")
        else:
            found[path] = value
    return found
