"""What a command prints when it is done: one line of JSON, a summary for people, or one line of complaint."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from ewm_studio.errors import JobError
from ewm_studio.formatting import plain, printable, printable_lines

LONGEST = 1000  # characters of a complaint


class OutputError(JobError):
    """What was asked for was done, and could not be printed."""


def complain(reason: object, code: int) -> int:
    """Write one line to stderr; returns the exit code."""
    line = " ".join(str(reason).split())
    if len(line) > LONGEST:  # somebody else's words or a name of thousands of letters
        line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
    write_line(f"ewm-studio: {line}", error=True)
    return code


def print_json(value: Any) -> None:
    """Print one JSON value on one line of stdout; NaN and infinity become null."""
    write_line(json.dumps(plain(value), allow_nan=False))


def write_line(text: str, error: bool = False) -> None:
    """Write lines to stdout or stderr, whatever is in them.

    Raises:
        OutputError: stdout is full or closed, or its reader went away. With stderr there is nobody to tell.
    """
    write_styled(printable_lines(text), error)


def write_styled(text: str, error: bool = False) -> None:
    """Write lines of our own making, which may have colours; raises what `write_line` does."""
    stream = sys.stderr if error else sys.stdout
    if stream is None:
        if error:
            return
        raise OutputError("standard output is closed: there is nowhere to print the result")
    try:
        try:
            print(text, file=stream, flush=True)
        except UnicodeEncodeError:
            print(text.encode("ascii", "backslashreplace").decode(), file=stream, flush=True)
    except (OSError, ValueError) as refusal:  # ValueError: closed by this process
        silence(stream)
        if not error:
            raise unprinted(refusal) from None


def unprinted(refusal: OSError | ValueError) -> OutputError:
    """What to raise where standard output took nothing more."""
    reason = getattr(refusal, "strerror", None) or str(refusal)
    return OutputError(f"the result could not be printed: standard output took no more ({reason})")


class Tolerant(io.TextIOBase):
    """Writes on to a stream, and goes quiet when nobody reads that any more."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Write on; the length of the text, whatever became of it."""
        if self._stream is not None:
            try:
                self._stream.write(text)
            except (OSError, ValueError):
                self._stream = None
        return len(text)

    def flush(self) -> None:
        """Flush what is behind."""
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.flush()


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Within, whatever a library or a subprocess prints goes to stderr: stdout is for the result."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(Tolerant(sys.stderr)))
        try:
            kept = os.dup(1)
            os.dup2(2, 1)
        except OSError:  # one of them is closed
            kept = -1
        try:
            yield
        finally:
            if kept >= 0:
                os.dup2(kept, 1)
                os.close(kept)


def silence(stream: Any) -> None:
    """Point a broken stream at nothing, so that the interpreter's own flush at exit is quiet."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
    except (OSError, ValueError, AttributeError):
        return


def summary(result: Mapping[str, Any]) -> str:
    """A result for people: one `name  value` a line, nested ones indented, lists counted."""
    rows: list[tuple[str, str]] = []
    for name, value in plain(result).items():
        if isinstance(value, dict):
            rows.extend(
                (f"{name.replace('_', ' ')}: {printable(inner)}", _figure(item)) for inner, item in value.items()
            )
        else:
            rows.append((name.replace("_", " "), _figure(value)))
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    if isinstance(value, list):
        return str(len(value))
    return "-" if value is None else printable(str(value))
