"""A client's way into a cluster, and what its errors say."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.jobs.cluster.address import ray_environment

TRIES = 3  # a cluster's server for a new client dies now and then as it begins


def connected(on: str) -> tuple[Any, bool]:
    """Ray, as a client of this cluster; and whether that is new, and so to be ended: in a task of a cluster it is not.

    Raises:
        UserError: it does not let us in, or is of other versions.
    """
    if "ray" in sys.modules and sys.modules["ray"].is_initialized():
        return sys.modules["ray"], False
    address = ray_environment(on)
    import ray

    log = logging.getLogger("ray")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        for left in reversed(range(TRIES)):
            try:
                ray.init(address, log_to_driver=False)
                return ray, True
            except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
                ray.shutdown()
                if not left:
                    raise UserError(
                        f"the cluster at {address} does not let this studio in: {line_of(error)}; it needs the same "
                        "Python, the same Ray and, where it asks for one, its token"
                    ) from None
                time.sleep(1.0)
    finally:
        log.setLevel(level)
    raise AssertionError("tried at least once")


def line_of(error: BaseException) -> str:
    """What an error of Ray's says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no reason given'}"[:300]
