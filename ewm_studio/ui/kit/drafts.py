"""Unsaved work of each workspace, kept for the next start whatever becomes of this process."""

from __future__ import annotations

from pathlib import Path

from ewm_studio.ui.kit import store

EXPERIMENT, STUDY = "drafts", "study_drafts"  # kinds of work, each of which there is one of at a time


def draft(kind: str, workspace: Path) -> str:
    """What is kept of a workspace; empty where nothing is."""
    return store.text(_key(kind, workspace))


def keep_draft(kind: str, workspace: Path, text: str) -> None:
    """Keep unsaved work in place of what was kept; an empty text says that there is none."""
    if text:
        store.store().setValue(_key(kind, workspace), text)
    else:
        store.store().remove(_key(kind, workspace))


def forget_gone() -> None:
    """Keep no unsaved work of workspaces that are neither there nor were open lately."""
    remembered, recent = store.store(), store.texts("recent")
    for kind in (EXPERIMENT, STUDY):
        remembered.beginGroup(kind)
        for key in remembered.childKeys():
            if (place := key.replace("|", "/")) not in recent and not Path(place).is_dir():
                remembered.remove(key)
        remembered.endGroup()


def _key(kind: str, workspace: Path) -> str:
    return f"{kind}/" + workspace.resolve().as_posix().replace("/", "|")
