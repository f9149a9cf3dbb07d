"""What an environment does wrong becomes one line that names it.

An environment is somebody else's code. It may raise anything, also what no `except Exception` catches and what passes
for a wish to end: SystemExit, KeyboardInterrupt, a BaseException of its own. Here all of it becomes a `JobError`.
"""

from __future__ import annotations

import contextlib
import dis
import signal
import sys
from collections.abc import Callable, Iterator
from traceback import walk_tb
from types import CodeType
from typing import Any

from ewm_studio.errors import JobError, UserError


class WrongOutput(Exception):
    """What an environment gave that it should not have, as the end of "environment X gave ..."."""


class ClosingFailed(JobError):
    """The environment failed when it was ended: whatever was done in it is done."""


def failure_of(name: str, error: BaseException, when: str = "") -> JobError:
    """The failure of an environment as one line; an end that somebody else asked for is raised as it is.

    Args:
        name: of the environment, and which of several it is.
        error: what it raised, or what it gave.
        when: at which moment, as "step 3 of the episode of seed 7".
    """
    if not isinstance(error, Exception) and asked_for(error):
        raise error
    when = f" ({when})" if when else ""
    if isinstance(error, WrongOutput):
        return JobError(f"environment {name} gave {error}{when}")
    return JobError(f"environment {name} failed: {said(error)}{when}")


def said(error: BaseException) -> str:
    """What was raised, in words."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else repr(error.code)})"
    old = _old_gym(error)
    if old:
        return f"{old}; Gymnasium's step gives five values, its reset two and takes a seed ({error})"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _old_gym(error: BaseException) -> str:
    """Whether it is what comes of an environment of the old Gym among the wrappers of the new."""
    text = str(error)
    if isinstance(error, ValueError) and "expected 5, got 4" in text:
        return "its step gives four values, as the old Gym had it"
    if isinstance(error, TypeError) and "reset()" in text and "unexpected keyword argument 'seed'" in text:
        return "its reset takes no seed, as the old Gym had it"
    return ""


def asked_for(error: BaseException) -> bool:
    """Whether an interruption came from outside, by a signal: not by the environment's own `raise`."""
    if not isinstance(error, KeyboardInterrupt | SystemExit):
        return False
    frames, handlers = list(walk_tb(error.__traceback__)), _handlers()
    if any(frame.f_code in handlers for frame, _ in frames):
        return True
    # Python's own handler has no frame: it breaks in between two instructions, none of which is a `raise`.
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or isinstance(error, SystemExit):
        return False
    return dis.opname[last.tb_frame.f_code.co_code[last.tb_lasti]] != "RAISE_VARARGS"


def _handlers() -> set[CodeType]:
    """The code of whatever handles the signals that ask for an end."""
    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")]
    found: list[Any] = [signal.getsignal(number) for number in numbers if number is not None]
    return {handler.__code__ for handler in found if hasattr(handler, "__code__")}


@contextlib.contextmanager
def environment_at_work(env_id: str, when: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Where a single environment is at work: what it does wrong becomes a `JobError` that names it.

    What is one clear line already stays as it is. `when` is asked only after a failure.
    """
    try:
        yield
    except (JobError, UserError):
        raise
    except BaseException as error:
        raise failure_of(env_id, error, when()) from error


@contextlib.contextmanager
def environment_closing(env_id: str) -> Iterator[None]:
    """Where an environment is ended; where that happens because of another failure, that one is told and not this.

    Raises:
        ClosingFailed: it did not let itself be ended.
    """
    told_already = sys.exc_info()[0] is not None
    try:
        yield
    except ClosingFailed:
        if not told_already:
            raise
    except BaseException as error:
        failure = failure_of(env_id, error, "when it was closed")
        if not told_already:
            raise ClosingFailed(str(failure)) from error
