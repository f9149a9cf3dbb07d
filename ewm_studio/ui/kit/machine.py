"""What the window says about the machine: device, cores and memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ewm_studio.cores import cores


def device_words(device: str, job: int) -> str:
    """Device, cores and memory in use by the window and the job's process: CPU · 2 cores · 1.1 GB.

    Args:
        device: the setting `run.device`.
        job: id of the job's process; 0 where there is none.
    """
    name = device.upper()
    if device == "auto":
        torch = sys.modules.get("torch")
        name = "CUDA" if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_available() else "CPU"
    count = cores()
    parts = [name, f"{count} cores" if count > 1 else "1 core"]
    memory = _memory("self") + (_memory(str(job)) if job else 0)
    return " · ".join([*parts, f"{memory / 1e9:.1f} GB"] if memory else parts)


def _memory(process: str) -> int:
    """Bytes a process has in memory; 0 where that cannot be found out."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def short_path(path: Path) -> str:
    """A path from the current folder or from home (~), where it lies in one of them."""
    for base, mark in ((Path.cwd(), ""), (Path.home(), "~/")):
        try:
            return mark + str(path.resolve().relative_to(base.resolve()))
        except (ValueError, OSError):
            continue
    return str(path)
