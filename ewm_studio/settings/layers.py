"""Sources of settings laid over each other: defaults, a model, a file, single values."""

from __future__ import annotations

from typing import Any

from ewm_studio.settings.experiment import COMPONENTS

HOW_TRAINED = ("frozen", "lr")  # settings of a component that say how it goes on, not what it is
Values = dict[str, Any]  # section -> field -> value; a section of components may hold settings of the component's own


def over(lower: Values, upper: Values) -> Values:
    """`upper` laid over `lower`. Another component or environment drops what belonged to the old one alone."""
    merged = {section: dict(group) if isinstance(group, dict) else group for section, group in lower.items()}
    for section, group in upper.items():
        below = merged.get(section)
        if not isinstance(group, dict) or not isinstance(below, dict):
            merged[section] = dict(group) if isinstance(group, dict) else group
            continue
        if section in COMPONENTS and str(group.get("name", below.get("name"))) != str(below.get("name")):
            below = {}
        if section == "env" and group.get("id", below.get("id")) != below.get("id"):
            below = {name: value for name, value in below.items() if name != "kwargs"}
        merged[section] = {**below, **group}
    return merged


def with_model(chosen: Values, model: Values, *later: Values) -> Values:
    """Chosen settings with those that a model brings laid over them, and later choices over both.

    A model's components are what it is made of: they hold whatever was chosen, before or after. How they go on being
    trained (`HOW_TRAINED`) is chosen for the same component.

    Args:
        chosen: what holds where the model says nothing.
        model: the sections a model brings: its components, and the environment it was made for.
        later: what was chosen for this model, the last winning.
    """
    merged = over(chosen, model)
    for values in later:
        merged = over(merged, values)
    return merged | {kind: _going_on(model[kind], kind, later) for kind in COMPONENTS if kind in model}


def _going_on(own: Values, kind: str, later: tuple[Values, ...]) -> Values:
    """A model's component, trained as was chosen for it."""
    found = dict(own)
    for group in (values.get(kind) for values in later):
        if isinstance(group, dict) and str(group.get("name", own["name"])) in ("auto", str(own["name"])):
            found.update({name: group[name] for name in HOW_TRAINED if name in group})
    return found
