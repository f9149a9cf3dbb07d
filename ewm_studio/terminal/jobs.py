"""Running one job in the terminal: its events, signals, failures and exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ewm_studio.errors import JobError, UserError
from ewm_studio.events import Event, Finished, JobControl
from ewm_studio.jobs.runners.runner import Runner
from ewm_studio.jobs.spec import JobSpec, StartJob
from ewm_studio.settings import Experiment
from ewm_studio.terminal.output import complain, stdout_to_stderr
from ewm_studio.terminal.progress import make_view
from ewm_studio.terminal.stopping import INTERRUPTED, stopping
from ewm_studio.workspace import Workspace

DONE, FAILED, BAD_INPUT = 0, 1, 2


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        code: the exit code.
        result: what it came to, if it did.
        leave: whether it was stopped by what ends the whole program, not by a key.
    """

    code: int
    result: dict[str, Any] | None = field(default=None)
    leave: bool = False


def asked_for(command: str, experiment: Experiment, workspace: Workspace, resume: str | None = None) -> StartJob:
    """A job as it is asked for here: what `pretrain` is to learn from may be driven first, in a window of its own."""

    def events(control: JobControl) -> Generator[Event, None, None]:
        settled = experiment
        if command == "pretrain" and resume is None:
            from ewm_studio.terminal.drive import driven_first

            settled = driven_first(experiment, workspace, control)
        job = JobSpec(command, str(workspace.path), settled.model_dump(mode="json"), resume or "")
        yield from job.events(control)

    return events


def run_job(runner: Runner, workspace: Path, notes: Sequence[str] = (), quiet: bool = False) -> Outcome:
    """Run a job to its end, showing progress on stderr.

    The first signal asks the job to save and end, the second ends it at once.

    Args:
        runner: runs the job.
        workspace: folder of the workspace, whose `logs/` takes the traceback of an unexpected failure.
        notes: lines to show before anything starts.
        quiet: show nothing of how it goes, only how it fails: another process does the same and shows it.
    """
    finished: Finished | None = None
    try:
        with stdout_to_stderr(), make_view() as view, stopping(lambda: runner.tell("stop"), view.say) as signals:
            for note in notes:
                view.say(note)
            for event in _events(runner):
                if not quiet:
                    view.show(event)
                if isinstance(event, Finished):
                    finished = event
    except UserError as error:
        return Outcome(complain(error, BAD_INPUT))
    except JobError as error:
        # There is a result where all was done, and only an environment did not let itself be ended.
        return Outcome(complain(error, FAILED), finished.result if finished else None)
    except KeyboardInterrupt:
        return Outcome(complain("interrupted at once; the last saved checkpoint stands", INTERRUPTED))
    except Exception as error:
        return Outcome(fail(error, workspace))
    result = finished.result if finished is not None else None
    stopped = bool(signals) and (finished is None or finished.stopped_by == "stop")
    return Outcome(INTERRUPTED if stopped else DONE, result, any(number != signal.SIGINT for number in signals))


def _events(runner: Runner) -> Generator[Event, None, None]:
    """The events of the one job; closed at once when something breaks, so that the job's environments end with it."""
    with contextlib.closing(runner.events()) as batches:
        for batch in batches:
            yield from (event for _, event in batch)


def fail(error: BaseException, workspace: Path | None) -> int:
    """Say an unexpected failure in one line and keep its traceback in a file; returns the exit code."""
    log = write_log(workspace, error)
    reason = " ".join(str(error).split())[:500] or "no reason given"
    return complain(f"{type(error).__name__}: {reason}; traceback in {log}", FAILED)


def write_log(workspace: Path | None, error: BaseException) -> Path:
    """Write a failure's traceback to the workspace's `logs/`, or beside the system's temporary files."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    text = "".join(traceback.format_exception(error))
    places = [lambda: workspace / "logs"] if workspace is not None else []
    for place in (*places, lambda: Path(tempfile.gettempdir()) / "ewm-studio-logs"):  # on a full disk there is none
        try:
            folder = place()
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return folder / name
    return Path(os.devnull)
