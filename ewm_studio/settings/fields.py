"""Settings as fields of a form: label, kind, unit, range and help, read from their declarations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ewm_studio import formatting as format
from ewm_studio.errors import UserError
from ewm_studio.settings import declared, explain

Kind = Literal["switch", "integer", "number", "choice", "text"]

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
}
_SECTION_LABELS = {"env.batch_size": "Environments", "world_model.train": "Train with PPO"}


@dataclass(frozen=True)
class Field:
    """One row of a form."""

    path: str  # "ppo.lr"
    label: str
    kind: Kind
    default: Any
    help: str
    unit: str = ""
    flag: str = ""
    advanced: bool = False
    optional: bool = False  # may be empty
    auto: bool = False  # may be "auto" beside a number
    choices: tuple[str, ...] = ()
    empty: str = ""  # what an empty field means: "no limit"
    low: float | None = None
    high: float | None = None
    model: type[BaseModel] | None = None

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

    def to_text(self, value: Any) -> str:
        """A value as it is shown in the field."""
        if value is None:
            return ""
        if self.kind == "integer" and isinstance(value, int):
            return format.count(value)
        if self.kind == "number" and isinstance(value, int | float):
            return format.setting_float(value)
        return str(value)

    def parse(self, text: str) -> Any:
        """The value a person means by a text, checked.

        Raises:
            UserError: it is none, or out of range; the line says what would be right.
        """
        text = text.strip()
        if not text and self.optional:
            return None
        if self.kind == "text":
            return self.check(text)
        if self.auto and text.casefold() == "auto":
            return "auto"
        return self.check(self._number(text))

    def check(self, value: Any) -> Any:
        """The value as the setting holds it.

        Raises:
            UserError: it is of the wrong type or out of range.
        """
        if self.model is None:
            return value
        holder = self.model()
        try:
            setattr(holder, self.name, value)
        except ValidationError as error:
            line = explain(error, "").removeprefix(": ").removeprefix(f"{self.name} ")
            line = re.sub(r" \(found .*\)$", "", line)
            raise UserError(line[:1].upper() + line[1:]) from None
        return getattr(holder, self.name)

    def _number(self, text: str) -> int | float:
        plain = re.sub(r"(?<=\d)[,_\s](?=\d{3}(\D|$))", "", text)
        try:
            value = float(plain)
        except ValueError:
            other = " or auto" if self.auto else ", or nothing" if self.optional else ""
            raise UserError(f"Should be a number{other}") from None
        if self.kind == "integer":
            if not value.is_integer():
                raise UserError("Should be a whole number")
            return int(value)
        return value


def fields_of(section: str, model: type[BaseModel]) -> list[Field]:
    """The fields of one group of settings, in the order they are declared."""
    return [_field(section, name, info, model) for name, info in model.model_fields.items()]


def _field(section: str, name: str, info: FieldInfo, model: type[BaseModel]) -> Field:
    path = f"{section}.{name}"
    extra = declared(info)
    kinds, choices = _alternatives(info.annotation)
    low, high = _range(info)
    kind: Kind = "text"
    if bool in kinds:
        kind = "switch"
    elif int in kinds:
        kind = "integer"
    elif float in kinds:
        kind = "number"
    elif choices:
        kind = "choice"
    meaning = re.search(r"empty: ([^.;(]+)", info.description or "")
    return Field(
        path=path,
        label=_SECTION_LABELS.get(path) or _LABELS.get(name) or name.replace("_", " ").capitalize(),
        kind=kind,
        default=info.get_default(call_default_factory=True),
        help=info.description or "",
        unit=str(extra.get("unit", "")),
        flag=str(extra.get("flag", "")),
        advanced=bool(extra.get("advanced", False)),
        optional=NoneType in kinds,
        auto=kind in ("integer", "number") and "auto" in choices,
        choices=tuple(choices),
        empty=_short(meaning.group(1).strip()) if meaning else "default",
        low=low,
        high=high,
        model=model,
    )


def _short(meaning: str) -> str:
    return meaning if len(meaning) <= 14 else "default"


def _alternatives(annotation: Any) -> tuple[set[Any], list[str]]:
    """The plain types of an annotation, and the words of its literals."""
    if get_origin(annotation) is Literal:
        return set(), [str(word) for word in get_args(annotation)]
    parts = get_args(annotation)
    if not parts or isinstance(annotation, type):
        return {annotation}, []
    kinds: set[Any] = set()
    choices: list[str] = []
    for part in parts:
        if part is NoneType or isinstance(part, type) or get_origin(part) is not None:
            found, words = _alternatives(part)
            kinds |= found
            choices += words
    return kinds, choices


def _range(info: FieldInfo) -> tuple[float | None, float | None]:
    low = high = None
    for limit in info.metadata:
        low = getattr(limit, "ge", getattr(limit, "gt", low))
        high = getattr(limit, "le", getattr(limit, "lt", high))
    return low, high
