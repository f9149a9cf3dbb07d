"""A study in a process of its own, which lives on whatever becomes of the one that started it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from ewm_studio.workspace.files import write_error
from ewm_studio.workspace.studies import LOG, StudyFolder

_TAIL = 4000  # bytes of what was said last


class StudyBeside:
    """`ewm-studio study run` beside this program; neither its end nor a signal to its terminal reaches it."""

    def __init__(self, file: Path, workspace: Path, name: str, retry_failed: bool = False) -> None:
        """Start it.

        Args:
            file: the study's.
            workspace: takes its runs.
            name: of the study.
            retry_failed: runs that count as failed are begun anew.

        Raises:
            UserError or JobError: its folder cannot be written.
        """
        self.name = name
        self._log = StudyFolder(workspace, name).path / LOG
        line = [sys.executable, "-m", "ewm_studio", "study", "run", str(file.resolve())]
        line += ["--workspace", str(workspace.resolve()), *(["--retry-failed"] if retry_failed else [])]
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with open(self._log, "wb") as log:
                self._process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_apart())
        except OSError as error:
            raise write_error(self._log, error) from error
        # Somebody has to ask for its exit code, or its entry would stay in the system's table.
        threading.Thread(target=self._process.wait, name=f"study-{name}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit code; None while it lives."""
        return self._process.returncode

    def complaint(self) -> str:
        """The last line that it wrote, which says why it failed."""
        try:
            with open(self._log, "rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
                lines = log.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1].removeprefix("ewm-studio: ") if lines else ""


def _apart() -> dict[str, Any]:
    """How to start a process that outlives this one."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
