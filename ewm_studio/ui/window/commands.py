"""Menu entries on the experiment: its file, presets, the command line; and the list of shortcuts."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication

from ewm_studio.resources import presets
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.dialogs import ShortcutsDialog
from ewm_studio.ui.kit.files import ask_open, ask_save
from ewm_studio.ui.replacing import replace_settings
from ewm_studio.ui.services import Services
from ewm_studio.ui.window.help import FilesDialog, GlossaryDialog, TourDialog
from ewm_studio.ui.window.main_window import MainWindow
from ewm_studio.workspace.files import write_text

TOML = "Experiments (*.toml)"


class Commands(QObject):
    """Joins them to the document."""

    def __init__(self, services: Services, window: MainWindow) -> None:
        super().__init__(services)
        self._services, self._window, self._document = services, window, services.document
        for name, slot, doing in (
            ("new", self.new, "begin anew"),
            ("open", self.open, "open the experiment"),
            ("save", self.save, "save the experiment"),
            ("save_as", self.save_as, "save the experiment"),
            ("undo", self._document.undo, "take it back"),
            ("copy_command", self.copy_command, "copy the command line"),
            ("shortcuts", self.show_shortcuts, "show the shortcuts"),
            ("tour", self.show_tour, "show the tour"),
            ("glossary", self.show_glossary, "show the glossary"),
            ("files", self.show_files, "show where files are"),
        ):
            window.actions_by_name[name].triggered.connect(services.notices.guarded(slot, doing))
        self._document.subscribe(lambda _: window.actions_by_name["undo"].setEnabled(self._document.can_undo))
        window.actions_by_name["undo"].setEnabled(False)
        self._presets = window.menus["Experiment"].addMenu("Presets")
        self._presets.aboutToShow.connect(self._fill_presets)

    def new(self) -> None:
        """Begin with the defaults, once it is sure that what was changed may go."""
        self._replace("New experiment", lambda: self._document.replace(Experiment()))

    def _replace(self, doing: str, then: Callable[[], None]) -> None:
        replace_settings(self._services, self._window, doing, then)

    def open(self) -> None:
        """Read an experiment from a file that the user picks.

        Raises:
            UserError: it cannot be read.
        """
        path = ask_open(self._window, "Open experiment", "experiment", self._services.workspace.path, TOML)
        if path is not None:
            self._replace("Open another experiment", lambda: self._document.open(path))

    def save(self) -> None:
        """Write the experiment to its file.

        Raises:
            UserError or JobError: it cannot be written.
        """
        if self._document.path is None:
            self.save_as()
        else:
            self._document.save(self._document.path, write_text)

    def save_as(self) -> None:
        """Write the experiment to a file that the user picks.

        Raises:
            UserError or JobError: it cannot be written.
        """
        start = self._document.path or self._services.workspace.path / "experiment.toml"
        path = ask_save(self._window, "Save experiment", "experiment", start, TOML)
        if path is not None:
            self._document.save(path, write_text)

    def copy_command(self) -> None:
        """Put the command that runs this experiment on the clipboard."""
        folder = shlex.quote(str(self._services.workspace.path.resolve()))
        line = f"{self._document.command_line()} --workspace {folder}"
        QGuiApplication.clipboard().setText(line)
        self._services.notices.say(f"copied: {line}")
        self._services.notices.told.emit("The command line is on the clipboard")

    def show_shortcuts(self) -> None:
        """List every shortcut."""
        ShortcutsDialog(self._window.shortcuts(), self._window).open()

    def show_tour(self) -> None:
        """Lead through the pages."""
        TourDialog(self._window.show_page, list(self._window.pages), self._window).show()

    def show_glossary(self) -> None:
        """Say what words mean."""
        GlossaryDialog(self._window).show()

    def show_files(self) -> None:
        """Say where everything is kept."""
        FilesDialog(self._services.workspace, self._window).open()

    def _fill_presets(self) -> None:
        self._presets.clear()
        files = presets()
        for file in files:
            open_it = self._services.notices.guarded(partial(self._open_preset, file), "open the preset")
            self._presets.addAction(file.stem.replace("-", " ").replace("_", " ")).triggered.connect(open_it)
        if not files:
            self._presets.addAction("No presets").setEnabled(False)

    def _open_preset(self, file: Path) -> None:
        self._replace("Open a preset", lambda: self._document.replace(Experiment.from_toml(file)))
