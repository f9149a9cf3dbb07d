"""Asking for a file or folder: each kind of question begins where the last one of its kind was answered."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QWidget

from ewm_studio.ui.kit import store


def ask_open(parent: QWidget, title: str, kind: str, start: Path | str, filters: str) -> Path | None:
    """A file to read; None where none was chosen.

    Args:
        parent: the window.
        title: what is asked.
        kind: of the question, such as "experiment"; its folder is remembered.
        start: a folder to begin in where none is remembered.
        filters: as Qt takes them.
    """
    path, _ = QFileDialog.getOpenFileName(parent, title, str(_folder(kind, Path(start))), filters)
    return _remembered(kind, path)


def ask_save(parent: QWidget, title: str, kind: str, start: Path | str, filters: str) -> Path | None:
    """A file to write; None where none was chosen. As `ask_open`, but `start` is a file, whose name is proposed."""
    proposed = Path(start)
    path, _ = QFileDialog.getSaveFileName(parent, title, str(_folder(kind, proposed.parent) / proposed.name), filters)
    return _remembered(kind, path)


def ask_folder(parent: QWidget, title: str, kind: str, start: Path | str, above: bool = False) -> Path | None:
    """A folder; None where none was chosen. It is remembered, or with `above` the one that it lies in."""
    path = QFileDialog.getExistingDirectory(parent, title, str(_folder(kind, Path(start))))
    return _remembered(kind, path, above)


def show_outside(path: Path) -> bool:
    """Show a file or a folder with whatever the system shows such with; whether there is anything."""
    return QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.resolve())))


def _folder(kind: str, otherwise: Path) -> Path:
    known = Path(store.text(f"folders/{kind}"))
    return known if known.is_absolute() and known.is_dir() else otherwise


def _remembered(kind: str, path: str, above: bool = True) -> Path | None:
    if not path:
        return None
    store.store().setValue(f"folders/{kind}", str(Path(path).parent if above else Path(path)))
    return Path(path)
