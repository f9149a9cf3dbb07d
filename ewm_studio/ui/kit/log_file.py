"""The log of a workspace, kept in it from one start of the window to the next."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "window-log.jsonl"
KEPT = 2000  # lines; the file is cut to them when it holds twice as many
MOST_BYTES = 4_000_000  # that are read of it


@dataclass(frozen=True)
class KeptLine:
    """One line, and when it was said, in seconds since 1970."""

    time: float
    text: str
    level: str = "info"
    good: bool = False


class LogFile:
    """Writes lines as they come. A log that cannot be kept costs nothing else: it is left."""

    def __init__(self, workspace: Path) -> None:
        self._folder, self._path = workspace, workspace / NAME

    def add(self, text: str, level: str, good: bool) -> None:
        """Keep a line, where there is a workspace yet."""
        if not self._folder.is_dir():
            return
        line = json.dumps({"time": time.time(), "text": text, "level": level, "good": good})
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def lines(self) -> list[KeptLine]:
        """The latest lines, oldest first; of a long file the rest is thrown away."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, self._path.stat().st_size - MOST_BYTES))
                texts = file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return []
        if len(texts) > 2 * KEPT:
            with contextlib.suppress(OSError):
                self._path.write_text("\n".join(texts[-KEPT:]) + "\n", encoding="utf-8")
        return list(_read(texts[-KEPT:]))


def _read(texts: list[str]) -> Iterator[KeptLine]:
    for text in texts:
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            values: dict[str, Any] = json.loads(text)
            level = values["level"] if values["level"] in ("info", "warning", "error") else "info"
            yield KeptLine(float(values["time"]), str(values["text"]), level, bool(values["good"]))
