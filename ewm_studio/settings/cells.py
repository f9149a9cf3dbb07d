"""The cells of a study: each one of the things that are compared, with the settings that make it what it is."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ewm_studio.errors import UserError, nearest
from ewm_studio.settings.experiment import COMPONENTS, SECTIONS, present_path
from ewm_studio.settings.layers import Values, over
from ewm_studio.settings.paths import all_fields, check_value
from ewm_studio.settings.study import Study

MOST_CELLS = 1_000
LIST = "cell"  # the axis of a study that gives a list
# What stands beside the axes in a row of results.csv, and in a cell of what `study report --json` prints.
EPISODE_COLUMNS = (
    "seed",
    "state",
    "way",
    "episode",
    "reward",
    "steps",
    "trained_frames",
    "trained_seconds",
    "run",
    "failures",
)
CELL_COLUMNS = ("scores", "iqm", "low", "high", "failed", "runs", "frames", "minutes")
_OWN = {"run.seed": "seeds", "run.threads": "place.threads", "start.save_path": "the study's own folder"}


@dataclass(frozen=True)
class Cell:
    """One of the things that are compared.

    Attributes:
        options: the option taken on each axis: {"memory": "LSTM", "vision": "random"}.
        values: the settings that make it so, by section.
    """

    options: dict[str, str]
    values: Values

    @property
    def name(self) -> str:
        """Its options in a row."""
        return " + ".join(self.options.values()) or "all"

    @property
    def slug(self) -> str:
        """Its name as a file's."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.name).strip("-.").lower()[:80] or "cell"


def cells_of(study: Study, source: str) -> list[Cell]:
    """All cells of a study, the last axis turning fastest.

    Raises:
        UserError: an axis or an option is not understood, or two cells have one name; begins with `source`.
    """
    cells = _listed(study.cells, source) if study.cells else _grid(study, source)
    names: dict[str, Cell] = {}
    for cell in cells:
        if cell.slug in names:
            raise UserError(f"{source}: two cells would be called '{cell.slug}'; give their options other names")
        names[cell.slug] = cell
    return cells


def axes_of(study: Study, source: str) -> dict[str, dict[str, Values]]:
    """What varies in a grid: of each axis its options, by name, with their settings.

    Raises:
        UserError: as `cells_of`.
    """
    axes: dict[str, dict[str, Values]] = {}
    for name, given in study.vary.items():
        for axis, options in _axis(name, given, source):
            if axis in (*EPISODE_COLUMNS, *CELL_COLUMNS):
                raise UserError(
                    f"{source}: vary.{axis}: the results have a column of their own called '{axis}'; give the axis "
                    "another name"
                )
            if not options:
                raise UserError(f"{source}: vary.{axis} has nothing to choose from")
            if axis in axes:
                raise UserError(f"{source}: vary.{axis} is given twice")
            axes[axis] = options
    return axes


def settings_of(given: Mapping[str, Any], source: str) -> Values:
    """Settings by section: nested, or by their paths, each one that a study may set.

    Raises:
        UserError: it names no setting, or one that is the study's own affair.
    """
    values: Values = {}
    for name, group in given.items():
        section, dot, field = present_path(name).partition(".")
        if section not in SECTIONS:
            known = [*SECTIONS, *(f"{s}.{f}" for s, model in SECTIONS.items() for f in model.model_fields)]
            raise UserError(f"{source}: no setting '{name}'; {nearest(name, known)}")
        if not dot and not isinstance(group, Mapping):
            raise UserError(
                f"{source}: {name} is a group of settings; give one of them, such as {name}.x (found {group!r:.60})"
            )
        for key, value in ({field: group} if dot else group).items():
            path = present_path(f"{section}.{key}")
            if path in _OWN:
                raise UserError(f"{source}: {path} is not for a cell to set: a study sets it by {_OWN[path]}")
            declared = all_fields().get(path)
            if value == "" and declared is not None and declared.optional:
                value = None  # as files of settings write it, which know no null
            check_value(path, value, f"{source}: {path}")
            place, _, last = path.partition(".")
            values.setdefault(place, {})[last] = value
    return values


def _grid(study: Study, source: str) -> list[Cell]:
    axes = axes_of(study, source)
    count = math.prod(len(options) for options in axes.values())
    if count > MOST_CELLS:
        raise UserError(f"{source}: vary makes {count:,} cells; at most {MOST_CELLS:,} can be")
    left_out = [_left_out(number, given, axes, source) for number, given in enumerate(study.leave_out, 1)]
    cells = []
    for choice in itertools.product(*axes.values()):
        options, values = dict(zip(axes, choice, strict=True)), Values()
        if any(options.items() >= rule for rule in left_out):
            continue
        chosen = [axes[axis][option] for axis, option in options.items()]
        for given in sorted(chosen, key=_names_nothing):  # another part, or environment, drops what the one before had
            values = over(values, given)
        cells.append(Cell(options, values))
    if not cells:
        raise UserError(f"{source}: leave_out leaves nothing of vary to compare")
    return cells


def _names_nothing(values: Values) -> bool:
    return "id" not in values.get("env", {}) and not any("name" in values.get(kind, {}) for kind in COMPONENTS)


def _left_out(number: int, given: Mapping[str, str], axes: Mapping[str, Mapping[str, Values]], source: str) -> Any:
    """The items of a combination that is not made, each an option of an axis."""
    for axis, option in given.items():
        if axis not in axes:
            raise UserError(
                f"{source}: leave_out: number {number}: nothing of vary is called '{axis}'; {nearest(axis, list(axes))}"
            )
        if option not in axes[axis]:
            known = nearest(option, list(axes[axis]))
            raise UserError(f"{source}: leave_out: number {number}: {axis} has no '{option}'; {known}")
    return given.items()


def _axis(name: str, given: Any, source: str) -> list[tuple[str, dict[str, Values]]]:
    """An entry of `vary` as axes: values of one setting, of several of a section, or options with names."""
    if isinstance(given, list):
        return [_values_axis(name, given, source)]
    if isinstance(given, Mapping) and given and all(isinstance(v, list) for v in given.values()):
        return [_values_axis(f"{name}.{field}", values, source) for field, values in given.items()]
    if isinstance(given, Mapping) and all(isinstance(v, Mapping) for v in given.values()):
        options = {label: settings_of(settings, f"{source}: vary.{name}.{label}") for label, settings in given.items()}
        return [(name, options)]
    raise UserError(
        f'{source}: vary.{name} should be a list of values, such as vary.memory.name = ["NoMemory", "LSTMMemory"], or '
        f"options by name, each a table of settings (found {given!r:.60})"
    )


def _values_axis(path: str, values: list[Any], source: str) -> tuple[str, dict[str, Values]]:
    section, _, field = path.partition(".")
    name = section if field == "name" and section in COMPONENTS else path
    options: dict[str, Values] = {}
    for value in values:
        label = str(value).lower() if isinstance(value, bool) else str(value)
        if label in options:
            raise UserError(f"{source}: vary.{path} has {label} twice")
        options[label] = settings_of({path: value}, f"{source}: vary")
    return name, options


def _listed(cells: list[dict[str, Any]], source: str) -> list[Cell]:
    found = []
    for number, given in enumerate(cells, 1):
        name = given.get("name")
        if not isinstance(name, str) or not name.strip():
            raise UserError(f"{source}: cells: number {number} has no name")
        rest = {key: value for key, value in given.items() if key != "name"}
        found.append(Cell({LIST: name}, settings_of(rest, f"{source}: cell '{name}'")))
    return found
