"""All settings of a run together: read, written, checked, and what is wrong with them in one line."""

from __future__ import annotations

import codecs
import os
import stat
import tomllib
from pathlib import Path
from typing import Any, Literal, Self, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ewm_studio.errors import UserError, nearest
from ewm_studio.settings.data import MOST_FRAMES, DataSettings
from ewm_studio.settings.declare import Settings, declared, setting
from ewm_studio.settings.dream_drive import DreamDriveSettings
from ewm_studio.settings.dreaming import DreamSettings
from ewm_studio.settings.evolution import EvolutionSettings
from ewm_studio.settings.learning import (
    PPOSettings,
    PretrainSettings,
    TrainSettings,
    WarmUpSettings,
    WorldModelSettings,
)
from ewm_studio.settings.planning import PlannerSettings
from ewm_studio.settings.running import EnvSettings, InferSettings, RunSettings, StartSettings, values_of_file

_DEEPEST = 16  # tables and lists in a settings file
LARGEST_FILE = 2**20  # bytes of a settings file
ComponentKind = Literal["vision", "memory", "controller"]
COMPONENTS: tuple[ComponentKind, ...] = get_args(ComponentKind)


# Of runs from before there were these settings.
_EARLIER: dict[str, dict[str, Any]] = {"pretrain": {"lr_schedule": "constant"}, "ppo": {"memory_gradient": "off"}}


class ComponentChoice(BaseModel):
    """A component by name and the settings given for it; the registry checks them against the component."""

    model_config = ConfigDict(extra="allow", validate_assignment=True)

    name: str = setting(
        "auto",
        "Name of the component; auto picks one that fits.",
        flag="{section}",
        commands=("train", "pretrain"),  # where a model is made; elsewhere a loaded one brings its own
    )

    @property
    def given(self) -> dict[str, Any]:
        """The component's own settings as given, unchecked."""
        return dict(self.model_extra or {})


class Experiment(Settings):
    """Everything that fixes a run."""

    env: EnvSettings = Field(default_factory=EnvSettings)
    vision: ComponentChoice = Field(default_factory=ComponentChoice)
    memory: ComponentChoice = Field(default_factory=ComponentChoice)
    controller: ComponentChoice = Field(default_factory=ComponentChoice)
    train: TrainSettings = Field(default_factory=TrainSettings)
    ppo: PPOSettings = Field(default_factory=PPOSettings)
    world_model: WorldModelSettings = Field(default_factory=WorldModelSettings)
    dream: DreamSettings = Field(default_factory=DreamSettings)
    warm_up: WarmUpSettings = Field(default_factory=WarmUpSettings)
    pretrain: PretrainSettings = Field(default_factory=PretrainSettings)
    data: DataSettings = Field(default_factory=DataSettings)
    infer: InferSettings = Field(default_factory=InferSettings)
    evolution: EvolutionSettings = Field(default_factory=EvolutionSettings)
    planner: PlannerSettings = Field(default_factory=PlannerSettings)
    dream_drive: DreamDriveSettings = Field(default_factory=DreamDriveSettings)
    start: StartSettings = Field(default_factory=StartSettings)
    run: RunSettings = Field(default_factory=RunSettings)
    versions: dict[str, str] = Field(
        default_factory=dict, description="What the run was made with; written, never read."
    )
    _of_file: bool = PrivateAttr(False)

    @property
    def of_file(self) -> bool:
        """Whether a file chose the environment: then its module is not imported before a person agrees to it."""
        return self._of_file

    def as_of_file(self) -> Self:
        """The same settings, whose environment nobody here chose."""
        copy = self.model_copy()
        copy._of_file = True
        return copy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Experiment) and self.__dict__ == other.__dict__  # wherever they were read

    @model_validator(mode="before")
    @classmethod
    def _at_present_places(cls, values: Any) -> Any:
        """What earlier versions wrote elsewhere is read as if it stood where it belongs now."""
        return at_present_places(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        ends = self.train.total_steps, self.train.minutes, self.train.epochs, self.train.patience
        if all(end is None for end in ends):
            raise ValueError("a run needs an end: give train.total_steps, train.epochs or train.patience")
        if 0 < self.world_model.frame_buffer < self.warm_up.random_frames:
            raise ValueError("warm_up.random_frames do not fit: give a world_model.frame_buffer of as many frames")
        return self

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: str = "settings") -> Experiment:
        """Build from nested values, turning pydantic's report into one clear line.

        Raises:
            UserError: naming the setting, what was found and what would be right.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(explain(error, source)) from None

    @classmethod
    def from_toml(cls, path: str | Path) -> Experiment:
        """Read an `experiment.toml`.

        Raises:
            UserError: the file is missing, is no TOML, or holds a bad setting.
        """
        path = Path(path)
        return cls.from_dict(read_settings(path), source=str(path)).as_of_file()

    @classmethod
    def of_run(cls, path: str | Path) -> Experiment:
        """Read the `experiment.toml` of a run, with what the file is too old to know of as it was then.

        Raises:
            UserError: as `from_toml`.
        """
        return cls.from_dict(values_of_run(read_sections(Path(path))), source=str(path))

    def to_toml(self) -> str:
        """All settings as TOML, which has no null: an empty setting is an empty string, read back as None."""
        return tomli_w.dumps(none_to_empty(self.model_dump(mode="json")))

    def with_values(self, *overrides: tuple[str, Any], source: str = "settings") -> Experiment:
        """A copy with `section.field` paths set to new values, checked as a whole."""
        values = self.model_dump(mode="json")
        for given, value in overrides:
            path = present_path(given)
            section, _, field = path.partition(".")
            if not field or "." in field or section not in values or section == "versions":
                known = [f"{s}.{f}" for s, group in values.items() if isinstance(group, dict) for f in group]
                raise UserError(f"{source}: no setting '{path}'; {nearest(path, known)}")
            values[section][field] = value
        changed = Experiment.from_dict(values, source)
        chosen = any(present_path(path) == "env.id" for path, _ in overrides)
        return changed.as_of_file() if self.of_file and not chosen else changed


SECTIONS: dict[str, type[BaseModel]] = {
    name: info.annotation
    for name, info in Experiment.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
}
# Where a setting stood in earlier versions, and where it stands now: pretrain.frames, data.frames.
MOVED: dict[str, str] = {
    declared(info)["moved"]: f"{section}.{name}"
    for section, model in SECTIONS.items()
    for name, info in model.model_fields.items()
    if declared(info).get("moved")
}


def present_path(path: str) -> str:
    """The path of a setting that may be called by one it had in an earlier version."""
    return MOVED.get(path, path)


def at_present_places(values: dict[str, Any]) -> dict[str, Any]:
    """Nested values, section by section, with every setting where it stands now.

    What is given at both places holds as it stands at the present one. The values given are not changed.
    """
    placed = {section: dict(group) if isinstance(group, dict) else group for section, group in values.items()}
    for old, new in MOVED.items():
        (section, name), (present, field) = old.split("."), new.split(".")
        group, target = placed.get(section), placed.get(present, {})
        if isinstance(group, dict) and name in group and isinstance(target, dict):
            value = group.pop(name)
            placed[present] = {field: _in_frames(value, values) if old == "pretrain.frames" else value, **target}
    return placed


def _in_frames(decisions: Any, values: dict[str, Any]) -> Any:
    """0.1.0 counted decisions where frames of the environment are counted now; another type is refused later."""
    env = values.get("env")
    repeat = env.get("action_repeat", 1) if isinstance(env, dict) else 1
    known = isinstance(decisions, int) and isinstance(repeat, int)
    return min(decisions * repeat, MOST_FRAMES) if known else decisions


def values_of_run(values: dict[str, Any]) -> dict[str, Any]:
    """What the file of a run says, with what it is too old to know of as it was then."""
    learning = {section: {**then, **values.get(section, {})} for section, then in _EARLIER.items()}
    return {**values, "env": values_of_file(values.get("env", {})), **learning}


def read_settings(path: Path) -> dict[str, Any]:
    """The nested values of a settings file, each where it stands now; they are not checked.

    Raises:
        UserError: the file is missing or no TOML.
    """
    text = text_of(path)
    try:
        values = tomllib.loads(text)
        _check_plain(values)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and endless nesting
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(f"{path}: not a TOML file ({reason})") from None
    return at_present_places(values)


def read_sections(path: Path) -> dict[str, Any]:
    """As `read_settings`, of a file that is laid over others: each section that it names is a table.

    Raises:
        UserError: one is not; or as `read_settings`.
    """
    values = read_settings(path)
    for section in SECTIONS:
        if not isinstance(values.get(section, {}), dict):
            raise UserError(f"{path}: {section} should be a table of settings (found {values[section]!r:.80})")
    return values


def _check_plain(value: Any, depth: int = 0) -> None:
    """Refuse numbers and nesting that no setting has, and that nothing could even be said about.

    Raises:
        ValueError: there are such.
    """
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} deep")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError("a whole number of more than 64 bits")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_plain(item, depth + 1)


def text_of(path: Path) -> str:
    """The text of a settings file, which is looked at before it is opened: a named pipe would wait for a writer.

    Raises:
        UserError: it is missing, no file, far too large, or no text.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "something that is no file"
            raise UserError(f"{path}: expected a TOML file, found {what}")
        if found.st_size > LARGEST_FILE:
            raise UserError(
                f"{path}: expected settings, found {found.st_size:,} bytes; at most {LARGEST_FILE:,} can be"
            )
        data = path.read_bytes()
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UserError(f"{path}: not a TOML file (a text in UTF-16); save it as UTF-8")
        return data.decode("utf-8-sig")  # editors of Windows put a mark before the text
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a TOML file ({error}); save it as UTF-8") from None
    except (OSError, ValueError) as error:  # a ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"{path}: cannot be read ({reason})") from None


def explain(error: ValidationError, source: str) -> str:
    """The first of pydantic's complaints as one line: what, where, what to do."""
    first = error.errors(include_url=False)[0]
    where = _place(first)
    if first["type"] == "extra_forbidden":
        known = _known_fields(error.title, first["loc"])
        return f"{source}: no setting '{where}'; {nearest(where, known)}"
    found = "" if not where else f" (found {first['input']!r:.80})"
    return f"{source}: {where + ' ' if where else ''}{reason_of(error)}{found}"


def reason_of(error: ValidationError) -> str:
    """What is wrong where pydantic first complains, without the place: "should be greater than 0"."""
    errors = error.errors(include_url=False)
    messages = {e["msg"].removeprefix("Value error, ") for e in errors if _place(e) == _place(errors[0])}
    return " or ".join(sorted(messages)).replace("Input should", "should")


def _place(complaint: ErrorDetails) -> str:
    return ".".join(str(part) for part in complaint["loc"] if not _is_union_branch(part))


def _is_union_branch(part: str | int) -> bool:
    """pydantic puts the tried branch of a union into the location: `int`, `literal['auto']`."""
    return isinstance(part, str) and (
        part in {"int", "float", "str", "bool", "constrained-int"} or part.startswith("literal[")
    )


def _known_fields(title: str, location: tuple[str | int, ...]) -> list[str]:
    sections = {n: f.annotation for n, f in Experiment.model_fields.items()}
    if len(location) == 1 and title == "Experiment":
        return list(sections)
    model = sections.get(str(location[0]))
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [f"{location[0]}.{name}" for name in model.model_fields]
    return []


def none_to_empty(values: dict[str, Any]) -> dict[str, Any]:
    """Nested values without null, which TOML has not: an empty text stands for it."""
    return {k: none_to_empty(v) if isinstance(v, dict) else ("" if v is None else v) for k, v in values.items()}
