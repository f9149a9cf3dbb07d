"""What the menus do besides jobs: files, workspaces, themes, runs, exports."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QActionGroup, QGuiApplication
from PySide6.QtWidgets import QFileDialog, QMenu

from ewm_studio import formatting as format
from ewm_studio.analysis.history import RunHistory
from ewm_studio.errors import UserError
from ewm_studio.jobs.launch import model_values
from ewm_studio.resources import resource
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit import store
from ewm_studio.ui.kit.dialogs import Question, ShortcutsDialog, TextQuestion
from ewm_studio.ui.kit.theme import MODES, theme
from ewm_studio.ui.kit.widgets import Place
from ewm_studio.ui.window.pretrained_controller import ShippedController

if TYPE_CHECKING:
    from ewm_studio.ui.window.studio import Studio

TOML = "Experiments (*.toml)"
_EXPORTS = {"png": "Pictures (*.png)", "svg": "Drawings (*.svg)", "csv": "Tables (*.csv)"}


def ready_made() -> list[Path]:
    """Workspaces that come with a checkout, each with an `experiment.toml`; none where the program is installed."""
    return sorted(path.parent.resolve() for path in resource("..", "workspaces").glob("*/experiment.toml"))


def _title(workspace: Path) -> str:
    """A ready-made workspace by its environment: CartPole."""
    try:
        return Experiment.from_toml(workspace / "experiment.toml").env.id.partition("-v")[0]
    except UserError:
        return workspace.name


def _folder(text: str, path: Path) -> Place:
    return Place(text, str(path), f"Open {text}", str(path))


class Commands(QObject):
    """Menu entries and buttons, joined to what they do."""

    def __init__(self, studio: Studio) -> None:
        super().__init__(studio)
        self.studio = studio
        window = studio.window
        for name, slot in {
            "new": self.new,
            "open": self.open,
            "save": self.save,
            "save_as": self.save_as,
            "copy_command": self.copy_command,
            "workspace": self.choose_workspace,
            "shortcuts": self.show_shortcuts,
            "reset_plots": self.reset_plots,
        }.items():
            window.actions_by_name[name].triggered.connect(self._guarded(slot))
        self._presets = window.menus["Experiment"].addMenu("Presets")
        self._presets.aboutToShow.connect(self._fill_presets)
        self._recent = window.menus["Workspace"].addMenu("Recent")
        self._recent.aboutToShow.connect(self._fill_recent)
        self._binned = window.menus["Workspace"].addMenu("Restore a deleted run")
        self._binned.aboutToShow.connect(self._fill_binned)
        self._add_themes(window.menus["View"])
        window.train_page.compare_wanted.connect(self._fill_compare)
        window.train_page.export_asked.connect(self.export)
        window.train_page.empty.asked.connect(self._on_place)
        self.shipped = ShippedController(studio, self._guarded)
        self.show_places()
        window.runs_page.asked.connect(self._on_run)

    def _on_place(self, key: str) -> None:
        if (path := Path(key)).is_absolute():
            self._guarded(partial(self.studio.open_workspace, path))()

    def _guarded(self, slot: Callable[[], None]) -> Callable[[], None]:
        """Bad input becomes a dialog."""

        def run() -> None:
            try:
                slot()
            except UserError as error:
                self.studio.show_failure(error)

        return run

    # Experiments

    def new(self) -> None:
        """Begin with the defaults."""
        self.studio.document.replace(Experiment())

    def open(self) -> None:
        """Read an experiment from a file that the user picks."""
        folder = str(self.studio.workspace.path)
        path, _ = QFileDialog.getOpenFileName(self.studio.window, "Open experiment", folder, TOML)
        if path:
            self.open_path(Path(path))

    def open_path(self, path: Path) -> None:
        """Read an experiment.

        Raises:
            UserError: it cannot be read.
        """
        self.studio.document.replace(Experiment.from_toml(path), path)

    def save(self) -> None:
        """Write the experiment to its file."""
        if self.studio.document.path is None:
            self.save_as()
        else:
            self.studio.document.save(self.studio.document.path)

    def save_as(self) -> None:
        """Write the experiment to a file that the user picks."""
        start = self.studio.document.path or self.studio.workspace.path / "experiment.toml"
        path, _ = QFileDialog.getSaveFileName(self.studio.window, "Save experiment", str(start), TOML)
        if path:
            self.studio.document.save(Path(path))

    def copy_command(self) -> None:
        """Put the command that runs this experiment on the clipboard."""
        folder = shlex.quote(str(self.studio.workspace.path.resolve()))
        line = f"{self.studio.document.command_line()} --workspace {folder}"
        QGuiApplication.clipboard().setText(line)
        self.studio.window.train_page.log.add(f"copied: {line}")

    def _fill_presets(self) -> None:
        self._presets.clear()
        files = sorted(resource("presets").glob("*.toml"))
        for file in files:
            open_it = self._guarded(partial(self._open_preset, file))
            self._presets.addAction(file.stem.replace("-", " ").replace("_", " ")).triggered.connect(open_it)
        if not files:
            self._presets.addAction("No presets").setEnabled(False)

    def _open_preset(self, file: Path) -> None:
        self.studio.document.replace(Experiment.from_toml(file))

    # Workspaces and themes

    def choose_workspace(self) -> None:
        """Work in another folder."""
        path = QFileDialog.getExistingDirectory(
            self.studio.window, "Open workspace", str(self.studio.workspace.path.parent)
        )
        if path:
            self.studio.open_workspace(Path(path))

    def show_places(self) -> None:
        """Offer the ready-made workspaces and the recent ones where there is nothing to show yet."""
        here = self.studio.workspace.path.resolve()
        ready = [path for path in ready_made() if path != here]
        recent = [Path(text) for text in store.texts("recent") if Path(text) not in (here, *ready)]
        self.studio.window.train_page.empty.show_places(
            (
                self.shipped.group,
                ("Ready-made workspaces", [_folder(_title(path), path) for path in ready]),
                ("Recent", [_folder(path.name, path) for path in recent if path.is_dir()][:4]),
            )
        )

    def _fill_recent(self) -> None:
        self._recent.clear()
        ready = [str(path) for path in ready_made()]
        for path in dict.fromkeys([*store.texts("recent"), *ready]):
            open_it = self._guarded(partial(self.studio.open_workspace, Path(path)))
            self._recent.addAction(path).triggered.connect(open_it)
        if self._recent.isEmpty():
            self._recent.addAction("None yet").setEnabled(False)

    def _fill_binned(self) -> None:
        self._binned.clear()
        for name in self.studio.workspace.binned_runs()[:20]:
            self._binned.addAction(name).triggered.connect(self._guarded(partial(self._restored, name)))
        if self._binned.isEmpty():
            self._binned.addAction("The bin is empty").setEnabled(False)

    def _restored(self, name: str) -> None:
        self.studio.workspace.restore_run(name)
        self.studio.show_workspace()
        self.studio.window.runs_page.choose(name)

    def _add_themes(self, menu: QMenu) -> None:
        themes = menu.addMenu("Theme")
        group = QActionGroup(themes)
        for mode in MODES:
            action = themes.addAction({"system": "As the system", "dark": "Dark", "light": "Light"}[mode])
            action.setCheckable(True)
            action.setChecked(theme().mode == mode)
            group.addAction(action)
            action.triggered.connect(lambda _=False, mode=mode: self._set_theme(mode))

    def _set_theme(self, mode: str) -> None:
        store.store().setValue("theme", mode)
        theme().apply(next(m for m in MODES if m == mode))

    def show_shortcuts(self) -> None:
        """List every shortcut."""
        ShortcutsDialog(self.studio.window.shortcuts(), self.studio.window).open()

    # Plots

    def reset_plots(self) -> None:
        """Show everything on every plot again."""
        for card in self.studio.window.train_page.cards:
            card.canvas.reset_view()

    def export(self, kind: str) -> None:
        """Write the plots to files that the user names."""
        start = str(self.studio.workspace.path / f"{self.studio.history.name or 'plots'}.{kind}")
        path, _ = QFileDialog.getSaveFileName(self.studio.window, "Export", start, _EXPORTS[kind])
        if not path:
            return
        try:
            files = self.studio.window.train_page.export(kind, Path(path))
        except OSError as error:
            self.studio.show_failure(UserError(f"{path}: cannot be written ({error.strerror}); choose another place"))
            return
        self.studio.window.train_page.log.add(f"exported {', '.join(str(file) for file in files)}", good=True)

    def _fill_compare(self) -> None:
        menu, options = self.studio.window.train_page.compare_menu, self.studio.window.train_page.options
        menu.clear()
        laid = [history.name for history in options.compared]
        for info in self.studio.workspace.runs()[:20]:
            if info.name == self.studio.history.name:
                continue
            reward = f"   {format.significant(info.best_reward)}" if info.best_reward is not None else ""
            action = menu.addAction(f"{info.title or info.name}{reward}")
            action.setCheckable(True)
            action.setChecked(info.name in laid)
            action.triggered.connect(lambda _=False, name=info.name: self.toggle_compared(name))
        if menu.isEmpty():
            menu.addAction("No other runs yet").setEnabled(False)

    def toggle_compared(self, name: str) -> None:
        """Lay a run over the present one, or take it away again."""
        page = self.studio.window.train_page
        compared = page.options.compared
        kept = [history for history in compared if history.name != name]
        if len(kept) == len(compared):
            kept.append(RunHistory.load(self.studio.workspace.run(name)))
        page.options.compared[:] = kept
        page.show_legend()
        page.mark_all()

    # Runs

    def _on_run(self, what: str, name: str) -> None:
        todo: dict[str, Callable[[str], None]] = {
            "show": self.studio.show_run,
            "resume": self.studio.resume,
            "compare": self._compare,
            "continue": self._continue,
            "load": self._load_model,
            "patch_v": partial(self._patch, "vision"),
            "patch_m": partial(self._patch, "memory"),
            "patch_c": partial(self._patch, "controller"),
            "settings": self._use_settings,
            "rename": self._rename,
            "note": self._note,
            "delete": self._delete,
        }
        self._guarded(lambda: todo[what](name))()

    def _experiment_of(self, name: str) -> Experiment:
        """A run's settings, its parts named in full."""
        return Experiment.from_toml(self.studio.workspace.run(name).folder / "experiment.toml")

    def _compare(self, name: str) -> None:
        if name == self.studio.history.name:
            raise UserError(f"{name} is the run on the plots already: choose another one to compare it with.")
        if not self.studio.history.name:
            self.studio.show_run(name)
            return
        self.toggle_compared(name)
        self.studio.window.show_page("train")

    def _continue(self, name: str) -> None:
        settings = self._experiment_of(name)
        start = settings.start.model_copy(update={"load_path": name, "patch_load_path": None, "patch": None})
        self.studio.document.replace(settings.model_copy(update={"start": start}))
        self.studio.enqueue("train")

    def _load_model(self, name: str) -> None:
        """Start from a run's model: its environment and parts come with it, everything else stays as it is."""
        self.studio.document.start_from(name, model_values(self.studio.workspace, name))
        self.studio.window.train_page.log.add(f"the next run starts from the best model of {name}")

    def _patch(self, kind: str, name: str) -> None:
        """Take one part from a run's model. There is one giver at a time: parts of another one are forgotten."""
        there, here = self._experiment_of(name), self.studio.document.experiment
        taken = (here.start.patch or "") if here.start.patch_load_path == name else ""
        letters = "".join(letter for letter in "vmc" if letter in taken or letter == kind[0])
        start = here.start.model_copy(update={"patch_load_path": name, "patch": letters})
        self.studio.document.edit(here.model_copy(update={"start": start, kind: getattr(there, kind)}))
        self.studio.window.train_page.log.add(f"the next run takes its {kind} from {name}")

    def _use_settings(self, name: str) -> None:
        self.studio.document.replace(self._experiment_of(name))

    def _rename(self, name: str) -> None:
        def rename(new: str) -> None:
            self._guarded(lambda: self._renamed(name, new))()

        TextQuestion("Rename the run", "Letters, digits, '-', '_' and '.'", name, self.studio.window, rename).open()

    def _renamed(self, name: str, new: str) -> None:
        if new == name:
            return
        renamed = self.studio.workspace.rename_run(name, new).name
        for history in (self.studio.history, *self.studio.window.train_page.options.compared):
            history.name = renamed if history.name == name else history.name
        self.studio.follow(name, renamed)
        self.studio.window.train_page.show_legend()
        self.studio.show_workspace()
        self.studio.window.runs_page.choose(renamed)

    def _note(self, name: str) -> None:
        def note(text: str) -> None:
            self.studio.workspace.describe_run(name, note=text)
            self.studio.show_workspace()

        note_now = self.studio.workspace.info(name).note
        TextQuestion("Note", f"About {name}", note_now, self.studio.window, note).open()

    def _delete(self, name: str) -> None:
        def delete() -> None:
            self._guarded(lambda: self._deleted(name))()

        words = f"{name} moves to the bin of this workspace. The menu brings it back: Workspace, Restore a deleted run."
        Question("Delete the run?", words, "Delete", "Keep it", self.studio.window, delete).open()

    def _deleted(self, name: str) -> None:
        self.studio.workspace.delete_run(name)
        if name in [history.name for history in self.studio.window.train_page.options.compared]:
            self.toggle_compared(name)
        self.studio.follow(name, "")
        self.studio.show_workspace()
