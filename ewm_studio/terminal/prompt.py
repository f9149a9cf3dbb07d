"""Asking a person at the terminal, and showing settings there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rich import markup
from rich.console import Console
from rich.table import Table

from ewm_studio.errors import JobError, UserError, nearest
from ewm_studio.formatting import printable_lines
from ewm_studio.settings.fields import Field
from ewm_studio.terminal.output import OutputError

BACK = "(empty: back)"


class _Screen(Console):
    """A console whose reader may go away; that is said like any other failure to write."""

    def on_broken_pipe(self) -> None:
        """Called where the pipe was found broken."""
        raise


def escape(text: str) -> str:
    """A text from anywhere, for a place where markup is understood: it says what it says and nothing more."""
    return markup.escape(printable_lines(text))


class Prompt:
    """Lines to and from a person."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or _Screen(highlight=False)

    def ask(self, prompt: str) -> str:
        """One line from the person, without surrounding blanks.

        Raises:
            EOFError: the input ended.
        """
        if sys.stdin is None:  # closed
            raise EOFError
        return self.console.input(escape(f"{prompt}: ")).strip()

    def say(self, text: str) -> None:
        """Write one line of markup."""
        self.console.print(text, soft_wrap=True)

    def guarded(self, action: Callable[..., None], *arguments: Any) -> bool:
        """Do something that may be refused, and say why if it is; returns whether it was done."""
        try:
            action(*arguments)
        except OutputError:  # nothing more can be said
            raise
        except (UserError, JobError) as error:
            self.say(f"[red]{escape(' '.join(str(error).split()))}[/]")
            return False
        return True

    def show_table(self, columns: list[str], rows: list[tuple[str, ...]]) -> None:
        """Draw rows under their columns, each with its number."""
        table = Table(box=None, pad_edge=False)
        for column in ("", *columns):
            table.add_column(column, overflow="fold")
        for number, row in enumerate(rows, 1):
            table.add_row(str(number), *map(escape, row))
        self.console.print(table)

    def show_fields(self, fields: list[Field], values: list[Any]) -> None:
        """Draw settings with their values."""
        columns = ["setting", "value", "unit", "range", "what"]
        # The explanations need room; a narrow terminal shows each where its setting is edited.
        shown = columns if self.console.width >= 120 else columns[:-1]
        rows = [
            (field.name, as_text(value), field.unit, field.bounds, field.help)[: len(shown)]
            for field, value in zip(fields, values, strict=True)
        ]
        self.show_table(shown, rows)


def pick(word: str, names: list[str]) -> str:
    """The name that a word or its number in the list means.

    Raises:
        UserError: there is none; names the nearest.
    """
    if word.isdecimal() and len(word) < 10 and 1 <= int(word) <= len(names):
        return names[int(word) - 1]
    by_fold = {name.casefold(): name for name in names}
    if word.casefold() in by_fold:
        return by_fold[word.casefold()]
    raise UserError(f"no '{word:.80}' here; {nearest(word, names)}")


def as_text(value: Any) -> str:
    """A setting's value as a person reads it."""
    return "none" if value is None else str(value)
