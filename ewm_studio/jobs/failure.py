"""Why something ended early, as a person reads it. Free of Qt: a job's own process makes these too."""

from __future__ import annotations

import errno
import traceback
from dataclasses import dataclass, replace

from ewm_studio.errors import JobError, Misfortune, UserError
from ewm_studio.workspace.files import is_full

_STANDS = "The last saved checkpoint stands; the run can be resumed from it."
_SCARCE = {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}  # processes, memory, files


@dataclass(frozen=True)
class Failure:
    """Why a job ended early, for a dialog.

    Attributes:
        title, what, details: what is shown.
        misfortune: whether it was no fault of the job, as `is_misfortune` has it.
    """

    title: str
    what: str
    details: str
    misfortune: bool = False


class JobFailed(Exception):
    """A job ended early in another process, or with it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.what)
        self.failure = failure


def failure_of(error: BaseException, doing: str = "") -> Failure:
    """An exception as something to show: the engine's own errors are one clear line already.

    Args:
        error: what went wrong.
        doing: what could not be done, as "cut the episode"; empty where it was a job.
    """
    if isinstance(error, JobFailed):
        return error.failure
    return replace(_told(error, doing), misfortune=is_misfortune(error))


def is_misfortune(error: BaseException) -> bool:
    """Whether something failed for want of disk, memory, processes or a place to compute: no fault of what was run."""
    if isinstance(error, JobFailed):
        return error.failure.misfortune
    if isinstance(error, OSError):
        return is_full(error) or error.errno in _SCARCE
    return isinstance(error, Misfortune | MemoryError)


def _told(error: BaseException, doing: str) -> Failure:
    details = "".join(traceback.format_exception(error))
    if doing:
        title, ours = f"Could not {doing}", isinstance(error, UserError | JobError)
        return Failure(title, str(error) if ours else f"{type(error).__name__}: {_reason(error)}", details)
    if isinstance(error, UserError):
        return Failure("This cannot start", str(error), details)
    if isinstance(error, JobError):
        return Failure("The job could not go on", str(error), details)
    if isinstance(error, MemoryError):
        return Failure("Out of memory", "Lower the number of environments or the batch sizes.", details)
    what = f"{type(error).__name__}: {_reason(error)}\n\n{_STANDS}"
    return Failure("The job failed unexpectedly", what, details)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:400] or "no reason given"


def death_of(code: int | None, last_words: str) -> Failure:
    """The end of a job's process that said nothing: by its exit code (negative: the signal), and its stack if known."""
    if code is not None and code < 0:
        how = f"was ended by signal {-code}"
        if code == -9:  # nobody says who sent it
            how += (
                ", by the system or by someone. Where nobody did, the machine most likely ran out of memory: lower the "
                "number of environments or the batch sizes"
            )
        how += "."
    else:
        how = f"ended by itself (exit code {code})."
    return Failure("The job's process is gone", f"The process of the job {how}\n\n{_STANDS}", last_words or how)
