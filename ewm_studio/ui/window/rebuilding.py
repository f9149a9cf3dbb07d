"""A workspace whose list of runs is damaged: the window offers to make it again from the run folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QWidget

from ewm_studio.ui.kit.dialogs import Question
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.database import Damaged
from ewm_studio.workspace.leftovers import clean_workspace


def readable(path: Path) -> Workspace:
    """A workspace whose list of runs has been read once; what killed processes left in it is removed.

    Raises:
        Damaged: the list cannot be read. UserError: the folder cannot be a workspace.
    """
    workspace = Workspace(path)
    workspace.runs()
    clean_workspace(workspace.path)
    return workspace


def ask_to_rebuild(path: Path, error: Damaged, parent: QWidget | None, then: Callable[[], None]) -> Question:
    """Ask whether to make the list of a workspace again; `then` does it."""
    words = (
        f"The list of runs of {path} is damaged ({error.reason}). The runs themselves lie in their folders, with their "
        "settings, checkpoints and curves. The list can be made again from them; the damaged file is kept beside it."
    )
    question = Question("Rebuild the list of runs?", words, "Rebuild", "Leave it", parent, then)
    question.open()
    return question
