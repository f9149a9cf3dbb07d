"""The experiment: environment, V, M and C, and every other setting in groups that fold."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QLineEdit, QMenu, QVBoxLayout, QWidget

from ewm_studio import formatting as format
from ewm_studio.analysis.inspection import Catalog, EnvironmentInfo, Inspection
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.settings.experiment import COMPONENTS, SECTIONS
from ewm_studio.settings.fields import fields_of
from ewm_studio.ui.experiment.component_card import ComponentCard
from ewm_studio.ui.experiment.environment_picker import EnvironmentCard
from ewm_studio.ui.experiment.forms import SettingRow
from ewm_studio.ui.experiment.sections import Section
from ewm_studio.ui.kit.theme import color
from ewm_studio.ui.kit.widgets import Elided, IconButton, column, label, restyle, row, scrolled
from ewm_studio.ui.kit.wording import without_flags

GROUPS = {
    "train": "Training",
    "ppo": "PPO",
    "dream": "Learning in dreams",
    "env": "Environment",
    "world_model": "World model",
    "warm_up": "Before the first rollout",
    "pretrain": "Pretraining",
    "data": "Data",
    "infer": "Evaluation",
    "evolution": "Evolution",
    "planner": "Planning",
    "dream_drive": "Driven dream, on the command line",
    "run": "Seed, device, saving",
    "start": "Start from a model",
}
OPEN = ("train",)


class ExperimentPanel(QFrame):
    """Shows the document and writes to it. `inspection_wanted` tells that choices changed that decide what fits."""

    inspection_wanted = Signal()
    environment_chosen = Signal(str)  # by the person, not by a file

    def __init__(self, document: ExperimentDocument, menu: QMenu) -> None:
        super().__init__()
        self.setObjectName("experimentPanel")
        self.setMinimumWidth(316)
        self._document = document
        self._file = Elided("", "secondary")
        more = IconButton("menu", "Experiment menu")
        more.setMenu(menu)
        more.setPopupMode(IconButton.ToolButtonPopupMode.InstantPopup)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search settings")
        self.search.setAccessibleName("Search settings")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._on_search)
        self.next_note = label("The run that goes keeps its settings. These are for the next one.", "note", wrap=True)
        self.next_note.hide()
        self.start_note = StartNote(document)
        self.environment = EnvironmentCard()
        self.environment.chosen.connect(self._on_environment)
        self.strip = Strip()
        self.cards = {kind: ComponentCard(kind, document) for kind in COMPONENTS}
        self._problem = label("", "error", wrap=True)
        self._problem.hide()
        self._nothing = label("No setting matches.", "secondary")
        self._nothing.hide()
        # The environment's id is what the card chooses; the rest of the group are rows.
        self.sections = {
            name: Section(title, [f for f in fields_of(name, SECTIONS[name]) if f.path != "env.id"], document)
            for name, title in GROUPS.items()
        }
        self._lay_out(more)
        for kind, card in self.cards.items():
            card.picked.connect(lambda name, kind=kind: document.set(f"{kind}.name", name))
        for name in OPEN:
            self.sections[name].header.setChecked(True)
        self._unbuilt = QTimer(self)  # rows of folded groups are made while nothing else is to do
        self._unbuilt.timeout.connect(self._build_one)
        document.subscribe(self._on_changed)
        self._on_changed("")

    def _lay_out(self, more: IconButton) -> None:
        inside = QWidget()
        inside.setObjectName("scrolled")
        content = QVBoxLayout(inside)
        content.setContentsMargins(14, 4, 4, 14)
        content.setSpacing(8)
        for widget in (
            self.next_note,
            self.start_note,
            self.environment,
            self._problem,
            self.strip,
            *self.cards.values(),
        ):
            content.addWidget(widget)
        content.addSpacing(4)
        groups = QVBoxLayout()
        groups.setSpacing(0)
        for section in self.sections.values():
            groups.addWidget(section)
        content.addLayout(groups)
        content.addWidget(self._nothing)
        content.addStretch(1)
        self.scroll_area = scrolled(inside)
        head = row(label("Experiment", "heading"), spacing=8, margins=(14, 10, 12, 0))
        head.addWidget(self._file, 1)
        head.addWidget(more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(head)
        layout.addLayout(row(self.search, margins=(14, 0, 14, 2)))
        layout.addWidget(self.scroll_area, 1)

    def build_in_idle_time(self) -> None:
        """Make the rows of folded groups little by little."""
        self._unbuilt.start(0)

    def show_catalog(self, catalog: Catalog) -> None:
        """What can be chosen."""
        self.environment.popup.set_names(catalog.environments, catalog.remarks)
        for kind, card in self.cards.items():
            card.show_components(catalog.components[kind])

    def show_environment(self, info: EnvironmentInfo) -> None:
        """What the chosen environment is."""
        self.environment.show_info(info)

    def show_inspection(self, inspection: Inspection) -> None:
        """What fits and how large it is."""
        for card in self.cards.values():
            card.show_inspection(inspection)
        self._problem.setText(without_flags(inspection.problem))
        self._say_problem_once()
        self._document.settle(inspection.automatic)
        self.strip.show_total(sum(inspection.parameters.values()))

    def show_unknown(self, problem: str) -> None:
        """Why the chosen environment cannot be made."""
        self.environment.show_problem(without_flags(problem))
        self._say_problem_once()

    def _say_problem_once(self) -> None:
        """What stands beside the environment already is not said again below it."""
        self._problem.setVisible(self._problem.text() not in ("", self.environment.problem))

    def show_running(self, running: bool) -> None:
        """Say, while a run goes, that these settings are not its own."""
        self.next_note.setVisible(running)

    @property
    def _groups(self) -> list[ComponentCard | Section]:
        return [*self.cards.values(), *self.sections.values()]

    @property
    def wrong(self) -> SettingRow | None:
        """The first setting with a value that could not be taken."""
        rows = (item for group in self._groups if group.rows is not None for item in group.rows.rows)
        return next((item for item in rows if not item.taken), None)

    def go_to(self, item: SettingRow) -> None:
        """Have a setting seen, whatever is folded, and ready to be typed over."""
        self.search.clear()
        for group in self._groups:
            if group.rows is not None and item in group.rows.rows:
                if isinstance(group, Section):
                    group.header.setChecked(True)
                group.rows.more.setChecked(group.rows.more.isChecked() or item.isHidden())
        item.editor.setFocus()
        if isinstance(item.editor, QLineEdit):
            item.editor.selectAll()
        QTimer.singleShot(0, item, lambda: self.scroll_area.ensureWidgetVisible(item))  # once it is laid out

    def _build_one(self) -> None:
        for section in self.sections.values():
            if section.build_some():
                return
        self._unbuilt.stop()

    def _on_environment(self, id: str) -> None:
        self.environment_chosen.emit(id)
        self._document.set("env.id", id)

    def _on_changed(self, path: str) -> None:
        document = self._document
        self._file.setText(f"{document.name} · edited" if document.path and document.edited else document.name)
        section = path.partition(".")[0]
        for kind, card in self.cards.items():
            if section in ("", kind):
                card.refresh(path if path != f"{kind}.name" else "")
        for name, group in self.sections.items():
            if section in ("", name):
                group.refresh(path)
        if section in ("", "start"):
            self.start_note.refresh()
        self.environment.show_id(document.experiment.env.id)
        if section in ("", "env", *COMPONENTS):
            self.inspection_wanted.emit()

    def _on_search(self, text: str) -> None:
        found = sum(card.search(text) for card in self.cards.values())
        found += sum(section.search(text) for section in self.sections.values())
        searching = bool(text.strip())
        self.environment.setVisible(not searching)
        self.strip.setVisible(not searching)
        self._nothing.setVisible(searching and not found)


class StartNote(QFrame):
    """Says that the next run starts from a saved model, or takes parts of one; a click forgets it.

    Attributes:
        is_there: whether there is a model by a name.
    """

    def __init__(self, document: ExperimentDocument) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self._document = document
        self.is_there: Callable[[str], bool] = lambda _: True
        # One line each, cut in the middle: runs differ at the ends of their names.
        self.lines = [Elided("", "secondary", Qt.TextElideMode.ElideMiddle) for _ in range(2)]
        self.clear = IconButton("close", "Start afresh instead", "secondary", 14)
        self.clear.clicked.connect(self._forget)
        line = row(spacing=4, margins=(10, 4, 6, 4))
        line.addLayout(column(*self.lines, spacing=2), 1)
        line.addWidget(self.clear)
        self.setLayout(line)
        self.hide()

    @property
    def text(self) -> str:
        """What it says."""
        return "; ".join(line.text() for line in self.lines if line.text())

    def refresh(self) -> None:
        """Show the document's start."""
        start = self._document.experiment.start
        parts = [kind for kind in COMPONENTS if kind[0] in (start.patch or "")]
        patched = ", ".join(parts).capitalize() if start.patch_load_path else ""
        self._say(self.lines[0], "", start.load_path or "")
        self._say(self.lines[1], patched, (start.patch_load_path or "") if patched else "")
        self.setVisible(bool(self.text))

    def _say(self, line: Elided, parts: str, model: str) -> None:
        """The name stands last, where it is not cut."""
        gone = bool(model) and not self.is_there(model)
        words = f"{parts}: there is no model" if parts else "There is no model"
        line.setText("" if not model else f"{words} {model}" if gone else f"{parts or 'Starts'} from {model}")
        line.setVisible(bool(model))
        restyle(line, role="error" if gone else "secondary")

    def _forget(self) -> None:
        here = self._document.experiment
        start = here.start.model_copy(update={"load_path": None, "patch_load_path": None, "patch": None})
        self._document.edit(here.model_copy(update={"start": start}))


class Strip(QWidget):
    """V, M and C in their colors, joined by lines, and how many parameters they have together."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(22)
        self._total = label("", "secondary")
        self.setLayout(row(None, self._total))

    def show_total(self, parameters: int) -> None:
        """How many parameters there are."""
        self._total.setText(f"{format.compact(parameters)} parameters" if parameters else "")

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the letters and the lines."""
        painter = QPainter(self)
        font = self.font()
        font.setBold(True)
        painter.setFont(font)
        middle = self.height() // 2
        for index, (letter, kind) in enumerate(zip("VMC", COMPONENTS, strict=True)):
            x = 2 + index * 48
            painter.setPen(color(kind))
            painter.drawText(x, middle + 5, letter)
            if index < 2:
                painter.setPen(color("secondary"))
                painter.drawLine(x + 16, middle, x + 40, middle)
        painter.end()
