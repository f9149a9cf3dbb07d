"""Running one job in the terminal: its events, signals, failures and exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ewm_studio.errors import JobError, UserError
from ewm_studio.events import Event, Finished, JobControl
from ewm_studio.terminal.output import Tolerant, complain
from ewm_studio.terminal.progress import View, make_view

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Outcome:
    """How a job ended: the exit code, and the result if it came to one."""

    code: int
    result: dict[str, Any] | None = field(default=None)


def run_job(
    start: Callable[[JobControl], Generator[Event, None, None]], workspace: Path, notes: Sequence[str] = ()
) -> Outcome:
    """Run a job to its end, showing progress on stderr.

    The first SIGINT or SIGTERM asks the job to save and end, the second ends it at once.

    Args:
        start: makes the job's generator; imports of its own may happen in it.
        workspace: folder of the workspace, whose `logs/` takes the traceback of an unexpected failure.
        notes: lines to show before anything starts.
    """
    control = JobControl()
    finished: Finished | None = None
    try:
        with _stdout_to_stderr(), make_view() as view, _signals(control, view):
            for note in notes:
                view.say(note)
            # Closed at once when something breaks, so that the job's environments end with it.
            with contextlib.closing(start(control)) as events:
                for event in events:
                    view.show(event)
                    if isinstance(event, Finished):
                        finished = event
    except UserError as error:
        return Outcome(complain(error, BAD_INPUT))
    except JobError as error:
        return Outcome(complain(error, FAILED))
    except KeyboardInterrupt:
        return Outcome(complain("interrupted at once; the last saved checkpoint stands", INTERRUPTED))
    except Exception as error:
        return Outcome(fail(error, workspace))
    result = finished.result if finished is not None else None
    stopped = control.stop_requested and (finished is None or finished.stopped_by == "stop")
    return Outcome(INTERRUPTED if stopped else DONE, result)


def fail(error: BaseException, workspace: Path | None) -> int:
    """Say an unexpected failure in one line and keep its traceback in a file; returns the exit code."""
    log = write_log(workspace, error)
    reason = " ".join(str(error).split())[:500] or "no reason given"
    return complain(f"{type(error).__name__}: {reason}; traceback in {log}", FAILED)


def write_log(workspace: Path | None, error: BaseException) -> Path:
    """Write a failure's traceback to the workspace's `logs/`, or beside the system's temporary files."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    text = "".join(traceback.format_exception(error))
    folders = [workspace / "logs"] if workspace is not None else []
    for folder in (*folders, Path(tempfile.gettempdir()) / "ewm-studio-logs"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return folder / name
    return Path(os.devnull)


@contextlib.contextmanager
def _signals(control: JobControl, view: View) -> Iterator[None]:
    """The first signal asks the job to stop, the second raises KeyboardInterrupt, the third ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen = 0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen > 2:
            os._exit(INTERRUPTED)
        if seen == 2:
            raise KeyboardInterrupt
        control.stop()
        view.say("stopping: saving first; once more ends at once")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """While a job runs, whatever a library or a subprocess prints goes to stderr: stdout is for the result."""
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
