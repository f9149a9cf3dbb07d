"""The two ways a job can be refused or fail, each carrying one clear line for the person in front of it."""

from __future__ import annotations


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


def nearest(wrong: str, known: list[str], count: int = 3) -> str:
    """A phrase that names the known words nearest to `wrong`, for the end of an error line."""
    import difflib

    by_fold = {k.casefold(): k for k in known}
    close = [by_fold[c] for c in difflib.get_close_matches(wrong.casefold(), list(by_fold), count, 0.4)]
    if close:
        return f"did you mean {', '.join(close)}?"
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"known: {shown}" if known else "none is known"
