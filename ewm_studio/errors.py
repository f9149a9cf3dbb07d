"""The two ways a job can be refused or fail, each carrying one clear line for the person in front of it.

What besides is a `Misfortune` says nothing against what was run.
"""

from __future__ import annotations

import re


class UserError(Exception):
    """Bad input: what is wrong, where, and what to do. Exit code 2; nothing was started or overwritten."""


class Untrusted(UserError):
    """A file names a module that nobody agreed to.

    Attributes:
        module: its name.
        place: the file it lies in.
    """

    def __init__(self, id: str, module: str, place: str) -> None:
        super().__init__(
            f"env.id '{id}' names the module '{module}' ({place}), whose code would run; a file alone cannot ask for "
            "that: look at the module, then give --trust-env to trust it from now on, or type --env yourself"
        )
        self.id, self.module, self.place = id, module, place

    def __reduce__(self) -> tuple[type[Untrusted], tuple[str, str, str]]:
        return type(self), (self.id, self.module, self.place)


class JobError(Exception):
    """The job started and could not go on (NaN loss, dead environment, full disk). Exit code 1."""


class Misfortune(Exception):
    """No fault of what was run: whatever else is run there meets it too, and what was saved stands."""


class CannotWrite(UserError, Misfortune):
    """A place that cannot be written."""


class NoRoom(JobError, Misfortune):
    """The disk is full or broken, or memory is short."""


def nearest(wrong: str, known: list[str], count: int = 3) -> str:
    """A phrase that names the known words nearest to `wrong`, for the end of an error line."""
    import difflib

    def bare(word: str) -> str:  # a version tells nothing: all environments have one
        return re.sub(r"-v\d+$", "", word.casefold())

    by_name: dict[str, str] = {}
    for word in known:  # of several versions the last, which is the newest of a sorted list
        by_name[bare(word)] = word
    wanted = bare(wrong)
    close = [by_name[name] for name in difflib.get_close_matches(wanted, list(by_name), count, 0.6)]
    if len(wanted) > 2:
        close += [word for name, word in by_name.items() if wanted in name or (len(name) > 3 and name in wanted)]
    close = list(dict.fromkeys(close))[:count]
    if close:
        return f"did you mean {', '.join(close)}?"
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"known: {shown}" if known else "none is known"
