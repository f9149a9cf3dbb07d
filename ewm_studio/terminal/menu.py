"""The terminal menu: see and edit every setting, pick components, load, save, run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ewm_studio.errors import UserError, nearest
from ewm_studio.jobs.launch import build_experiment, model_values
from ewm_studio.jobs.runners.thread import ThreadRunner
from ewm_studio.settings import ComponentChoice
from ewm_studio.settings.paths import COMPONENTS, SECTIONS, parse_assignment, read_value
from ewm_studio.terminal.flags import bounds_of, unit_of
from ewm_studio.terminal.jobs import asked_for, run_job
from ewm_studio.terminal.output import summary

if TYPE_CHECKING:
    from ewm_studio.models.registry import Kind
    from ewm_studio.workspace import Workspace

_BACK = "(empty: back)"


class Menu:
    """The menu and the experiment it edits.

    Args:
        workspace: where runs and models are found and made.
        config: a settings file to begin with.

    Raises:
        UserError: the settings file cannot be used.
    """

    def __init__(self, workspace: Workspace, config: str | None = None, console: Console | None = None) -> None:
        self.workspace = workspace
        self.console = console or Console(highlight=False)
        self.experiment = build_experiment(workspace, config=config).experiment
        self._leaving = False
        self.entries: dict[str, tuple[str, Callable[[], None]]] = {
            "settings": ("see and edit settings", self.settings),
            "components": ("choose vision, memory and controller", self.components),
            "load": ("load a settings file", self.load),
            "model": ("load a model to start from", self.model),
            "save": ("save the settings to a file", self.save),
            "train": ("train with PPO", lambda: self.job("train")),
            "pretrain": ("train vision and memory beforehand", lambda: self.job("pretrain")),
            "infer": ("play the loaded model", lambda: self.job("infer")),
            "record": ("write a recording", lambda: self.job("record")),
            "runs": ("list the runs", self.runs),
            "quit": ("leave", self.leave),
        }

    def run(self) -> int:
        """Serve until the person leaves or the input ends; returns the exit code."""
        try:
            while not self._leaving:
                self.show()
                word = self.ask("choose")
                try:
                    self.choose(word)
                except UserError as error:
                    self.refuse(error)
                except KeyboardInterrupt:
                    self.say("")  # back to the menu
        except EOFError:
            self.say("")
        except KeyboardInterrupt:
            self.say("")
            return 130
        return 0

    def show(self) -> None:
        """Draw the menu with what is chosen at present."""
        e = self.experiment
        parts = " + ".join(getattr(e, kind).name for kind in COMPONENTS)
        started = f", from {e.start.load_path}" if e.start.load_path else ""
        self.say(f"\n[bold]EWM Studio[/]  {escape(f'{e.env.id}: {parts}{started}')}")
        for number, (name, (text, _)) in enumerate(self.entries.items(), 1):
            self.say(f"  {number:>2}  {name:<12}{text}")
        self.say("  or section.field=value, such as ppo.lr=0.001")

    def choose(self, word: str) -> None:
        """Do what the menu's word, number or assignment asks for.

        Raises:
            UserError: there is no such entry, or it was refused.
        """
        if not word:
            return
        if "=" in word:
            self.assign(*parse_assignment(word))
            return
        self.entries[pick(word, list(self.entries))][1]()

    def settings(self) -> None:
        """Pick a section, then edit its settings one by one."""
        while True:
            table = Table(box=None, pad_edge=False)
            for column in ("", "section", "what"):
                table.add_column(column)
            for number, (name, model) in enumerate(SECTIONS.items(), 1):
                chosen = f"chosen: {getattr(self.experiment, name).name}" if name in COMPONENTS else ""
                table.add_row(str(number), name, escape(chosen or " ".join((model.__doc__ or "").split())))
            self.console.print(table)
            word = self.ask(f"section {_BACK}")
            if not word:
                return
            self.guarded(self.section, word)

    def section(self, word: str) -> None:
        """Show one section, by its name or number, and edit it until the person goes back."""
        name = pick(word, list(SECTIONS))
        if name in COMPONENTS:
            self.component(name)
            return
        fields = SECTIONS[name].model_fields
        while True:
            self.table(SECTIONS[name], getattr(self.experiment, name))
            choice = self.ask(f"setting of {name}, or name=value {_BACK}")
            if not choice:
                return
            self.guarded(self.edit, name, fields, choice)

    def edit(self, section: str, fields: Mapping[str, FieldInfo], word: str) -> None:
        """Set one value: given with the name, or asked for until it is right or left empty."""
        name, equals, text = word.partition("=")
        name = pick(name.strip(), list(fields))
        path = f"{section}.{name}"
        if equals:
            self.assign(path, read_value(path, text.strip()))
            return
        self.say(escape(fields[name].description or ""))
        while text := self.ask(f"{path} {_BACK}"):
            try:
                self.assign(path, read_value(path, text))
                return
            except UserError as error:
                self.refuse(error)

    def assign(self, path: str, value: Any) -> None:
        """Take a checked value over into the experiment.

        Raises:
            UserError: the experiment as a whole does not allow it.
        """
        section, _, name = path.partition(".")
        if section in COMPONENTS:
            choice: ComponentChoice = getattr(self.experiment, section)
            given = {} if name == "name" else {**choice.given, name: value}
            self.choose_component(section, value if name == "name" else choice.name, given)
        else:
            self.experiment = self.experiment.with_values((path, value))
        self.say(f"[green]{escape(path)} = {escape(shown(value))}[/]")

    def components(self) -> None:
        """Choose each of the three components in turn."""
        for kind in COMPONENTS:
            self.component(kind)

    def component(self, kind: str) -> None:
        """Choose a component of one kind and edit its own settings."""
        from ewm_studio.models import registry

        known = registry.components(cast("Kind", kind))
        names = ["auto", *known]
        for number, name in enumerate(names, 1):
            text = known[name].summary if name in known else "whatever fits the environment"
            self.say(f"  {number:>2}  {name:<26}{escape(text)}")
        while word := self.ask(f"{kind} [{getattr(self.experiment, kind).name}] (empty: keep)"):
            try:
                self.choose_component(kind, pick(word, names), {})
                break
            except UserError as error:
                self.refuse(error)
        while (choice := getattr(self.experiment, kind)).name != "auto":
            cls = registry.component(cast("Kind", kind), choice.name)
            fields = cls.Settings.model_fields
            if not fields:
                return
            self.table(cls.Settings, registry.check_settings(cast("Kind", kind), cls, choice.given))
            word = self.ask(f"setting of {cls.__name__}, or name=value {_BACK}")
            if not word:
                return
            self.guarded(self.edit, kind, fields, word)

    def choose_component(self, kind: str, name: str, given: dict[str, Any]) -> None:
        """Take over a component with its own settings, once they are checked.

        Raises:
            UserError: no such component, or a bad setting.
        """
        from ewm_studio.models import registry

        if name == "auto" and given:
            raise UserError(f"{kind} is auto and has no settings of its own; choose a component first")
        if name != "auto":
            cls = registry.component(cast("Kind", kind), name)
            registry.check_settings(cast("Kind", kind), cls, given)
            name = cls.__name__
        self.experiment = self.experiment.model_copy(update={kind: ComponentChoice(name=name, **given)})
        if self.experiment.start.load_path:
            self.say(f"[yellow]a loaded model brings its own {kind}; empty start.load_path to use this one[/]")

    def load(self) -> None:
        """Take all settings from a file."""
        if path := self.ask(f"settings file {_BACK}"):
            self.experiment = build_experiment(self.workspace, config=Path(path).expanduser()).experiment
            self.say(f"[green]loaded {escape(path)}[/]")

    def model(self) -> None:
        """Name the model to start from; its environment and components are taken over."""
        name = self.ask(f"model: a file, a run's folder or a run's name {_BACK}")
        if not name:
            return
        values = model_values(self.workspace, name)
        paths = [(f"env.{field}", value) for field, value in values["env"].items()]
        changed = self.experiment.with_values(*paths, ("start.load_path", name))
        chosen = {kind: ComponentChoice(**values[kind]) for kind in COMPONENTS}
        self.experiment = changed.model_copy(update=chosen)
        self.say(f"[green]{escape(name)}: {' + '.join(c.name for c in chosen.values())}[/]")

    def save(self) -> None:
        """Write all settings to a file; an existing one is only replaced on request."""
        text = self.ask("file [experiment.toml]") or "experiment.toml"
        path = Path(text).expanduser()
        if path.exists() and self.ask(f"{text} is there; replace it? [y/n]").lower() not in ("y", "yes"):
            return
        try:
            path.write_text(self.experiment.to_toml(), encoding="utf-8")
        except OSError as error:
            raise UserError(f"{text}: cannot be written ({error.strerror})") from None
        self.say(f"[green]saved {escape(text)}[/]")

    def job(self, command: str) -> None:
        """Run a job; Ctrl-C ends it after it saved, and the menu goes on."""
        job = asked_for(command, self.experiment, self.workspace)
        outcome = run_job(ThreadRunner(job), self.workspace.path)
        if outcome.result is not None:
            self.say(escape(summary(outcome.result)))

    def runs(self) -> None:
        """List the workspace's runs."""
        from ewm_studio.terminal.lists import list_runs

        list_runs(self.workspace, as_json=False)

    def leave(self) -> None:
        """End the menu."""
        self._leaving = True

    def guarded(self, action: Callable[..., None], *arguments: Any) -> None:
        """Do something that may be refused, and stay where we are if it is."""
        try:
            action(*arguments)
        except UserError as error:
            self.refuse(error)

    def table(self, model: type[BaseModel], values: BaseModel) -> None:
        """Draw a group of settings with their present values."""
        columns = ["", "setting", "value", "unit", "range", "what"]
        # The explanations need room; a narrow terminal shows each where its setting is edited.
        columns = columns if self.console.width >= 120 else columns[:-1]
        table = Table(box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for number, (name, info) in enumerate(model.model_fields.items(), 1):
            value = shown(getattr(values, name))
            row = (str(number), name, value, unit_of(info), bounds_of(info), info.description or "")
            table.add_row(*map(escape, row[: len(columns)]))
        self.console.print(table)

    def ask(self, prompt: str) -> str:
        """One line from the person, without surrounding blanks.

        Raises:
            EOFError: the input ended.
        """
        return self.console.input(escape(f"{prompt}: ")).strip()

    def say(self, text: str) -> None:
        """Write one line of markup."""
        self.console.print(text, soft_wrap=True)

    def refuse(self, error: UserError) -> None:
        """Say why something was refused."""
        self.say(f"[red]{escape(' '.join(str(error).split()))}[/]")


def pick(word: str, names: list[str]) -> str:
    """The name that a word or its number in the list means.

    Raises:
        UserError: there is none; names the nearest.
    """
    if word.isdecimal() and 1 <= int(word) <= len(names):
        return names[int(word) - 1]
    by_fold = {name.casefold(): name for name in names}
    if word.casefold() in by_fold:
        return by_fold[word.casefold()]
    raise UserError(f"no '{word:.80}' here; {nearest(word, names)}")


def shown(value: Any) -> str:
    """A setting's value as a person reads it."""
    return "none" if value is None else str(value)
