"""A study while it is being made: which parts it compares, which settings it varies, and what it takes from the form.

Parts that a person picks become options by name; several of one kind are an axis of the grid, one alone holds for all.
What a file holds beyond that stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ewm_studio.errors import UserError
from ewm_studio.settings.cells import axes_of
from ewm_studio.settings.experiment import COMPONENTS, Experiment, none_to_empty, present_path, reason_of
from ewm_studio.settings.layers import Values
from ewm_studio.settings.paths import all_fields, field_at, read_value
from ewm_studio.settings.study import Study

Options = dict[str, Values]  # by name, with the settings that make them so
_PARTS = tuple(f"{kind}.name" for kind in COMPONENTS)
_OWN = ("run.seed", "run.threads", "start.save_path", "env.workers")  # a study sets these itself


def given_settings(experiment: Experiment) -> Values:
    """What of an experiment differs from the defaults, and its parts as they are named: a study's own base."""
    given: Values = {}
    for field in all_fields().values():
        group = getattr(experiment, field.section)
        if field.path not in _OWN and (value := getattr(group, field.name)) != field.default:
            given.setdefault(field.section, {})[field.name] = value
    for kind in COMPONENTS:
        if own := getattr(experiment, kind).given:
            given.setdefault(kind, {}).update(own)
    plain = Experiment.from_dict(given).model_dump(mode="json")
    return none_to_empty({s: {name: plain[s][name] for name in group} for s, group in given.items()})


def values_typed(path: str, text: str) -> list[Any]:
    """Values of a setting that a person wrote in a row: "0.001, 0.0003".

    Raises:
        UserError: there is no such setting, one of them is none of its values, or they are not two different ones.
    """
    path = present_path(path.strip())
    field_at(path, "a setting that varies")
    if path in _OWN[:2]:
        raise UserError(f"{path} is the study's own: give its seeds, and threads in its file")
    parts = [part.strip() for part in text.split(",") if part.strip()]
    field = all_fields().get(path)
    if field is not None and field.kind == "switch":
        known = {"on": True, "off": False, "true": True, "false": False}
        wrong = next((part for part in parts if part.casefold() not in known), None)
        if wrong is not None:
            raise UserError(f"{path}: should be on or off (found {wrong!r:.40})")
        values: list[Any] = [known[part.casefold()] for part in parts]
    else:
        values = [read_value(path, part, path) for part in parts]
    if len({str(value) for value in values}) < max(2, len(values)):
        raise UserError(f"{path}: give two values or more, all different, with commas between them")
    return values


def picked_parts(study: Study, source: str) -> dict[str, Options]:
    """The options of each kind of part that the study has an axis of.

    Raises:
        UserError: what varies is not understood.
    """
    axes = axes_of(study, source)
    return {kind: axes[kind] for kind in COMPONENTS if kind in axes}


def varied_settings(study: Study) -> dict[str, list[Any]]:
    """The settings of which the study lists values, by their paths."""
    found: dict[str, list[Any]] = {}
    for name, given in study.vary.items():
        if isinstance(given, list):
            found[name] = given
        elif isinstance(given, Mapping) and given and all(isinstance(values, list) for values in given.values()):
            found.update({f"{name}.{field}": values for field, values in given.items()})
    return {path: values for path, values in found.items() if path not in _PARTS}


def kept_axes(study: Study) -> dict[str, Any]:
    """Axes that are neither parts nor values of a setting: options by names that only the file gives."""
    kept = {name: given for name, given in study.vary.items() if name not in COMPONENTS and isinstance(given, Mapping)}
    return {name: given for name, given in kept.items() if not any(isinstance(v, list) for v in given.values())}


def with_choices(
    study: Study, parts: Mapping[str, Options], settings: Mapping[str, list[Any]], **sections: Mapping[str, Any]
) -> Study:
    """The study with other parts and settings, and other values in its sections; an axis that is kept stays.

    Args:
        study: as it was.
        parts: by kind the options that were picked; of one alone its settings hold for all cells.
        settings: values by path.
        sections: of the study, such as `budget`, with the values to change.

    Raises:
        UserError: the whole is no sound study.
    """
    values = study.model_dump(mode="json", exclude_defaults=True)
    vary: dict[str, Any] = dict(settings)  # first, as a file has them: lists stand before tables
    experiment = dict(values.get("experiment", {}))
    for kind, options in parts.items():
        if len(options) > 1:
            vary[kind] = dict(options)
        for option in list(options.values())[:1] if len(options) == 1 else ():
            experiment.update(option)
    vary |= kept_axes(study)
    values |= {"experiment": experiment, "vary": {} if study.cells else vary}
    for section, changed in sections.items():
        values[section] = {**values.get(section, {}), **changed}
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        raise UserError(reason_of(error)) from None
