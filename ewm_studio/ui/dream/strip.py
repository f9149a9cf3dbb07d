"""The strip of controls under a dream's pictures: who drives, in which model, how, and what can be tried."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QFrame, QMenu, QPushButton

from ewm_studio.driving.dream_snapshot import DreamSnapshot
from ewm_studio.ui.kit.key_caps import KeyCaps
from ewm_studio.ui.kit.slider import Slider
from ewm_studio.ui.kit.widgets import Elided, Segments, Select, button, column, label, row

if TYPE_CHECKING:
    from ewm_studio.dreams.dream_models import DreamModel  # brings torch, for which a window does not wait

DRIVERS = (("person", "You"), ("controller", "Controller"), ("planner", "Planner"), ("recorded", "Recorded keys"))
FANS = (
    ("action", "Under what was done last"),
    ("controller", "Under the controller"),
    ("turns", "Left, straight, right"),
)
FILMS = (("mp4", "Film (MP4)…"), ("gif", "Moving picture (GIF)…"), ("png", "Strip of moments (PNG)…"))
HELP = "Space pauses, Backspace goes back, . takes one step, R begins again, M hands over, Esc leaves"
TEMPERATURES = 40  # steps of the slider
MOST = 2.0  # temperature


class DreamStrip(QFrame):
    """Shows who drives and in what; asks for others."""

    driver_chosen = Signal(str)
    model_chosen = Signal(str)
    temperature_chosen = Signal(float)
    fork_asked = Signal()
    fan_asked = Signal(str)
    edit_toggled = Signal(bool)
    rival_toggled = Signal(bool)  # the controller drives the same start beside, in the place of reality
    swap_asked = Signal(str, str)  # a model's name, its parts
    keep_asked = Signal()
    film_asked = Signal(str)  # mp4, gif or png
    save_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "plate")
        self._models: list[DreamModel] = []
        self._make_choices()
        self._make_buttons()
        first = row(self.driver, spacing=8)
        first.addStretch(1)
        for made in (label("temperature", "secondary"), self.temperature, self._degrees):
            first.addWidget(made)
        second = row(*self.tools, None, self.export, spacing=8)
        self._note = Elided(HELP, "secondary")
        inside = column(spacing=6)
        inside.addLayout(first)
        inside.addLayout(second)
        inside.addWidget(self._note)
        body = row(spacing=16, margins=(12, 10, 12, 6))
        body.addWidget(self.caps, 0, Qt.AlignmentFlag.AlignVCenter)
        body.addLayout(inside, 1)
        self.setLayout(body)
        for clicked in self.findChildren(QPushButton):  # a click must not take the keyboard away from whoever drives
            clicked.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.show_snapshot(None)

    def _make_choices(self) -> None:
        self.caps = KeyCaps()
        self.caps.hide()
        self.driver = Segments(DRIVERS, "Who drives")
        self.driver.setToolTip("Who decides from now on; any driving key takes over")
        self.driver.chosen.connect(self.driver_chosen)
        self.model = Select()
        self.model.setAccessibleName("Model")
        self.model.setToolTip("The model that dreams; chosen during a dream, it takes over from here on")
        self.model.elide = Qt.TextElideMode.ElideMiddle  # names differ at their ends
        self.model.setMinimumWidth(110)
        self.model.view().setMinimumWidth(360)
        self.model.currentIndexChanged.connect(lambda _: self._name_model())
        self.model.activated.connect(lambda _: self.model_chosen.emit(str(self.model.currentData() or "")))
        self.temperature = Slider(Qt.Orientation.Horizontal)
        self.temperature.setRange(0, TEMPERATURES)
        self.temperature.setAccessibleName("Temperature")
        self.temperature.setToolTip("Of memory's draws: 0 takes the likeliest, 1 is memory's own spread")
        self.temperature.setFixedWidth(96)
        self.temperature.setValue(round(TEMPERATURES / MOST))
        self._degrees = label("1.00", "value")
        self._degrees.setFixedWidth(34)
        self.temperature.valueChanged.connect(self._on_temperature)

    def _make_buttons(self) -> None:
        self.fork = button("Fork here", "", "Begin a branch here that draws otherwise", self.fork_asked.emit)
        self.fan = button("Fan of futures", "", "Draw seven futures from here")
        self.fan_menu = QMenu(self)
        for key, text in FANS:
            self.fan_menu.addAction(text).triggered.connect(partial(self._ask_fan, key))
        self.fan.setMenu(self.fan_menu)
        self.edit = button("Edit z", "", "Turn the latents by hand, and drive on from there")
        self.edit.setCheckable(True)
        self.edit.toggled.connect(self.edit_toggled)
        self.rival = button("Race it", "", "See the controller drive the same start beside you, in reality's place")
        self.rival.setCheckable(True)
        self.rival.toggled.connect(self.rival_toggled)
        self.swap = button("Swap memory", "", "Let another model's memory, or its vision, dream on from here")
        self.swap_menu = QMenu(self)
        self.swap_menu.aboutToShow.connect(self._fill_swap)
        self.swap.setMenu(self.swap_menu)
        self.keep = button("Keep it", "", "Keep the way to here in a recording, marked as dreamt")
        self.keep.clicked.connect(lambda: self.keep_asked.emit())
        self.export = button("Export film", "", "Save the way to here: a film of dream and reality, or the whole tree")
        self.export_menu = QMenu(self)
        for key, text in FILMS:
            self.export_menu.addAction(text).triggered.connect(partial(self._ask_film, key))
        self.export_menu.addSeparator()
        self.export_menu.addAction("The whole tree…").triggered.connect(lambda: self.save_asked.emit())
        self.export.setMenu(self.export_menu)
        self.tools = (self.fork, self.fan, self.edit, self.rival, self.swap, self.keep)

    # What is shown

    def show_models(self, models: Sequence[DreamModel], chosen: str) -> None:
        """Offer these models."""
        self._models = list(models)
        with QSignalBlocker(self.model):
            self.model.clear()
            for found in models:
                words = f"{found.memory}, {found.name}" + (" (comes with the studio)" if found.shipped else "")
                self.model.addItem(words, found.name)
            self.model.setCurrentIndex(max(self.model.findData(chosen), 0) if models else -1)
        self._name_model()

    def show_snapshot(self, snapshot: DreamSnapshot | None) -> None:
        """Show how a dream stands; None where there is none."""
        on = snapshot is not None and snapshot.state not in ("starting", "over")
        for made in (*self.tools, self.export):
            if made.isEnabled() != on:
                made.setEnabled(on)
        for key, _ in DRIVERS:
            can = on and (key != "recorded" or (snapshot is not None and snapshot.recorded_left > 0))
            self.driver.enable(key, can)
        if snapshot is None or not on:
            self.driver.set_value("person")
            self.caps.show_held(())
            return
        self.driver.set_value(snapshot.driver)
        self.caps.show_held(snapshot.held)
        if not self.temperature.isSliderDown():
            self._show_temperature(snapshot.temperature)
        at = self.model.findData(snapshot.model)
        if at >= 0 and at != self.model.currentIndex() and not self.model.view().isVisible():
            with QSignalBlocker(self.model):
                self.model.setCurrentIndex(at)
            self._name_model()

    def _name_model(self) -> None:
        """The closed box has room for the name alone."""
        self.model.shown_text = str(self.model.currentData() or "")
        self.model.update()

    @property
    def degrees(self) -> float:
        """The temperature that is set."""
        return self.temperature.value() / TEMPERATURES * MOST

    def say(self, words: str) -> None:
        """One line in the place of the help; empty brings the help back."""
        self._note.setText(words or HELP)

    @property
    def said(self) -> str:
        """What was said last, or the help."""
        return self._note.text()

    def _show_temperature(self, value: float) -> None:
        at = round(value / MOST * TEMPERATURES)
        if at != self.temperature.value():
            with QSignalBlocker(self.temperature):
                self.temperature.setValue(at)
        if (text := f"{value:.2f}") != self._degrees.text():
            self._degrees.setText(text)

    def _on_temperature(self, _: int) -> None:
        self._degrees.setText(f"{self.degrees:.2f}")
        self.temperature_chosen.emit(self.degrees)

    def _ask_fan(self, under: str, _: bool = False) -> None:
        self.fan_asked.emit(under)

    def _ask_film(self, kind: str, _: bool = False) -> None:
        self.film_asked.emit(kind)

    def _fill_swap(self) -> None:
        self.swap_menu.clear()
        for parts, what in (("m", "Memory"), ("v", "Vision")):
            for found in self._models:
                action = self.swap_menu.addAction(f"{what} of {found.name}")
                action.triggered.connect(partial(self._ask_swap, found.name, parts))
            if parts == "m":
                self.swap_menu.addSeparator()

    def _ask_swap(self, name: str, parts: str, _: bool = False) -> None:
        self.swap_asked.emit(name, parts)
