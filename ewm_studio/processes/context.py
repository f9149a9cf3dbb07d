"""The best way to start processes here."""

from __future__ import annotations

import sys
from typing import Any


def forking(*preload: str) -> Any:
    """A context whose processes find these modules imported; by a fork server, or spawned where there is none.

    It has what the standard library's contexts have, and `close()`, which ends the fork server.
    """
    if sys.platform == "win32":
        from ewm_studio.processes.spawning import Spawning

        return Spawning()
    else:
        from ewm_studio.processes.fork_server import Forking

        return Forking(preload)
