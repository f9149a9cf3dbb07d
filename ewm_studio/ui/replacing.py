"""Other settings take the place of those in the panel; nobody's changes go without a word."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from ewm_studio.ui.kit.dialogs import Question
from ewm_studio.ui.services import Services


def replace_settings(services: Services, window: QWidget, title: str, then: Callable[[], None]) -> None:
    """Do what replaces the settings; ask first where these hold changes that are in no file.

    Args:
        services: hold the settings.
        window: of the question.
        title: what is to be done, as "Open a preset".
        then: does it; bad input becomes a dialog.
    """
    then = services.notices.guarded(then, "open it")
    if not services.document.edited:
        then()
        return
    words = (
        "What you changed is in no file. Save the experiment first to come back to it; the menu takes the last "
        "replacement back, too: Experiment, Undo."
    )
    Question(f"{title}?", words, "Go on without it", "Keep it", window, then).open()
