"""What this program knows of the machine: its cores, and how PyTorch's threads wait."""

from __future__ import annotations

import contextlib
import os
import sys

# PyTorch's threads wait for each other by spinning, unless this is set when torch is first imported. Beside any other
# busy process (environments, the window) spinning makes two threads several times slower than one.
_POLICY = "OMP_WAIT_POLICY"
THREADS_SPIN = "torch" in sys.modules and _POLICY not in os.environ  # too late: torch was there first


def let_threads_sleep() -> None:
    """Have PyTorch's threads sleep while they wait: here if torch is not imported yet, and in processes that follow."""
    os.environ.setdefault(_POLICY, "PASSIVE")


def cores() -> int:
    """How many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory of this machine; where it does not say, more than any has."""
    if sys.platform != "win32":
        with contextlib.suppress(ValueError, OSError):
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return sys.maxsize


def started_together() -> tuple[int, int] | None:
    """Rank and number of the processes that `torchrun` started; None for one that is alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    return (int(os.environ.get("RANK", "0")), size) if size > 1 and "TORCHELASTIC_RUN_ID" in os.environ else None
