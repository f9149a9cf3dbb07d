"""Where a cluster's jobs leave what they have to say, and find what they are told: one for all jobs of a studio.

One place that the studio asks, in place of every job, so that a thousand jobs cost it no more calls than one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ewm_studio.jobs.runners.runner import Command

MOST_BYTES = 2**26  # that wait to be taken; a job with more to say waits until there is room
WAIT_SECONDS = 0.02

Items = list[tuple[str, Any]]  # what a job says: a word and its content


class Post:
    """An actor, on the head of the cluster: its loss is the loss of the cluster."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Items]] = []
        self._bytes = 0
        self._commands: dict[str, list[Command]] = {}

    async def put(self, job: str, items: Items, size: int) -> list[Command]:
        """A job says something of so many bytes; gives what it was told since the last time."""
        while self._bytes > MOST_BYTES:
            await asyncio.sleep(WAIT_SECONDS)
        if items:
            self._waiting.append((job, items))
            self._bytes += size
        return self._commands.pop(job, [])

    async def take(self, seconds: float) -> list[tuple[str, Items]]:
        """What all jobs have said since the last time; waits for something at most so long."""
        until = asyncio.get_running_loop().time() + seconds
        while not self._waiting and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(WAIT_SECONDS)
        taken, self._waiting, self._bytes = self._waiting, [], 0
        return taken

    async def tell(self, job: str, command: Command) -> None:
        """Leave word for a job."""
        self._commands.setdefault(job, []).append(command)
