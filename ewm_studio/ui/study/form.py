"""Making a study: its base, the parts and settings that are compared, its seeds, its budget and its judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget

from ewm_studio.errors import UserError
from ewm_studio.formatting import printable
from ewm_studio.resources import presets
from ewm_studio.settings import Experiment
from ewm_studio.settings.declare import Settings, setting
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.settings.fields import Field, fields_of
from ewm_studio.settings.study import BudgetSettings, JudgeSettings, PlaceSettings, SearchSettings, Study
from ewm_studio.settings.study_draft import (
    Options,
    given_settings,
    kept_axes,
    picked_parts,
    varied_settings,
    with_choices,
)
from ewm_studio.ui.experiment.forms import ValueEdit, stepped_value
from ewm_studio.ui.kit.widgets import Select, Switch, column, label, restyle, row, scrolled
from ewm_studio.ui.study.part_picker import PartPicker
from ewm_studio.ui.study.varied_settings import VariedSettings

FORM, FILE, PRESET = "form", "file", "preset"
Base = tuple[str, str]  # one of these, and the preset's name
_WIDE = 5  # fields in a line
_NARROW = 760  # pixels, below which fields stand in two lines


class _SeedCount(Settings):
    """How many seeds there are; a file names each of them."""

    count: int = setting(
        5, "Runs of each cell: five or more for an interval, fewer are shown as points.", ge=1, le=1000
    )


class NumberField(QWidget):
    """A number with its name above it."""

    changed = Signal()

    def __init__(self, field: Field, name: str, empty: str = "") -> None:
        super().__init__()
        self._field = field
        self._settled = ""  # what stood there before anybody typed
        self.edit = ValueEdit(field)
        self.edit.setAccessibleName(name)
        self.edit.setToolTip(field.help)
        if empty:
            self.edit.setPlaceholderText(empty)
        self.edit.textChanged.connect(lambda _: self._on_typed())
        self.edit.stepped.connect(self._step)
        self.edit.committed.connect(self._on_committed)
        self.edit.given_up.connect(lambda: self.edit.setText(self._settled))
        self.setLayout(column(label(name, "secondary"), self.edit, spacing=4))

    def read(self) -> Any:
        """The value.

        Raises:
            UserError: it is none.
        """
        try:
            return self._field.parse(self.edit.text())
        except UserError as error:
            raise UserError(f"{self.edit.accessibleName()}: {error}") from None

    def show_value(self, value: Any) -> None:
        """Show a value."""
        self._settle(self._field.to_text(value))
        self.edit.setText(self._settled)

    def _on_committed(self, text: str) -> None:
        if self.edit.property("invalid") != "true":
            self._settle(text)

    def _settle(self, text: str) -> None:
        self._settled = text
        self.edit.setModified(False)

    def _on_typed(self) -> None:
        try:
            self.read()
            wrong = False
        except UserError:
            wrong = True
        if (self.edit.property("invalid") == "true") != wrong:
            restyle(self.edit, invalid="true" if wrong else "false")
        self.changed.emit()

    def _step(self, direction: int) -> None:
        try:
            value = self.read()
            if isinstance(value, int | float):
                self.show_value(self._field.check(stepped_value(value, direction, self._field)))
        except UserError:
            return


class StudyForm(QWidget):
    """Everything of a study that a person chooses."""

    changed = Signal()
    base_chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._study, self._experiment = Study(), Experiment()
        self.name, self.question = QLineEdit(), QLineEdit()
        self.name.setAccessibleName("Name of the study")
        self.question.setAccessibleName("Question of the study")
        self.question.setPlaceholderText("which is better?")
        self.base = Select()
        self.base.setAccessibleName("Base of the study")
        self.base.setToolTip("All that does not vary is as this says")
        self.base.setMinimumWidth(120)
        self.pickers: dict[str, PartPicker] = {kind: PartPicker(kind) for kind in COMPONENTS}
        self.settings = VariedSettings()
        self.numbers = _numbers()
        self.search = Switch()
        self.search.setAccessibleName("Search")
        self.search.setToolTip(fields_of("search", SearchSettings)[0].help)
        self._add_up()
        for edit in (self.name, self.question):
            edit.textChanged.connect(lambda _: self.changed.emit())
        self.base.activated.connect(lambda _: self._on_base())
        for picker in self.pickers.values():
            picker.changed.connect(self.changed)
        for number in self.numbers.values():
            number.changed.connect(self.changed)
        self.search.toggled.connect(self._on_search)
        self.settings.changed.connect(self.changed)
        self.show_study(Study(), "study", "")

    def _add_up(self) -> None:
        top = row(spacing=12)
        for words, edit, stretch in (
            ("Name", self.name, 2),
            ("All else as in", self.base, 3),
            ("Question, for the report", self.question, 3),
        ):
            top.addLayout(column(label(words, "secondary"), edit, spacing=4), stretch)
        parts = row(spacing=10)
        for picker in self.pickers.values():
            parts.addWidget(picker, 1)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(8)
        inside = QWidget()
        inside.setObjectName("scrolled")
        body = column(spacing=12, margins=(0, 0, 10, 4))
        body.addLayout(top)
        self._list_note = label("", "secondary", wrap=True)
        self._list_note.hide()
        body.addWidget(self._list_note)
        body.addLayout(parts, 1)
        body.addWidget(self.settings)
        body.addLayout(self._grid)
        inside.setLayout(body)
        outer = column(spacing=0)
        outer.addWidget(scrolled(inside, focus=False), 1)
        self.setLayout(outer)
        self._columns = 0
        self._search_field = QWidget()
        search = column(label("Search by Optuna", "secondary"), self.search, spacing=8)
        search.addStretch(1)
        self._search_field.setLayout(search)
        self._lay_out()

    # What is shown

    @property
    def chosen_base(self) -> Base:
        """Where all that does not vary comes from."""
        data = self.base.currentData()
        return (FORM, "") if data is None else data

    def show_study(self, study: Study, name: str, file: str) -> None:
        """Edit a study.

        Args:
            study: as it is.
            name: of it.
            file: the name of the file it stands in; empty where it is a new one.

        Raises:
            UserError: what varies in it is not understood.
        """
        parts = picked_parts(study, file or name)
        self._study = study
        blockers = [QSignalBlocker(self), QSignalBlocker(self.base)]
        self.name.setText(name)
        self.question.setText(study.title)
        self.question.setCursorPosition(0)  # where it is too long, it is read from its beginning
        self.base.clear()
        self.base.addItem("", (FORM, ""))
        if file:
            self.base.addItem(printable(file), (FILE, ""))
        for path in presets():
            self.base.addItem(f"preset {path.stem}", (PRESET, path.stem))
        self.base.setCurrentIndex(1 if file else 0)
        for kind, picker in self.pickers.items():
            picker.tick(parts.get(kind, {}))
            picker.setEnabled(not study.cells)
        self.settings.setEnabled(not study.cells)
        self.settings.show_settings(varied_settings(study), kept_axes(study))
        self._list_note.setText(f"Its {len(study.cells)} cells are a list of their own in the file.")
        self._list_note.setVisible(bool(study.cells))
        for key, value in (
            ("seeds", len(study.seeds.reported)),
            ("frames", study.budget.frames),
            ("minutes", study.budget.minutes),
            ("episodes", study.judge.episodes),
            ("parallel", study.place.parallel),
            ("threads", study.place.threads),
            ("on", study.place.on),
            ("trials", study.search.trials),
        ):
            self.numbers[key].show_value(value)
        self.search.setChecked(study.search.on)
        self.numbers["trials"].setEnabled(study.search.on)
        del blockers
        self.show_experiment(self._experiment)
        self.base_chosen.emit()
        self.changed.emit()

    def show_experiment(self, experiment: Experiment) -> None:
        """Say what the form of the window holds now."""
        self._experiment = experiment
        self.base.setItemText(0, f"the experiment as it is now ({printable(experiment.env.id)})")
        self.base.update()

    # What it is

    def state(self) -> dict[str, Any]:
        """Everything that a person chose and wrote, right or wrong, as JSON holds it."""
        return {
            "name": self.name.text(),
            "question": self.question.text(),
            "base": list(self.chosen_base),
            "parts": {kind: picker.picked for kind, picker in self.pickers.items()},
            "settings": [list(texts) for texts in self.settings.written],
            "numbers": {key: number.edit.text() for key, number in self.numbers.items()},
            "search": self.search.isChecked(),
        }

    def fill_in(self, state: Mapping[str, Any]) -> None:
        """Fill in what `state` gave of a form that began with the same study."""
        self.name.setText(state["name"])
        self.question.setText(state["question"])
        bases = [list(self.base.itemData(place)) for place in range(self.base.count())]
        self.base.setCurrentIndex(bases.index(state["base"]))
        for kind, picker in self.pickers.items():
            picker.tick(state["parts"][kind])
        self.settings.write((path, values) for path, values in state["settings"])
        for key, number in self.numbers.items():
            number.edit.setText(state["numbers"][key])
        self.search.setChecked(state["search"])
        self.base_chosen.emit()
        self.changed.emit()

    def read(self) -> Study:
        """The study as it is now.

        Raises:
            UserError: something in it is wrong; says what.
        """
        where, preset = self.chosen_base
        study = self._study.model_copy(update={"title": self.question.text().strip()})
        if where != FILE:
            own = given_settings(self._experiment) if where == FORM else {}
            study = study.model_copy(update={"base": preset, "experiment": own})
        parts: dict[str, Options] = {kind: picker.picked for kind, picker in self.pickers.items()}
        number = {key: made.read() for key, made in self.numbers.items()}
        return with_choices(
            study,
            parts,
            self.settings.found,
            seeds={"reported": self._seeds(number["seeds"])},
            budget={"frames": number["frames"], "minutes": number["minutes"]},
            judge={"episodes": number["episodes"]},
            place={"parallel": number["parallel"], "threads": number["threads"], "on": number["on"] or ""},
            search={"on": self.search.isChecked(), "trials": number["trials"]},
        )

    def _seeds(self, count: int) -> list[int]:
        """So many seeds: those that the file names as long as they are so many."""
        seeds: Sequence[int] = self._study.seeds.reported
        return list(seeds) if count == len(seeds) else list(range(seeds[0], seeds[0] + count))

    def _on_base(self) -> None:
        self.base_chosen.emit()
        self.changed.emit()

    def _on_search(self, on: bool) -> None:
        self.numbers["trials"].setEnabled(on)
        self.changed.emit()

    # Room

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the numbers out anew."""
        super().resizeEvent(event)
        self._lay_out()

    def _lay_out(self) -> None:
        columns = _WIDE if self.width() >= _NARROW else 3
        if columns == self._columns:
            return
        self._columns = columns
        fields: list[QWidget] = list(self.numbers.values())
        fields.insert(-1, self._search_field)  # before its trials
        for place, made in enumerate(fields):
            self._grid.addWidget(made, place // columns, place % columns)
        for place in range(_WIDE + 1):
            self._grid.setColumnStretch(place, int(place == columns))


def _numbers() -> dict[str, NumberField]:
    groups: dict[str, type[Settings]] = {
        "budget": BudgetSettings,
        "judge": JudgeSettings,
        "place": PlaceSettings,
        "search": SearchSettings,
    }
    declared: dict[str, Field] = {
        f"{section}.{field.name}": field for section, group in groups.items() for field in fields_of(section, group)
    }
    return {
        "seeds": NumberField(fields_of("seeds", _SeedCount)[0], "Seeds"),
        "frames": NumberField(declared["budget.frames"], "Frames a run", "as base"),
        "minutes": NumberField(declared["budget.minutes"], "Minutes a run", "no limit"),
        "episodes": NumberField(declared["judge.episodes"], "Judged by"),
        "parallel": NumberField(declared["place.parallel"], "Runs at once"),
        "threads": NumberField(declared["place.threads"], "Threads a run"),
        "on": NumberField(declared["place.on"], "Where", "this computer"),
        "trials": NumberField(declared["search.trials"], "Trials"),
    }
