"""The terminal menu: see and edit every setting, pick components, load, save, run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console

from ewm_studio.errors import Untrusted, UserError
from ewm_studio.jobs.launch import build_experiment, model_values
from ewm_studio.jobs.runners.thread import ThreadRunner
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.settings.paths import parse_assignment
from ewm_studio.settings.typed_path import typed_path
from ewm_studio.terminal.editor import Editor
from ewm_studio.terminal.jobs import asked_for, run_job
from ewm_studio.terminal.output import silence, summary, unprinted
from ewm_studio.terminal.prompt import BACK, Prompt, escape, pick
from ewm_studio.terminal.trust import settle_trust
from ewm_studio.workspace.files import write_text

if TYPE_CHECKING:
    from ewm_studio.workspace import Workspace


class Menu:
    """The menu, and the document that it edits: the same as the window's.

    Args:
        workspace: where runs and models are found and made.
        config: a settings file to begin with.

    Raises:
        UserError: the settings file cannot be used.
    """

    def __init__(self, workspace: Workspace, config: str | None = None, console: Console | None = None) -> None:
        self.workspace = workspace
        self.document = ExperimentDocument()
        self.prompt = Prompt(console)
        self.editor = Editor(self.document, self.prompt)
        if config is not None:
            self.open(config)
        self._leaving, self._code = False, 0
        self.entries: dict[str, tuple[str, Callable[[], None]]] = {
            "settings": ("see and edit settings", self.editor.sections),
            "components": ("choose vision, memory and controller", self.editor.components),
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
        """Serve until the person leaves or the input ends; returns the exit code.

        Raises:
            OutputError: nothing more can be shown.
        """
        try:
            while not self._leaving:
                self.show()
                word = self.prompt.ask("choose")
                try:
                    self.prompt.guarded(self.choose, word)
                except KeyboardInterrupt:
                    self.prompt.say("")  # back to the menu
        except EOFError:
            self.prompt.say("")
        except KeyboardInterrupt:
            self.prompt.say("")
            return 130
        except OSError as error:
            silence(self.prompt.console.file)
            raise unprinted(error) from None
        return self._code

    def show(self) -> None:
        """Draw the menu with what is chosen at present."""
        e = self.document.experiment
        started = f", from {e.start.load_path}" if e.start.load_path else ""
        self.prompt.say(f"\n[bold]EWM Studio[/]  {escape(f'{e.env.id}: {self._parts()}{started}')}")
        for number, (name, (text, _)) in enumerate(self.entries.items(), 1):
            self.prompt.say(f"  {number:>2}  {name:<12}{text}")
        self.prompt.say("  or section.field=value, such as ppo.lr=0.001")

    def choose(self, word: str) -> None:
        """Do what the menu's word, number or assignment asks for.

        Raises:
            UserError: there is no such entry, or it was refused.
        """
        if "=" in word:
            self.editor.assign(*parse_assignment(word))
        elif word:
            self.entries[pick(word, list(self.entries))][1]()

    def open(self, path: str) -> None:
        """Take all settings from a file, as `--config` does.

        Raises:
            UserError: it cannot be read, or holds a bad setting.
        """
        place = typed_path(path, "file")
        self.document.replace(build_experiment(self.workspace, config=place).experiment, place)

    def load(self) -> None:
        """Take all settings from a file that is asked for."""
        if path := self.prompt.ask(f"settings file {BACK}"):
            self.open(path)
            self.prompt.say(f"[green]loaded {escape(path)}[/]")

    def model(self) -> None:
        """Name the model to start from; its environment and components are taken over."""
        if name := self.prompt.ask(f"model: a file, a run's folder or a run's name {BACK}"):
            self.document.start_from(name, model_values(self.workspace, name))
            self.prompt.say(f"[green]{escape(f'{name}: {self._parts()}')}[/]")

    def save(self) -> None:
        """Write all settings to a file; an existing one is only replaced on request."""
        text = self.prompt.ask("file [experiment.toml]") or "experiment.toml"
        path = typed_path(text, "file")
        if path.is_dir():
            raise UserError(f"{text}: is a folder; give a file such as {path / 'experiment.toml'}")
        if path.exists() and self.prompt.ask(f"{text} is there; replace it? [y/n]").lower() not in ("y", "yes"):
            return
        self.document.save(path, write_text)
        self.prompt.say(f"[green]saved {escape(text)}[/]")

    def job(self, command: str) -> None:
        """Run a job; Ctrl-C ends it after it saved, and the menu goes on; what else ends a program ends both."""
        if not self._agreed(self.document.experiment.env.id):
            return
        job = asked_for(command, self.document.experiment, self.workspace)
        outcome = run_job(ThreadRunner(job), self.workspace.path)
        if outcome.result is not None:
            self.prompt.say(escape(summary(outcome.result)))
        if outcome.leave:
            self._leaving, self._code = True, outcome.code

    def _agreed(self, id: str) -> bool:
        """Whether the module that an environment's id names may be imported; asks where a file named it."""
        try:
            settle_trust(id, meant=False)
        except Untrusted as asked:
            words = f"'{id}' of a file imports the module '{asked.module}' ({asked.place}); trust it? [y/n]"
            if self.prompt.ask(words).lower() not in ("y", "yes"):
                return False
            settle_trust(id, meant=True)
        return True

    def runs(self) -> None:
        """List the workspace's runs."""
        from ewm_studio.terminal.lists import list_runs

        list_runs(self.workspace, as_json=False)

    def leave(self) -> None:
        """End the menu."""
        self._leaving = True

    def _parts(self) -> str:
        return " + ".join(map(self.editor.chosen, COMPONENTS))
