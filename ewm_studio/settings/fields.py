"""Settings as fields: what a declaration says, read once for flags, `--set`, the menu, forms and files.

A `Field` knows the setting's type, range, unit, choices and help, reads what a person types, and checks a value.
"""

from __future__ import annotations

import contextlib
import re
import tomllib
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ewm_studio import formatting as format
from ewm_studio.errors import UserError
from ewm_studio.settings.annotation import Bound, Shape, shape_of
from ewm_studio.settings.arguments import arguments_text, read_arguments
from ewm_studio.settings.declare import declared
from ewm_studio.settings.experiment import reason_of

ValueKind = Literal["switch", "integer", "number", "choice", "text", "arguments"]

_LABELS = {
    "lr": "Learning rate",
    "lr_schedule": "Rate over time",
    "gamma": "Discount γ",
    "gae_lambda": "GAE λ",
    "value_coef": "Value weight",
    "entropy_coef": "Entropy weight",
    "clip_range_vf": "Value clip range",
    "max_grad_norm": "Gradient limit",
    "target_kl": "KL limit",
    "latent_dim": "Latent size",
    "hidden_dim": "Hidden size",
    "kl_free": "KL free bits",
    "kl_weight": "KL weight",
    "tensorboard": "TensorBoard",
    "held_out": "Held-out share",
    "save_freq": "Save every",
    "log_freq": "Log every",
    "load_path": "Load model",
    "save_path": "Save model to",
    "patch_load_path": "Patch from",
    "patch": "Parts to patch",
    "manual_mode_delay": "Driving delay",
    "fast": "Fast CarRacing",
    "ema": "Moving average",
    "id": "Environment",
    "kwargs": "Arguments",
}
_SECTION_LABELS = {"env.batch_size": "Environments", "world_model.train": "Train with PPO"}
_METAVARS: dict[ValueKind, str] = {"integer": "N", "number": "X", "text": "TEXT", "arguments": "NAME=VALUE"}
# 250,000 and 250 000, but not 0,125.
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}([,\s]\d{3})+(\.\d+)?")


def label_of_name(name: str) -> str:
    """What the forms call a setting of this name, whatever it is of."""
    return _LABELS.get(name) or name.replace("_", " ").capitalize()


@dataclass(frozen=True)
class Field:
    """One declared setting."""

    path: str  # "ppo.lr"
    label: str
    kind: ValueKind
    default: Any
    help: str
    model: type[BaseModel]  # the group it is declared in, which checks it
    unit: str = ""
    flag: str = ""
    commands: tuple[str, ...] = ()  # on which the flag has a meaning
    advanced: bool = False
    training_only: bool = False
    of_model: bool = True
    optional: bool = False  # may be empty
    auto: bool = False  # may be "auto" beside a number
    choices: tuple[str, ...] = ()  # words, "auto" among them
    empty: str = ""  # what an empty field means: "no limit"
    low: Bound | None = None
    high: Bound | None = None

    @property
    def section(self) -> str:
        """The group it belongs to."""
        return self.path.partition(".")[0]

    @property
    def name(self) -> str:
        """Its name in the group."""
        return self.path.partition(".")[2]

    @property
    def option(self) -> str:
        """How the command line sets it."""
        return f"--{self.flag}" if self.flag else f"--set {self.path}=..."

    @property
    def metavar(self) -> str:
        """What stands for its value in `--help`: N, X, TEXT, NAME of a component, or the words to choose from."""
        kind = ["NAME"] if self.name == "name" else [_METAVARS[self.kind]] if self.kind in _METAVARS else []
        return "|".join([*kind, *self.choices])

    @property
    def bounds(self) -> str:
        """The range a number must lie in, as a person writes it: "> 0, <= 1"."""
        low = [f">{'' if self.low.open else '='} {self.low.value}"] if self.low else []
        high = [f"<{'' if self.high.open else '='} {self.high.value}"] if self.high else []
        return ", ".join(low + high)

    def to_text(self, value: Any) -> str:
        """A value as a form shows it; `parse` reads it back."""
        if value is None:
            return ""
        if self.kind == "arguments":
            return arguments_text(value)
        if self.kind == "integer" and isinstance(value, int):
            return format.count(value)
        if self.kind == "number" and isinstance(value, int | float):
            return format.setting_float(value)
        return str(value)

    def parse(self, text: str, source: str = "") -> Any:
        """The value a person means by a text, checked.

        An empty text, or `none` where the setting is no text, empties a setting that may be empty.

        Raises:
            UserError: it is none, or out of range; see `check`.
        """
        if self.kind == "arguments":
            return read_arguments(text, source or self.path)
        text = _unquoted(text.strip())
        if self.optional and (not text or (self.kind != "text" and text.casefold() == "none")):
            return None
        if self.auto and text.casefold() == "auto":
            return "auto"
        return self.check(self._number(text, source) if self.kind in ("integer", "number") else text, source)

    def check(self, value: Any, source: str = "") -> Any:
        """The value as the setting holds it.

        Raises:
            UserError: it is of the wrong type or out of range. The line begins with `source` and says what was
                found; without a source it is the reason alone, for a place that shows both already.
        """
        holder = self.model()
        try:
            setattr(holder, self.name, value)
        except ValidationError as error:
            raise _refusal(reason_of(error), source, f"found {value!r:.80}") from None
        return getattr(holder, self.name)

    def _number(self, text: str, source: str) -> int | float:
        plain = re.sub(r"[,\s]", "", text) if _GROUPED.fullmatch(text) else text
        with contextlib.suppress(ValueError):
            return int(plain)
        try:
            value = float(plain)
        except ValueError:
            other = " or auto" if self.auto else ", or nothing" if self.optional else ""
            raise _refusal(f"should be a number{other}", source, f"unable to parse {text!r:.80}") from None
        if self.kind == "integer" and not value.is_integer():
            raise _refusal("should be a whole number", source, f"found {text:.80}")
        return int(value) if self.kind == "integer" else value


def fields_of(section: str, model: type[BaseModel]) -> list[Field]:
    """The fields of one group of settings, in the order they are declared."""
    return [_field(section, name, info, model) for name, info in model.model_fields.items()]


def _field(section: str, name: str, info: FieldInfo, model: type[BaseModel]) -> Field:
    path, extra, shape = f"{section}.{name}", declared(info), shape_of(info)
    kind = _kind(shape)
    meaning = re.search(r"empty: ([^.;(]+)", info.description or "")
    return Field(
        path=path,
        label=_SECTION_LABELS.get(path) or label_of_name(name),
        kind=kind,
        default=info.get_default(call_default_factory=True),
        help=info.description or "",
        model=model,
        unit=extra.get("unit", ""),
        flag=extra.get("flag", "").replace("{section}", section),
        commands=tuple(extra.get("commands", ())),
        advanced=extra.get("advanced", False),
        training_only=extra.get("training_only", False),
        of_model=extra.get("of_model", True),
        optional=shape.optional,
        auto=kind in ("integer", "number") and "auto" in shape.words,
        choices=shape.words,
        empty=_short(meaning.group(1).strip()) if meaning else "default",
        low=shape.low,
        high=shape.high,
    )


def _kind(shape: Shape) -> ValueKind:
    kinds: dict[Any, ValueKind] = {bool: "switch", int: "integer", float: "number", dict[str, Any]: "arguments"}
    of_type = next((kind for type_, kind in kinds.items() if type_ in shape.types), None)
    return of_type or ("choice" if shape.words and not shape.types else "text")


def _short(meaning: str) -> str:
    return meaning if len(meaning) <= 14 else "default"


def _unquoted(text: str) -> str:
    """The content of a TOML string; any other text as it is."""
    if text[:1] not in ("'", '"'):
        return text
    try:
        values = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return values["value"] if set(values) == {"value"} and isinstance(values["value"], str) else text


def _refusal(reason: str, source: str, found: str) -> UserError:
    return UserError(f"{source}: {reason} ({found})" if source else reason[:1].upper() + reason[1:])
