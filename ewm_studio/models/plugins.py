"""What other packages bring by entry points. None takes the studio down with it, or speaks in its place."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from typing import Any


def plugins(group: str) -> list[metadata.EntryPoint]:
    """The entry points of a group, in the order of their names: nothing hangs on who was installed first."""
    return sorted(metadata.entry_points(group=group), key=lambda point: (point.name, point.value))


def load_plugin(point: metadata.EntryPoint) -> tuple[Any, str, str]:
    """Import what an entry point names, quietly.

    Returns:
        The object, or None; why there is none, in one line, else nothing; what it printed on the way, likewise.

    Raises:
        KeyboardInterrupt: a person wants it to end.
    """
    found, reason = None, ""
    with _overheard() as words:
        try:
            found = point.load()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and not _raised_by_code(error):
                raise
            reason = _reason(error)
    return found, reason, " ".join("".join(words).split())[:200]


def same_name(name: str, taken: Any) -> str | None:
    """Which of the names taken this one is, upper and lower case apart; None where it is none of them."""
    return next((other for other in taken if other.casefold() == name.casefold()), None)


def _reason(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else repr(error.code)})"[:300]
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _raised_by_code(error: KeyboardInterrupt) -> bool:
    """Whether no key was behind it: where Ctrl-C has a handler of Python's own here, it comes from that one's frame."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return False  # a script or a notebook, where it cannot be told
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is None or not trace.tb_frame.f_globals.get("__name__", "").startswith("ewm_studio.terminal")


@contextlib.contextmanager
def _overheard() -> Iterator[list[str]]:
    """Within, what is printed is heard here and nowhere else, by whatever way it reaches standard output."""
    words: list[str] = []
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), tempfile.TemporaryFile() as file:
        kept = _put_in_place_of_stdout(file.fileno())
        try:
            yield words
        finally:
            if kept is not None:
                os.dup2(kept, 1)
                os.close(kept)
            file.seek(0)
            words += [printed.getvalue(), file.read().decode("utf-8", "replace")]


def _put_in_place_of_stdout(descriptor: int) -> int | None:
    """Have a file take what is written to descriptor 1; a copy of that one, None where it is closed."""
    if sys.__stdout__ is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.__stdout__.flush()
    try:
        kept = os.dup(1)
    except OSError:
        return None
    os.dup2(descriptor, 1)
    return kept
