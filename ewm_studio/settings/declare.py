"""How a setting is declared, and what every group of settings shares."""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from ewm_studio.settings.annotation import shape_of

Command = Literal["train", "pretrain", "infer", "record", "assess", "dream"]
EVERY: tuple[Command, ...] = ("train", "pretrain", "infer", "record", "assess", "dream")


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    flag: str = "",
    commands: tuple[Command, ...] = EVERY,
    advanced: bool = False,
    training_only: bool = False,
    of_model: bool = True,
    fixed: bool = False,
    moved: str = "",
    earlier: Any = None,
    **constraints: Any,
) -> Any:
    """One declared setting.

    Args:
        default: its default value.
        help: one sentence; shown as tooltip and in `--help`.
        unit: what the number counts, shown inside the field ("steps", "frames/s").
        flag: its flag on the command line, without the dashes; none means `--set section.field=value` only.
        commands: the commands on which the flag has a meaning.
        advanced: shown only on request.
        training_only: without meaning where a model is played, hence no part of a model's description.
        of_model: of the environment: whether a model brings it along. What says only how many environments run, or
            whether they are shown, stays as chosen.
        fixed: cannot change when a run is resumed; what a model brings along of its environment never can.
        moved: where it stood in earlier versions, as `section.field`; there it is still read, never written.
        earlier: of a component: what holds for models that were made before there was this setting, where that is not
            its default.
        constraints: pydantic's `ge`, `gt`, `le`, `lt`, ...
    """
    extra: dict[str, Any] = {
        "unit": unit,
        "flag": flag,
        "commands": list(commands),
        "advanced": advanced,
        "training_only": training_only,
        "of_model": of_model and not training_only,
        "fixed": fixed,
        "moved": moved,
        "earlier": earlier,
    }
    return Field(default, description=help, json_schema_extra=extra, **constraints)


def declared(info: FieldInfo) -> dict[str, Any]:
    """What `setting` noted of a field beside its type, default and range; empty for a field declared otherwise."""
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def inherited(group: type[BaseModel], name: str, default: Any) -> Any:
    """A setting declared as in another group, with a default of its own."""
    info = copy(group.model_fields[name])
    info.default = default
    return info


class Settings(BaseModel):
    """Base of every group of settings: unknown names, NaN and infinity are refused, also on assignment."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_none(cls, values: Any) -> Any:
        """TOML has no null: an empty string stands for it wherever a setting may be empty."""
        if not isinstance(values, dict):
            return values
        optional = _optional(cls)
        return {name: None if value == "" and name in optional else value for name, value in values.items()}


@cache
def _optional(model: type[BaseModel]) -> frozenset[str]:
    """The settings of a group that may be empty."""
    return frozenset(name for name, info in model.model_fields.items() if shape_of(info).optional)


class ComponentSettings(Settings):
    """Base of a component's own settings; each component declares a subclass beside its module."""


class TrainedSettings(ComponentSettings):
    """Base of the settings of a component that is trained."""

    frozen: bool = setting(
        False,
        "Stays as it is drawn, or as it was loaded: a control, beside which is seen what training it is worth.",
        advanced=True,
        earlier=False,
    )
