"""Paths as people type them, on a command line, in a form, in a settings file."""

from __future__ import annotations

import os
from pathlib import Path

from ewm_studio.errors import UserError


def expanded(text: str | Path) -> Path:
    """`~` as the home folder; where there is no such home, the path as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def typed_path(text: str | Path, what: str) -> Path:
    """A path that a person typed; whatever is asked of it from here on, the system answers.

    Args:
        text: as it was typed.
        what: it is, such as "--out", for the line that refuses it.

    Raises:
        UserError: nothing can be there: no path at all, too long a name, or in a folder that may not be looked into.
    """
    if not str(text).strip():
        raise UserError(f"{what}: expected a path, found an empty text")
    path = expanded(text)
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, ValueError) as error:  # a ValueError: a null character
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{what} {str(path)[:80]!r} cannot be a path here ({reason}); give another") from None
    return path
