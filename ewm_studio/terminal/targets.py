"""The file that a command is asked to write: looked at before any work is done, since it replaces what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ewm_studio.errors import UserError
from ewm_studio.settings.typed_path import typed_path
from ewm_studio.workspace.files import check_folder


def file_to_write(flag: str, text: str, examples: Sequence[str], sources: Mapping[str, Path]) -> Path:
    """Where a file goes that a flag names.

    Args:
        flag: by which it was given.
        text: as it was given.
        examples: a name for each kind of file that is written, the ending of which says the kind.
        sources: what the file is made from, by what that is called; it is never written over.

    Raises:
        UserError: nothing can be written there, it has another ending, or it is one of the sources.
    """
    path = typed_path(text, flag)
    if path.is_dir():
        raise UserError(f"{flag} {path}: is a folder; give a file such as {path / examples[0]}")
    endings = [Path(example).suffix for example in examples]
    if path.suffix.lower() not in endings:
        raise UserError(f"{flag} {path}: give a file that ends in {' or '.join(endings)}, such as {examples[0]}")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"{flag} {path}: the folder {folder} does not exist")
    for what, source in sources.items():
        if path.exists() and source.exists() and path.samefile(source):
            raise UserError(f"{flag} {path}: is the {what} itself; give another file")
    check_folder(folder, f"{flag} {path}")
    return path
