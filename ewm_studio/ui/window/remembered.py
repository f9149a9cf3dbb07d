"""What is taken up from last time: size, layout, the workspace and its unsaved settings."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray

from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.kit import store
from ewm_studio.ui.window.main_window import MainWindow


def restore_layout(window: MainWindow) -> None:
    """Give the window its place and its columns of last time."""
    remembered = store.store()
    store.place(window, remembered.value("geometry"))
    layout = remembered.value("layout")
    if isinstance(layout, QByteArray):
        window.split.restoreState(layout)


def restore_settings(document: ExperimentDocument, workspace: Path) -> None:
    """Take up a workspace's unsaved settings of last time, or else its `experiment.toml`.

    Raises:
        UserError: the file cannot be read, or holds a bad setting.
    """
    draft = store.text(_draft_key(workspace))
    own = workspace / "experiment.toml"
    if draft:
        document.restore_draft(draft, own)
    elif own.is_file():
        document.open(own)


def remember(window: MainWindow, document: ExperimentDocument, workspace: Path) -> None:
    """Keep size, layout, the workspace and its unsaved settings for next time."""
    remembered, place = store.store(), str(workspace.resolve())
    if not window.isMaximized():
        remembered.setValue("geometry", window.geometry())
    remembered.setValue("layout", window.split.saveState())
    remembered.setValue("workspace", place)
    remember_draft(document, workspace)
    store.remember_recent("recent", place)
    remembered.sync()


def remember_draft(document: ExperimentDocument, workspace: Path) -> None:
    """Keep a workspace's unsaved settings, whatever becomes of this process."""
    store.store().setValue(_draft_key(workspace), document.draft())


def _draft_key(workspace: Path) -> str:
    return "drafts/" + workspace.resolve().as_posix().replace("/", "|")
