"""The Plots page: six plots, how they are shown, and the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QGridLayout, QMenu, QSlider, QSplitter, QVBoxLayout, QWidget

from ewm_studio.analysis.history import LENGTH, REWARD, RunHistory
from ewm_studio.ui.kit.empty_state import EmptyState
from ewm_studio.ui.kit.focus import tab_on
from ewm_studio.ui.kit.log_view import LogView
from ewm_studio.ui.kit.widgets import Elided, Segments, button, label, row, scrolled, stacked
from ewm_studio.ui.plots.quantities import PlotOptions
from ewm_studio.ui.train.legend import Legend

if TYPE_CHECKING:
    from ewm_studio.ui.plots.card import PlotCard

FIRST = (REWARD, LENGTH, "ppo/policy_loss", "ppo/value_loss", "ppo/entropy", "ppo/explained_variance")
PRETRAINING = (
    "vision/total",
    "vision/held_out_mse",
    "vision/kl",
    "memory/total",
    "memory/dream_error_16",
    "memory/held_out_prediction_error",
)
# What takes the place of the first plots, by their number, as soon as a run has a figure.
INSTEAD = {
    "vision/total": {4: "vision/total"},
    "memory/total": {5: "memory/total"},
    "dream/reward": {2: "dream/worth", 3: "real/greedy"},
    "evolution/best": {2: "evolution/best", 3: "evolution/sigma"},
}
COLUMNS = 2
FIRST_TITLE = "Train your first agent"
FIRST_WORDS = (
    "Choose an environment on the left and press Train. Rewards, losses and speed are drawn here while it learns; "
    "every run is kept on the Runs page."
)
CHOOSE = "Choose one on the Runs page to see its curves, or train a new one."
EMPTY, PLOTS, LOADING = range(3)
_MARGIN = 12
_LEAST_WIDTH = 564  # pixels of the page
_LEAST_LOG = 96  # pixels of the log
_LOW = 520  # of the page, up to which plots get the log's room
_NARROW = 640  # of the page, up to which the slider goes without its name


class TrainPage(QWidget):
    """Plots of one run, with others to compare laid over it."""

    compare_wanted = Signal()  # the compare menu is about to open: fill it
    train_asked = Signal()
    export_asked = Signal(str)  # png, svg or csv

    def __init__(self, options: PlotOptions) -> None:
        super().__init__()
        self.options = options
        self.history = RunHistory()
        self.log = LogView()
        self._cards: list[PlotCard] = []
        self._threshold: float | None = None
        self._next = 0
        self.axis = Segments((("step", "Steps"), ("epoch", "Epochs"), ("seconds", "Time")), "Horizontal axis")
        self.axis.chosen.connect(self._on_axis)
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setRange(0, 100)
        self.smoothing.setValue(self.options.smoothing)
        self.smoothing.setMinimumWidth(48)
        self.smoothing.setMaximumWidth(120)
        self.smoothing.setAccessibleName("Smoothing")
        self.smoothing.setToolTip(options.words.capitalize())
        self.smoothing.valueChanged.connect(self._on_smoothing)
        self.scale = button("linear", "pill", "Linear or logarithmic values")
        self.scale.clicked.connect(self._on_scale)
        self.compare = button("+ compare a run", "pill", "Lay other runs over this one")
        self.compare_menu = QMenu(self)
        self.compare_menu.aboutToShow.connect(self.compare_wanted)
        self.compare.setMenu(self.compare_menu)
        self._export = export = button("Export", "pill", "Save the plots")
        menu = QMenu(self)
        for kind, text in (
            ("png", "Picture (PNG)…"),
            ("svg", "Drawing (SVG)…"),
            ("csv", "Values (CSV)…"),
        ):
            menu.addAction(text).triggered.connect(lambda _=False, kind=kind: self.export_asked.emit(kind))
        export.setMenu(menu)
        self.smoothing.setToolTip("Smoothing: over how many values the clear line is a mean")
        self._smoothing_name = label("Smoothing", "secondary")
        bar = row(self.axis, self._smoothing_name, self.smoothing, self.scale, spacing=8)
        self._lines = Elided("", "secondary")
        self._show_words()
        bar.addWidget(self._lines, 1)
        bar.addWidget(self.compare)
        bar.addWidget(export)
        self.legend = Legend(options)
        self._grid_box = QWidget()
        self._grid = QGridLayout(self._grid_box)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(10)
        for place in range(COLUMNS):
            self._grid.setColumnStretch(place, 1)
        self.split = QSplitter(Qt.Orientation.Vertical)
        self.split.setHandleWidth(10)
        self.empty = EmptyState(
            "train",
            FIRST_TITLE,
            FIRST_WORDS,
            "Train",
        )
        self.empty.action.clicked.connect(self.train_asked)
        self.loading = label("Reading the newest run…", "secondary")
        self.loading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._grid_box.setObjectName("scrolled")
        self._plots = stacked(self.empty, scrolled(self._grid_box, focus=False), self.loading)
        self.split.addWidget(self._plots)
        self.split.addWidget(self.log)
        self.split.setStretchFactor(0, 1)
        self.split.setChildrenCollapsible(False)
        self.log.setMinimumHeight(_LEAST_LOG)
        self._log_wanted: bool | None = None  # None: where there is room
        self.split.setSizes([640, 128])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        layout.setSpacing(10)
        layout.addLayout(bar)
        layout.addWidget(self.legend)
        layout.addWidget(self.split, 1)

    @property
    def cards(self) -> list[PlotCard]:
        """The plots; what is missing is made, for which pyqtgraph must be imported already."""
        while self.make_one():
            pass
        return self._cards

    def make_one(self) -> bool:
        """Make the next of the plots; whether one was missing."""
        if len(self._cards) == len(FIRST):
            return False
        from ewm_studio.ui.plots.card import PlotCard

        index = len(self._cards)
        card = PlotCard(self._usual[index], self.options)
        card.threshold = self._threshold
        self._cards.append(card)
        self._grid.addWidget(card, index // COLUMNS, index % COLUMNS)
        tab_on(self._export, self.legend, *self._cards)
        card.show_history(self.history)
        self._prefer(self.history.tags)
        return True

    @property
    def _usual(self) -> tuple[str, ...]:
        """What is plotted of such a job, unless something else was picked."""
        return PRETRAINING if self.history.job == "pretrain" else FIRST

    def show_loading(self) -> None:
        """A run is being read."""
        self._plots.setCurrentIndex(LOADING)

    def show_nothing(self, runs: bool) -> None:
        """No run is shown; say what to do, which differs where there are runs."""
        self.empty.set_title("No run is shown" if runs else FIRST_TITLE)
        self.empty.set_words(CHOOSE if runs else FIRST_WORDS)
        if not self.history.name:
            self._plots.setCurrentIndex(EMPTY)

    def toggle_log(self) -> None:
        """Show or hide the log."""
        self._log_wanted = self.log.isHidden()
        self._make_room()

    def minimumSizeHint(self) -> QSize:
        """What the line of choices needs without what gives way; all else needs less."""
        return QSize(_LEAST_WIDTH, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave out what there is no room for."""
        super().resizeEvent(event)
        self._make_room()

    def _make_room(self) -> None:
        self.log.setVisible(self.height() > _LOW if self._log_wanted is None else self._log_wanted)
        for gives_way in (self._smoothing_name, self._lines):
            gives_way.setVisible(self.width() > _NARROW)

    def show_history(self, history: RunHistory) -> None:
        """Plot another run."""
        self.history = history
        self._plots.setCurrentIndex(PLOTS if history.name else EMPTY)
        own = {tag for places in INSTEAD.values() for tag in places.values()}
        for index, card in enumerate(self._cards):  # what was picked by hand stays
            if card.quantity.tag in (FIRST[index], PRETRAINING[index]) or card.quantity.tag in own:
                card.show_quantity(self._usual[index])
            card.show_history(history)
        self._prefer(history.tags)

    def refresh(self, history: RunHistory) -> None:
        """Plot more of the same run; what someone looks at closely stays in view."""
        self.history = history
        for card in self._cards:
            card.refresh(history)
        self._prefer(history.tags)

    def mark(self, tags: tuple[str, ...]) -> None:
        """Tell that rows were added under these tags, to this run or to one that is laid over it."""
        self._prefer([tag for tag in tags if self.history.latest(tag) is not None])
        for card in self._cards:
            if card.quantity.tag in tags:
                card.dirty = True

    def show_legend(self) -> None:
        """Name the runs that are laid over this one, each in its color."""
        self.legend.show_runs(self.history)

    def mark_all(self) -> None:
        """Everything must be drawn anew."""
        for card in self._cards:
            card.dirty = True

    def reset_views(self) -> None:
        """Show everything on every plot again."""
        for card in self._cards:
            card.canvas.reset_view()

    def redraw_one(self) -> bool:
        """Redraw the next plot that changed; of six a tick only one holds the window up."""
        for _ in self._cards:
            card = self._cards[self._next]
            self._next = (self._next + 1) % len(self._cards)
            if card.dirty and card.isVisible():
                card.redraw()
                return True
        return False

    def set_threshold(self, reward: float | None) -> None:
        """The reward at which the environment counts as solved."""
        self._threshold = reward
        for card in self._cards:
            card.threshold = reward
            card.dirty = True

    def export(self, kind: str, path: Path) -> list[Path]:
        """Write the plots; gives the files."""
        if kind == "png":
            self._grid_box.grab().save(str(path), "PNG")
            return [path]
        if kind == "svg":
            self._draw_svg(path)
            return [path]
        files = []
        for card in self.cards:
            file = path.with_name(f"{path.stem}-{card.quantity.tag.replace('/', '-')}.csv")
            card.save_csv(file)
            files.append(file)
        return files

    def _draw_svg(self, path: Path) -> None:
        from PySide6.QtSvg import QSvgGenerator

        size = self._grid_box.size()
        generator = QSvgGenerator()
        generator.setFileName(str(path))
        generator.setSize(size)
        generator.setViewBox(self._grid_box.rect())
        generator.setTitle(self.history.name)
        self._grid_box.render(generator)

    def _prefer(self, tags: tuple[str, ...] | list[str]) -> None:
        """Show what this run is about, as soon as there is some of it."""
        for figure, places in INSTEAD.items():
            for index, tag in places.items() if figure in tags else ():
                if index < len(self._cards) and self._cards[index].quantity.tag == FIRST[index]:
                    self._cards[index].show_quantity(tag)

    def _on_axis(self, axis: str) -> None:
        self.options.axis = axis  # type: ignore[assignment]
        self.reset_views()
        self.mark_all()

    def _on_smoothing(self, value: int) -> None:
        self.options.smoothing = value
        self._show_words()
        self.smoothing.setToolTip(self.options.words.capitalize())
        self.mark_all()

    def _show_words(self) -> None:
        self._lines.shorter = self.options.few_words
        self._lines.setText(self.options.words)

    def _on_scale(self) -> None:
        self.options.logarithmic = not self.options.logarithmic
        self.scale.setText("logarithmic" if self.options.logarithmic else "linear")
        self.mark_all()
