"""Other settings, or another study, take the place of those that are edited; nobody's changes go without a word."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from ewm_studio.ui.kit.dialogs import Question
from ewm_studio.ui.services import Services

_SETTINGS = (
    "What you changed is in no file. Save the experiment first to come back to it; the menu takes the last "
    "replacement back, too: Experiment, Undo."
)
_STUDY = "What you filled in is in no file. Save the study first to come back to it."


def replace_settings(services: Services, window: QWidget, title: str, then: Callable[[], None]) -> None:
    """Do what replaces the settings; ask first where these hold changes that are in no file.

    Args:
        services: hold the settings.
        window: of the question.
        title: what is to be done, as "Open a preset".
        then: does it; bad input becomes a dialog.
    """
    _ask(_SETTINGS if services.document.edited else "", window, title, services.notices.guarded(then, "open it"))


def replace_study(services: Services, window: QWidget, title: str, then: Callable[[], None], edited: bool) -> None:
    """Do what replaces the study that is made; ask first where it was `edited`. Else as `replace_settings`."""
    _ask(_STUDY if edited else "", window, title, services.notices.guarded(then, "open the study"))


def _ask(lost: str, window: QWidget, title: str, then: Callable[[], None]) -> None:
    if lost:
        Question(f"{title}?", lost, "Go on without it", "Keep it", window, then).open()
    else:
        then()
