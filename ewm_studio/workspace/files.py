"""Files written aside and renamed, so that a kill at any instant leaves the previous good one."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ewm_studio.errors import CannotWrite, NoRoom, UserError
from ewm_studio.processes.living import owner, owner_died

_SUFFIX = ".tmp"
READING_SECONDS = 2.0  # that Windows lets a file be read and not replaced, at most
_WINDOWS = os.name == "nt"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}
_TODO = {
    errno.EISDIR: "this is a folder: name a file",
    errno.EEXIST: "something of this name is there: choose another name",
    errno.ENOTDIR: "a file is in the way of the folder: choose another place",
}


def write_aside(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary sibling of `path`, force it to disk, and put it in the place of `path`.

    Readers see the old file or the new one, never a part. If anything goes wrong the old file stays.

    Raises:
        JobError: the disk is full or broken. UserError: there is no such folder, or no permission to write there.
    """
    path = Path(os.path.realpath(path))  # a link keeps pointing where it points
    clean_leftovers(path.parent, path.name)
    _written(path, write, lambda temporary: _replace(temporary, path))


def write_new(names: Iterable[Path], write: Callable[[Path], None]) -> Path:
    """`write_aside` of a file that is new, under the first name of one folder that nothing has; gives that name.

    Raises:
        JobError: the disk is full or broken. UserError: every name is taken, or one may not write there.
    """
    rest = iter(names)
    first = next(rest)
    return _written(first, write, lambda temporary: move_new(temporary, itertools.chain([first], rest)))


def move_new(source: Path, names: Iterable[Path]) -> Path:
    """Move a file or a folder to the first of some names that nothing has; gives that name.

    Of several processes that want one name one gets it: nothing that is there is ever replaced.

    Raises:
        FileExistsError: all of them are taken. OSError: it cannot be moved.
    """
    move, path = (_move_folder if source.is_dir() else _move_file), source
    for path in names:
        with contextlib.suppress(FileExistsError):
            move(source, path)
            return path
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def write_text(path: Path, text: str) -> None:
    """`write_aside` of a UTF-8 text, line ends as they are."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """`write_aside` of what a file holds."""
    write_aside(path, lambda temporary: _write_bytes(temporary, data))


def clean_leftovers(folder: Path, name: str = "") -> None:
    """Remove what writes of dead processes of this machine left in a folder: of one file name, or of every name."""
    start = f".{name}." if name else "."
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(start) and entry.name.endswith(_SUFFIX) and owner_died(entry.name):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def check_path(path: Path, what: str) -> None:
    """Refuse what no system takes for a path: a name too long, a null character.

    Raises:
        UserError: `what`, such as "workspace", cannot stand there.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{what} {str(path)[:80]!r} cannot be a path here ({reason}); give another") from None


def check_folder(folder: Path, said: str) -> None:
    """Make sure, by doing it, that a file can be made in a folder: permissions do not tell all.

    Args:
        folder: which is there.
        said: what it is for, as the complaint begins.

    Raises:
        UserError: none can.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{said}: the folder {folder} cannot be written to ({reason})") from None


def is_full(error: OSError) -> bool:
    """Whether a write failed because the disk is full or broken: the job's misfortune, nobody's mistake."""
    return error.errno in _FULL


def write_error(path: Path, error: OSError) -> CannotWrite | NoRoom:
    """What to raise for a write that failed: the job's misfortune, or a place that cannot be written."""
    reason = error.strerror or str(error)
    if is_full(error):
        return NoRoom(f"{path}: cannot be written ({reason}); free some space, then resume")
    todo = _TODO.get(error.errno or 0, "choose a folder that exists and that you may write to")
    return CannotWrite(f"{path}: cannot be written ({reason}); {todo}")


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _written(path: Path, write: Callable[[Path], None], place: Callable[[Path], Path]) -> Path:
    """Let `write` fill a temporary sibling of `path`, force it to disk, and `place` it; gives where it is then."""
    temporary = path.with_name(f".{path.name}.{owner()}{_SUFFIX}")
    try:
        try:
            write(temporary)
            _sync(temporary)
            placed = place(temporary)
            _sync_folder(path.parent)
            return placed
        except OSError as error:
            raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _move_file(source: Path, path: Path) -> None:
    """Move a file to a name that nothing has, or fail."""
    try:
        os.link(source, path)
    except FileExistsError:
        raise
    except OSError:  # a file system that knows no links, or none from the one to the other
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(source, path)
        except BaseException:
            path.unlink()
            raise
    else:
        source.unlink()


def _move_folder(source: Path, path: Path) -> None:
    """Move a folder to a name that nothing has, or fail."""
    if _WINDOWS:
        os.rename(source, path)  # which replaces nothing there
        return
    path.mkdir()  # of several who want the name one makes it; an empty folder gives way to another
    try:
        os.rename(source, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.rmdir()
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # somebody put something into it already
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        raise


def _replace(temporary: Path, path: Path) -> Path:
    """Put a file in another's place. Windows refuses that while somebody reads the other, which takes a moment."""
    until = time.monotonic() + READING_SECONDS
    while True:
        try:
            os.replace(temporary, path)
            return path
        except PermissionError:
            if not _WINDOWS or time.monotonic() >= until:
                raise
            time.sleep(READING_SECONDS / 100)


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut; folders cannot be synced on Windows, nor on some file systems."""
    if _WINDOWS:
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
