"""What is taken up from last time: size, layout, the workspace and its unsaved settings."""

from __future__ import annotations

from pathlib import Path

from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.ui.kit import drafts, store
from ewm_studio.ui.window.main_window import MainWindow


def restore_layout(window: MainWindow) -> None:
    """Give the window its place and its columns of last time."""
    remembered = store.store()
    store.place(window, remembered.value("geometry"))
    window.actions_by_name["late"].setChecked(remembered.value("late", "false") == "true")
    window.columns.take_up(store.text("columns"))


def restore_settings(document: ExperimentDocument, workspace: Path) -> None:
    """Take up a workspace's settings of last time, those of a file as it is now, or else its `experiment.toml`.

    Raises:
        UserError: the file cannot be read, or holds a bad setting.
    """
    path: Path | None = workspace / "experiment.toml"
    if document.restore_draft(drafts.draft(drafts.EXPERIMENT, workspace)):
        path = None if document.edited else document.path  # which others may have changed since
    if path is not None and path.is_file():
        document.open(path)


def remember(window: MainWindow, document: ExperimentDocument, workspace: Path) -> None:
    """Keep size, layout, the workspace and its unsaved settings for next time."""
    remembered, place = store.store(), str(workspace.resolve())
    if not window.isMaximized():
        remembered.setValue("geometry", window.geometry())
    remembered.setValue("columns", window.columns.layout_state())
    remembered.setValue("late", "true" if window.actions_by_name["late"].isChecked() else "false")
    remembered.setValue("workspace", place)
    remember_draft(document, workspace)
    store.remember_recent("recent", place)
    drafts.forget_gone()
    remembered.sync()


def remember_draft(document: ExperimentDocument, workspace: Path) -> None:
    """Keep a workspace's unsaved settings, whatever becomes of this process."""
    drafts.keep_draft(drafts.EXPERIMENT, workspace, document.draft())
