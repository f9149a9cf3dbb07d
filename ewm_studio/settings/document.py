"""The experiment that is being edited: its values, what differs from the defaults, and its file."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ewm_studio.errors import UserError
from ewm_studio.settings import ComponentChoice, Experiment, declared
from ewm_studio.settings.fields import Field
from ewm_studio.settings.paths import COMPONENTS, SECTIONS

Listener = Callable[[str], None]


class ExperimentDocument:
    """An `Experiment` with listeners. A change is checked as a whole before it is taken."""

    def __init__(self, experiment: Experiment | None = None) -> None:
        self._experiment = experiment or Experiment()
        self._saved = self._experiment
        self.path: Path | None = None
        self._listeners: list[Listener] = []

    @property
    def experiment(self) -> Experiment:
        """The present settings; a value, never changed in place."""
        return self._experiment

    @property
    def edited(self) -> bool:
        """Whether something changed since the file was opened or saved."""
        return self._experiment != self._saved

    @property
    def name(self) -> str:
        """The file's name, for the heading."""
        return self.path.name if self.path else "not saved"

    def subscribe(self, listener: Listener) -> None:
        """Call `listener(path)` after every change; an empty path means that everything may have changed."""
        self._listeners.append(listener)

    def value(self, field: Field) -> Any:
        """The value of a field; a component's own setting that was not given has its default."""
        group = getattr(self._experiment, field.section)
        if isinstance(group, ComponentChoice) and field.name != "name":
            return group.given.get(field.name, field.default)
        return getattr(group, field.name)

    def is_changed(self, field: Field) -> bool:
        """Whether a field differs from its default."""
        return bool(self.value(field) != field.default)

    def set(self, path: str, value: Any) -> None:
        """Change one setting.

        Raises:
            UserError: the experiment would not be a valid one; nothing was changed.
        """
        section, _, name = path.partition(".")
        if section in COMPONENTS and name == "name":
            if getattr(self._experiment, section).name == value:
                return
            changed = self._experiment.model_copy(update={section: ComponentChoice(name=value)})
        else:
            changed = self._experiment.with_values((path, value))
        if changed != self._experiment:
            self._experiment = changed
            self._tell(path)

    def reset(self, field: Field) -> None:
        """Set a field back to its default; a component's own setting is taken out."""
        choice = getattr(self._experiment, field.section)
        if isinstance(choice, ComponentChoice) and field.name != "name":
            given = {k: v for k, v in choice.given.items() if k != field.name}
            update = {field.section: ComponentChoice(name=choice.name, **given)}
            self._experiment = self._experiment.model_copy(update=update)
            self._tell(field.path)
        else:
            self.set(field.path, field.default)

    def replace(self, experiment: Experiment, path: Path | None = None) -> None:
        """Edit another experiment from now on."""
        self._experiment = self._saved = experiment.model_copy(update={"versions": {}})
        self.path = path
        self._tell("")

    def edit(self, experiment: Experiment) -> None:
        """Change many settings at once; the file stays the same one."""
        self._experiment = experiment.model_copy(update={"versions": {}})
        self._tell("")

    def draft(self) -> str:
        """Everything as text, for `restore_draft`."""
        return self._experiment.model_dump_json()

    def restore_draft(self, text: str, path: Path | None) -> None:
        """Take up unsaved work; a text that is no valid experiment any more is left alone."""
        try:
            experiment = Experiment.model_validate_json(text)
            saved = Experiment.from_toml(path) if path is not None and path.is_file() else None
        except (UserError, ValidationError):
            return
        if saved is not None:
            self._saved, self.path = saved, path
        self._experiment = experiment
        self._tell("")

    def open(self, path: Path) -> None:
        """Read an `experiment.toml`.

        Raises:
            UserError: it cannot be read, or holds a bad setting.
        """
        self.replace(Experiment.from_toml(path), path)

    def save(self, path: Path) -> None:
        """Write the settings to a file.

        Raises:
            UserError: the file cannot be written.
        """
        aside = path.with_name(f".{path.name}.part")
        try:
            aside.write_text(self._experiment.to_toml(), encoding="utf-8")
            aside.replace(path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror}); choose another place") from None
        self._saved, self.path = self._experiment, path
        self._tell("")

    def command_line(self, job: str = "train") -> str:
        """The command that runs this experiment from a terminal."""
        words = ["ewm-studio", job]
        for section, model in SECTIONS.items():
            group = getattr(self._experiment, section)
            if isinstance(group, ComponentChoice):
                words += _component_words(section, group)
                continue
            for name, info in model.model_fields.items():
                value = getattr(group, name)
                if value != info.get_default(call_default_factory=True):
                    words += _words(f"{section}.{name}", declared(info), value, job)
        return shlex.join(words)

    def _tell(self, path: str) -> None:
        for listener in list(self._listeners):
            listener(path)


def _component_words(kind: str, choice: ComponentChoice) -> list[str]:
    words = [] if choice.name == "auto" else [f"--{kind}", choice.name]
    for name, value in choice.given.items():
        words += ["--set", f"{kind}.{name}={_literal(value)}"]
    return words


def _words(path: str, extra: dict[str, Any], value: Any, job: str) -> list[str]:
    flag, commands = str(extra.get("flag", "")), extra.get("commands", [])
    if not flag or not isinstance(commands, list) or job not in commands or isinstance(value, bool) or value is None:
        return ["--set", f"{path}={_literal(value)}"]
    return [f"--{flag}", str(value)]


def _literal(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
