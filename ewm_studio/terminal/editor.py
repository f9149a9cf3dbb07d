"""The menu's pages of settings: the sections, their fields, and the components with their own."""

from __future__ import annotations

from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.settings.experiment import COMPONENTS, SECTIONS, ComponentKind
from ewm_studio.settings.fields import Field, fields_of
from ewm_studio.terminal.prompt import BACK, Prompt, as_text, escape, pick
from ewm_studio.terminal.trust import settle_trust


class Editor:
    """Edits a document, one setting after another."""

    def __init__(self, document: ExperimentDocument, prompt: Prompt) -> None:
        self.document = document
        self.prompt = prompt

    def chosen(self, kind: str) -> str:
        """The name of the component of this kind."""
        return getattr(self.document.experiment, kind).name

    def sections(self) -> None:
        """Pick a section, then edit its settings one by one."""
        while True:
            self.prompt.show_table(["section", "what"], [(name, self._about(name)) for name in SECTIONS])
            word = self.prompt.ask(f"section {BACK}")
            if not word:
                return
            self.prompt.guarded(self._section, word)

    def components(self) -> None:
        """Choose each of the three components in turn, with its own settings."""
        for kind in COMPONENTS:
            self._component(kind)

    def assign(self, path: str, value: Any) -> None:
        """Take a checked value over into the document.

        Raises:
            UserError: the experiment as a whole does not allow it; of a component, that there is none of this name,
                or that it takes no such setting.
        """
        section, _, name = path.partition(".")
        kind = _kind(section)
        if kind is not None:
            value = self._fit_for_component(kind, name, value)
        if path == "env.id":
            settle_trust(str(value), meant=True)
        self.document.set(path, value)
        self.prompt.say(f"[green]{escape(path)} = {escape(as_text(value))}[/]")
        if kind is not None and self.document.experiment.start.load_path:
            self.prompt.say(f"[yellow]a loaded model brings its own {kind}; empty start.load_path to use this one[/]")

    def _about(self, section: str) -> str:
        if section in COMPONENTS:
            return f"chosen: {self.chosen(section)}"
        return " ".join((SECTIONS[section].__doc__ or "").split())

    def _section(self, word: str) -> None:
        name = pick(word, list(SECTIONS))
        kind = _kind(name)
        if kind is not None:
            self._component(kind)
        else:
            self._fields(name, fields_of(name, SECTIONS[name]))

    def _fields(self, title: str, fields: list[Field]) -> None:
        """Show settings and edit them until the person goes back."""
        while fields:
            self.prompt.show_fields(fields, [self.document.value(field) for field in fields])
            word = self.prompt.ask(f"setting of {title}, or name=value {BACK}")
            if not word:
                return
            self.prompt.guarded(self._edit, {field.name: field for field in fields}, word)

    def _edit(self, fields: dict[str, Field], word: str) -> None:
        """Set one value: given with the name, or asked for until it is right or left empty."""
        name, equals, text = word.partition("=")
        field = fields[pick(name.strip(), list(fields))]
        if equals:
            self._take(field, text)
            return
        self.prompt.say(escape(field.help))
        while text := self.prompt.ask(f"{field.path} {BACK}"):
            if self.prompt.guarded(self._take, field, text):
                return

    def _take(self, field: Field, text: str) -> None:
        self.assign(field.path, field.parse(text, field.path))

    def _component(self, kind: ComponentKind) -> None:
        """Choose a component of one kind and edit its own settings."""
        from ewm_studio.models import registry

        known = registry.components(kind)
        names = ["auto", *known]
        for number, name in enumerate(names, 1):
            text = known[name].summary if name in known else "whatever fits the environment"
            self.prompt.say(f"  {number:>2}  {name:<26}{escape(text)}")
        while word := self.prompt.ask(f"{kind} [{self.chosen(kind)}] (empty: keep)"):
            if self.prompt.guarded(self._choose, kind, word, names):
                break
        name = self.chosen(kind)
        if name != "auto":
            self._fields(name, fields_of(kind, registry.component(kind, name).Settings))

    def _choose(self, kind: str, word: str, names: list[str]) -> None:
        self.assign(f"{kind}.name", pick(word, names))

    def _fit_for_component(self, kind: ComponentKind, name: str, value: Any) -> Any:
        """A component's name as it is written, or a value that the chosen component takes beside its others."""
        from ewm_studio.models import registry

        if name == "name":
            return value if value == "auto" else registry.component(kind, value).__name__
        choice = getattr(self.document.experiment, kind)
        if choice.name == "auto":
            raise UserError(f"{kind} is auto and has no settings of its own; choose a component first")
        cls = registry.component(kind, choice.name)
        return getattr(registry.check_settings(kind, cls, {**choice.given, name: value}), name)


def _kind(section: str) -> ComponentKind | None:
    """The kind of component that a section chooses; None for any other section."""
    return next((kind for kind in COMPONENTS if kind == section), None)
