"""Finds the components: every file in `vision/`, `memory/` and `controller/`, and the entry-point group.

Dropping a file into a folder adds its component to pickers, forms, flags, checkpoints and docs. Another package
adds its own by an entry point in the group `ewm_studio.components` that names the class.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

import gymnasium as gym
from pydantic import ValidationError

from ewm_studio.errors import UserError, nearest
from ewm_studio.models.base import Component, Controller, MemoryModel, Tag, VisionModel
from ewm_studio.models.plugins import load_plugin, plugins, same_name
from ewm_studio.settings import ComponentChoice, ComponentSettings, explain
from ewm_studio.settings.declare import declared
from ewm_studio.settings.experiment import COMPONENTS, ComponentKind

ENTRY_POINTS = "ewm_studio.components"
_BASES: dict[ComponentKind, type[Component]] = {"vision": VisionModel, "memory": MemoryModel, "controller": Controller}

# What `auto` prefers, first that fits.
_AUTO: dict[ComponentKind, tuple[str, ...]] = {
    "vision": ("Identity", "ConvVAE"),
    "memory": ("NoMemory",),
    "controller": ("DeepDiscreteController", "DeepContinuousController"),
}


@dataclass(frozen=True)
class _Found:
    components: dict[ComponentKind, dict[str, type[Component]]]
    broken: dict[str, str]  # what could not be used, by the name it was to have, and why
    printed: list[str]  # who spoke when imported, a line each


@cache
def _found() -> _Found:
    """Everything that is installed; what is broken is set aside and takes nothing else down."""
    found = _Found({kind: {} for kind in COMPONENTS}, {}, [])
    for kind in COMPONENTS:
        package = importlib.import_module(f"ewm_studio.models.{kind}")
        for info in pkgutil.iter_modules(package.__path__):
            _take_file(found, kind, f"{package.__name__}.{info.name}")
    for point in plugins(ENTRY_POINTS):
        _take_entry_point(found, point)
    return found


def _take_file(found: _Found, kind: ComponentKind, name: str) -> None:
    try:
        module = importlib.import_module(name)
    except Exception as error:
        found.broken[name.rpartition(".")[2]] = f"{name} cannot be imported: {_reason(error)}"
        return
    for _, cls in inspect.getmembers(module, inspect.isclass):
        if issubclass(cls, _BASES[kind]) and not inspect.isabstract(cls) and cls.__module__ == name:
            found.components[kind][cls.__name__] = cls


def _take_entry_point(found: _Found, point: metadata.EntryPoint) -> None:
    said = f"component '{point.name}' of {point.value}"
    cls, reason, printed = load_plugin(point)
    if printed:
        found.printed.append(f"{said} printed when it was imported: {printed}")
    if reason:
        found.broken[point.name] = f"{said} cannot be imported: {reason}"
        return
    kind = next((k for k in COMPONENTS if inspect.isclass(cls) and issubclass(cls, _BASES[k])), None)
    if kind is None:
        found.broken[point.name] = f"{said} is no VisionModel, MemoryModel or Controller"
    elif inspect.isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        found.broken[point.name] = f"{said} is not whole: it lacks {missing}"
    else:
        taken = found.components[kind]
        own = taken.setdefault(same_name(cls.__name__, taken) or cls.__name__, cls)
        if own is not cls:
            first = f"{own.__module__} has a {kind} component called {own.__name__} already"
            found.broken[point.name] = f"{said} is left out: {first}"


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


@cache
def components(kind: ComponentKind) -> dict[str, type[Component]]:
    """All components of a kind by name, in the order of their names."""
    return dict(sorted(_found().components[kind].items()))


def broken_components() -> list[str]:
    """Why components that are installed cannot be used, a line each; and who printed something when imported."""
    return [*_found().broken.values(), *_found().printed]


def component(kind: ComponentKind, name: str) -> type[Component]:
    """The component of this name; upper and lower case do not matter.

    Raises:
        UserError: there is none, naming the nearest; or it is there and broken.
    """
    known = components(kind)
    by_fold = {k.casefold(): k for k in known}
    if name.casefold() not in by_fold:
        broken = {n.casefold(): line for n, line in _found().broken.items()}
        if name.casefold() in broken:
            raise UserError(broken[name.casefold()])
        raise UserError(f"no {kind} component '{name}'; {nearest(name, list(known))}")
    return known[by_fold[name.casefold()]]


def misfit(cls: type[Component], observation_space: gym.Space, action_space: gym.Space) -> str | None:
    """Why this component cannot work with these spaces, or None if it can.

    `observation_space` is the prepared one: a Box of rank 3 is a picture, of rank 1 a vector.
    """
    if issubclass(cls, VisionModel):
        shape = observation_space.shape or ()
        needed = Tag.IMAGE if len(shape) == 3 else Tag.VECTOR
        if needed not in cls.tags:
            return f"{cls.__name__} does not observe {needed}s, and the observation is one of shape {shape}"
    if issubclass(cls, Controller):
        needed = Tag.CONTINUOUS if isinstance(action_space, gym.spaces.Box) else Tag.DISCRETE
        if needed not in cls.tags:
            return f"{cls.__name__} has no {needed} actions, and the environment takes {action_space}"
    return None


def fitting(kind: ComponentKind, observation_space: gym.Space, action_space: gym.Space) -> list[str]:
    """Names of the components of a kind that fit these spaces."""
    return [n for n, c in components(kind).items() if misfit(c, observation_space, action_space) is None]


@dataclass(frozen=True)
class Part:
    """A chosen component with its checked settings."""

    kind: ComponentKind
    cls: type[Component]
    settings: ComponentSettings

    @property
    def name(self) -> str:
        """The component's name."""
        return self.cls.__name__


def choose(
    kind: ComponentKind,
    choice: ComponentChoice,
    observation_space: gym.Space,
    action_space: gym.Space,
    made: bool = False,
) -> Part:
    """Turn a choice into a part that fits: `auto` picks, names are looked up, settings are checked.

    Args:
        kind: of the component.
        choice: its name and settings.
        observation_space: as prepared.
        action_space: of the environment.
        made: the choice describes what is made already: settings that it does not know of are as they were then.

    Raises:
        UserError: no such component, one that does not fit (with why, and what would), or a bad setting.
    """
    fits = fitting(kind, observation_space, action_space)
    if choice.name == "auto":
        name = next((n for n in (*_AUTO[kind], *fits) if n in fits), None)
        if name is None:
            raise UserError(f"no {kind} component fits observations {observation_space} and actions {action_space}")
        cls = component(kind, name)
    else:
        cls = component(kind, choice.name)
        reason = misfit(cls, observation_space, action_space)
        if reason is not None:
            raise UserError(f"{kind} {cls.__name__} does not fit: {reason}; what fits: {', '.join(fits) or 'nothing'}")
    given = {**_earlier(cls), **choice.given} if made else choice.given
    return Part(kind, cls, check_settings(kind, cls, given))


def _earlier(cls: type[Component]) -> dict[str, Any]:
    """What holds for models made before there were these settings."""
    values = {name: declared(info).get("earlier") for name, info in cls.Settings.model_fields.items()}
    return {name: value for name, value in values.items() if value is not None}


def check_settings(kind: ComponentKind, cls: type[Component], given: dict[str, Any]) -> ComponentSettings:
    """A component's settings from given values.

    Raises:
        UserError: an unknown name or a value out of range.
    """
    try:
        return cls.Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] == "extra_forbidden":
            name = str(first["loc"][0])
            known = list(cls.Settings.model_fields)
            hint = nearest(name, known) if known else f"{cls.__name__} has no settings of its own"
            raise UserError(f"{kind} {cls.__name__} has no setting '{name}'; {hint}") from None
        raise UserError(explain(error, f"{kind} {cls.__name__}")) from None
