"""The two ways a job can be refused or fail, each carrying one clear line for the person in front of it."""


class UserError(Exception):
    """Bad input: what is wrong, where, and what to do. Exit code 2; nothing was started or overwritten."""


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
