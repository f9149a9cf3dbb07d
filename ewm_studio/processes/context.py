"""The best way to start processes here."""

from __future__ import annotations

import sys
from typing import Any

from ewm_studio.processes.spawning import Spawning


def forking(*preload: str) -> Any:
    """A context whose processes find these modules imported; by a fork server, or spawned where there is none.

    It has what the standard library's contexts have, and `close()`, which ends the fork server.
    """
    if sys.platform == "win32":
        return Spawning()
    else:
        from ewm_studio.processes.fork_server import Forking

        return Forking(preload)


def forking_with_torch(*preload: str) -> Any:
    """`forking` for modules that import torch. What torch brings along on macOS does not survive a fork."""
    return Spawning() if sys.platform == "darwin" else forking(*preload)
