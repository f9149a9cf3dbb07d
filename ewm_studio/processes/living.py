"""Which processes live, and names of files by which others see whether their maker still does."""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
import zlib

# The id of a process says something only on its own machine: two may share a drive.
_MACHINE = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_OWNER = re.compile(r"(?:^|[-.])(\d+)-([0-9a-f]{8})-[0-9a-f]{8}(?:\.tmp|\.txt)?$")


def owner() -> str:
    """What a name of something temporary ends with: this process, this machine, and a part that is never the same."""
    return f"{os.getpid()}-{_MACHINE}-{secrets.token_hex(4)}"


def owner_died(name: str) -> bool:
    """Whether a name ends with an owner of this machine, before `.tmp` or `.txt`, that lives no more."""
    found = _OWNER.search(name)
    return found is not None and found[2] == _MACHINE and not lives(int(found[1]))


def lives(pid: int) -> bool:
    """Whether a process of this machine lives; one that cannot be asked does."""
    if pid <= 0 or pid >= 2**31:
        return False
    if sys.platform == "win32":
        return _lives_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _lives_on_windows(pid: int) -> bool:
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(0x00100000, False, pid)  # to wait for it, no more
    if not handle:
        return kernel.GetLastError() == 5  # access denied: there is one
    try:
        return kernel.WaitForSingleObject(handle, 0) == 0x102  # not ended yet
    finally:
        kernel.CloseHandle(handle)
