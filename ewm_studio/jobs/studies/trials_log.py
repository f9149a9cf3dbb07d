"""The log of a search's trials: lines of JSON as Optuna's journal has them, which a kill or a full disk does not spoil.

Only the process that runs the study reads and writes it, so that no lock is needed; Optuna's own is a link, which not
every system has, and which outlives a killed process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.workspace.files import write_error
from ewm_studio.workspace.studies import RECORDS


class TrialsLog:
    """What Optuna's `JournalStorage` takes for its backend, and guards against threads.

    Args:
        path: the file; made where it is missing. A last line that was not written to its end is dropped.

    Raises:
        UserError: a line is damaged. UserError or JobError: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with open(path, "ab+") as file:
                file.seek(0)
                *lines, torn = file.read().split(b"\n")
                self._size = file.tell() - len(torn)
                file.truncate(self._size)
        except OSError as error:
            raise write_error(path, error) from error
        try:
            self._logs = [json.loads(line) for line in lines]
        except (ValueError, RecursionError) as error:
            raise self.damaged(error) from None

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """All entries from a number on."""
        return iter(self._logs[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries, and force them to disk.

        Raises:
            UserError or JobError: they cannot be written; the file is as it was.
        """
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        data = "".join(f"{line}\n" for line in lines).encode("utf-8")
        try:
            with open(self._path, "rb+") as file:
                file.truncate(self._size)  # of what a write before has left that failed
                file.seek(self._size)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise write_error(self._path, error) from error
        self._size += len(data)
        self._logs += map(json.loads, lines)

    def damaged(self, error: Exception) -> UserError:
        """What to raise where an entry is not understood."""
        records = self._path.parent / RECORDS / "trial-*.json"
        return UserError(
            f"{self._path}: not what a search keeps of its trials ({error!s:.80}); delete it and {records} to begin "
            "the search anew"
        )
