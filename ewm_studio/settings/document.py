"""The experiment that is being edited: its values, what differs from the defaults, and its file."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ewm_studio.errors import UserError
from ewm_studio.settings.experiment import COMPONENTS, ComponentChoice, Experiment, present_path
from ewm_studio.settings.fields import Field
from ewm_studio.settings.layers import Values, with_model
from ewm_studio.settings.paths import all_fields

Listener = Callable[[str], None]


class _Draft(BaseModel):
    """What is kept of a document."""

    experiment: Experiment
    saved: Experiment = Experiment()
    path: Path | None = None


class ExperimentDocument:
    """An `Experiment` with listeners. A change is checked as a whole before it is taken."""

    def __init__(self, experiment: Experiment | None = None) -> None:
        self._experiment = experiment or Experiment()
        self._saved = self._experiment
        self.path: Path | None = None
        self._listeners: list[Listener] = []
        self._before: tuple[Experiment, Experiment, Path | None] | None = None  # what many at once took the place of
        self._automatic: dict[str, str] = {}  # the part that `auto` stood for when it was last found out

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
        path = present_path(path)
        section, _, name = path.partition(".")
        if section in COMPONENTS and name == "name":
            if getattr(self._experiment, section).name == value:
                return
            changed = self._experiment.model_copy(update={section: ComponentChoice(name=value)})
        elif path == "env.id" and value != self._experiment.env.id:  # what is one environment's own goes with it
            nothing: tuple[tuple[str, Any], ...] = (
                ("env.kwargs", {}),
                ("data.recording", None),
                ("warm_up.recording", None),
            )
            changed = self._experiment.with_values((path, value), *nothing)
        else:
            changed = self._experiment.with_values((path, value))
        if changed != self._experiment:
            self._experiment = changed
            self._tell(path)

    def settle(self, automatic: Mapping[str, str]) -> None:
        """Take note of the parts that `auto` stands for now; values that were given to another part go with that.

        Args:
            automatic: names by kind, of those that are chosen automatically.
        """
        before, self._automatic = self._automatic, dict(automatic)
        for kind, name in automatic.items():
            choice: ComponentChoice = getattr(self._experiment, kind)
            if choice.name == "auto" and choice.given and before.get(kind, name) != name:
                self._experiment = self._experiment.model_copy(update={kind: ComponentChoice()})
                self._tell(f"{kind}.name")

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

    @property
    def can_undo(self) -> bool:
        """Whether settings were changed many at once, which can be taken back."""
        return self._before is not None

    def undo(self) -> None:
        """Take back the last change of many settings at once, with what was changed since; again does it once more."""
        if self._before is None:
            return
        before, self._before = self._before, (self._experiment, self._saved, self.path)
        self._experiment, self._saved, self.path = before
        self._tell("")

    def _remember(self) -> None:
        """Many settings change at once: what they are now can be had back."""
        self._before = (self._experiment, self._saved, self.path)

    def replace(self, experiment: Experiment, path: Path | None = None) -> None:
        """Edit another experiment from now on."""
        experiment = experiment.model_copy(update={"versions": {}})
        if (experiment, path) != (self._experiment, self.path):
            self._remember()
        self._experiment = self._saved = experiment
        self.path = path
        self._tell("")

    def edit(self, experiment: Experiment) -> None:
        """Change many settings at once; the file stays the same one."""
        self._remember()
        self._experiment = experiment.model_copy(update={"versions": {}})
        self._tell("")

    def start_from(self, name: str, model: Values) -> None:
        """Start from a saved model; what it brings takes the place of what was chosen, everything else stays.

        Args:
            name: the model, as `start.load_path` names it.
            model: the sections it brings.

        Raises:
            UserError: they are none of this version; nothing was changed.
        """
        start = {"start": {"load_path": name}}
        self.edit(Experiment.from_dict(with_model(self._experiment.model_dump(mode="json"), model, start)))

    def follow_rename(self, rename: Callable[[str], str], *paths: str) -> None:
        """What some settings name is called otherwise now: they go on naming it, those that can be had back as well.

        Args:
            rename: gives the name that a name is now.
            paths: of the settings.
        """

        def follow(experiment: Experiment) -> Experiment:
            named = {path: _value_at(experiment, path) for path in paths}
            called = {path: rename(name) for path, name in named.items() if name}
            changed = [(path, name) for path, name in called.items() if name != named[path]]
            return experiment.with_values(*changed) if changed else experiment

        before, self._experiment = self._experiment, follow(self._experiment)
        if self.path is None:  # else its file still says the old name
            self._saved = follow(self._saved)
        if self._before is not None:
            self._before = (follow(self._before[0]), *self._before[1:])
        for path in paths:
            if _value_at(before, path) != _value_at(self._experiment, path):
                self._tell(path)

    def draft(self) -> str:
        """Everything as text, for `restore_draft`: the settings, what was saved of them, and in which file."""
        path = self.path.resolve() if self.path is not None else None
        if path is not None and not str(path).isprintable():  # bytes that are no text would not come back
            path = None
        return _Draft(experiment=self._experiment, saved=self._saved, path=path).model_dump_json()

    def restore_draft(self, text: str) -> bool:
        """Take up unsaved work, with its file where that is still there; whether the text is a valid draft.

        One of an earlier version names no file: it is not saved.
        """
        draft = _draft_of(text)
        if draft is None:
            return False
        gone = draft.path is not None and not draft.path.is_file()
        self._experiment = draft.experiment
        self._saved = Experiment() if gone else draft.saved
        self.path = None if gone else draft.path
        self._tell("")
        return True

    def open(self, path: Path) -> None:
        """Read an `experiment.toml`.

        Raises:
            UserError: it cannot be read, or holds a bad setting.
        """
        self.replace(Experiment.from_toml(path), path)

    def save(self, path: Path, write: Callable[[Path, str], None]) -> None:
        """Write the settings to a file.

        Args:
            path: of the file.
            write: puts a text into a file, or raises UserError or JobError and leaves that as it was.
        """
        write(path, self._experiment.to_toml())
        self._saved, self.path = self._experiment, path
        self._tell("")

    def command_line(self, job: str = "train") -> str:
        """The command that runs this experiment from a terminal."""
        words = ["ewm-studio", job]
        for field in all_fields().values():
            if self.is_changed(field):
                words += _words(field, self.value(field), job)
            if field.section in COMPONENTS:
                for name, value in getattr(self._experiment, field.section).given.items():
                    words += ["--set", f"{field.section}.{name}={_literal(value)}"]
        return shlex.join(words)

    def _tell(self, path: str) -> None:
        for listener in list(self._listeners):
            listener(path)


def _draft_of(text: str) -> _Draft | None:
    """The draft in a text; None where it is no valid one any more."""
    with contextlib.suppress(UserError, ValidationError):
        return _Draft.model_validate_json(text)
    with contextlib.suppress(UserError, ValidationError):  # up to version 0.1.0 the settings were all of it
        return _Draft(experiment=Experiment.model_validate_json(text))
    return None


def _value_at(experiment: Experiment, path: str) -> Any:
    section, _, name = path.partition(".")
    return getattr(getattr(experiment, section), name)


def _words(field: Field, value: Any, job: str) -> list[str]:
    """How a command line sets a field."""
    if field.kind == "arguments":
        return [word for name in value for word in (f"--{field.flag}", f"{name}={json.dumps(value[name])}")]
    if not field.flag or job not in field.commands or isinstance(value, bool) or value is None:
        return ["--set", f"{field.path}={_literal(value)}"]
    return [f"--{field.flag}", str(value)]


def _literal(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
