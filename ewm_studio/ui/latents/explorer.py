"""An episode in latent space: its path in a plane, z over time, z turned by hand, and where memory was surprised."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ewm_studio import formatting as format
from ewm_studio.analysis.latent_space import Exploration
from ewm_studio.ui.kit.empty_state import EmptyState
from ewm_studio.ui.kit.images import Picture
from ewm_studio.ui.kit.ramps import ramp
from ewm_studio.ui.kit.theme import theme
from ewm_studio.ui.kit.widgets import Elided, Segments, button, column, label, row, stacked
from ewm_studio.ui.latents.heat_map import LatentTime
from ewm_studio.ui.latents.plane import TOKENS, LatentPlane, Shade
from ewm_studio.ui.latents.sliders import LatentPanel

PAIRS = {"12": (0, 1), "13": (0, 2), "23": (1, 2)}
SHADES: tuple[Shade, ...] = ("time", "reward", "surprise")
EMPTY, CONTENT, LOADING = range(3)
_GAP = 10
_SIDE = 176  # pixels of the column of the most surprising moments
_PICTURES = (132, 280)  # least and most width of the column of pictures
_PANEL = 640  # width from which there is room for the sliders


class Ramp(QWidget):
    """A color ramp as a small bar."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(QSize(96, 8))
        self.token = TOKENS["time"]
        theme().changed.connect(self.update)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the colors from left to right."""
        shades = ramp(self.token)
        image = QImage(shades.data, len(shades), 1, 3 * len(shades), QImage.Format.Format_RGB888)
        painter = QPainter(self)
        painter.drawImage(QRectF(self.rect()), image)
        painter.end()


class LatentExplorer(QWidget):
    """Shows an exploration at a frame, and says which frame is wanted."""

    jumped = Signal(int)  # to a frame of the watched episode
    other_picked = Signal(int, int)  # the seed of another episode, a frame of it
    overlay_asked = Signal(bool)  # whether the other episodes are wanted too
    evaluate_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.exploration: Exploration | None = None
        self.decision = 0
        self.plane, self.time, self.panel = LatentPlane(), LatentTime(), LatentPanel()
        self.panel.setObjectName("")  # a plate among others here, not the side of a page
        self.panel.setProperty("role", "plate")
        self.panel.hide()
        self.empty = EmptyState(
            "vision",
            "No episode in latent space yet",
            "Evaluate a trained model and pick one of its episodes. Here its path through what vision makes of the "
            "frames is drawn: where it lingers, where it turns, and where memory did not see it coming.",
            "Evaluate",
        )
        self.empty.action.clicked.connect(self.evaluate_asked)
        loading = label("Laying the episode out…", "secondary")
        loading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = stacked(self.empty, self._make_content(), loading)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(_GAP)
        outer.addWidget(self._stack, 1)
        outer.addWidget(self.panel)
        self._join()
        self._say_legend()

    # What it is made of

    def _make_content(self) -> QWidget:
        content = QWidget()
        top = row(spacing=_GAP)
        top.addWidget(self._make_plane(), 1)
        top.addWidget(self._make_pictures())
        body = QVBoxLayout(content)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(_GAP)
        body.addLayout(top, 5)
        body.addWidget(self._make_time(), 4)
        return content

    def _make_plane(self) -> QFrame:
        self.pair = Segments([(key, f"{key[0]}–{key[1]}") for key in PAIRS], "Directions")
        self.pair.setToolTip("Which two of the three main directions of z (PCA) are drawn")
        self.shade = Segments([(shade, shade) for shade in SHADES], "Color by")
        self.overlay = button("All episodes", "pill", "Lay the other episodes of the evaluation beside this one")
        self.overlay.setCheckable(True)
        self._low, self._high = label("", "secondary"), label("", "secondary")
        self._ramp = Ramp()
        head = row(label("Latent space", "heading"), None, self.pair, self.overlay, spacing=8)
        legend = row(self.shade, self._low, self._ramp, self._high, None, spacing=8)
        plate = _plate()
        layout = column(spacing=8, margins=(12, 10, 12, 10))
        layout.addLayout(head)
        layout.addWidget(self.plane, 1)
        layout.addLayout(legend)
        plate.setLayout(layout)
        return plate

    def _make_pictures(self) -> QWidget:
        self.frame_picture, self.reconstruction = Picture("Frame"), Picture("Reconstruction")
        self._column = QWidget()
        self._column.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        layout = column(spacing=_GAP)
        self._where = Elided("", "secondary")
        self._reconstruction_plate = _plate()
        for plate, picture, caption in (
            (_plate(), self.frame_picture, self._where),
            (self._reconstruction_plate, self.reconstruction, label("reconstruction", "secondary", "vision")),
        ):
            inside = column(spacing=6, margins=(10, 10, 10, 8))
            inside.addWidget(picture, 1)
            inside.addWidget(caption)
            plate.setLayout(inside)
            layout.addWidget(plate, 1)
        self._column.setLayout(layout)
        return self._column

    def _make_time(self) -> QFrame:
        self.moments = QListWidget()
        self.moments.setAccessibleName("Most surprising moments")
        self.moments.setToolTip("Where memory's prediction of the next z was farthest off. Click to jump there")
        self._moments_side = QWidget()
        self._moments_side.setFixedWidth(_SIDE)
        heading = label("Most surprising", "heading")
        self._moments_side.setLayout(column(heading, self.moments, spacing=8))
        words = Elided("by variance · gray below the mean, teal above", "secondary")
        head = row(label("z over time", "heading"), spacing=10)
        head.addWidget(words, 1)
        left = column(spacing=8)
        left.addLayout(head)
        left.addWidget(self.time, 1)
        self._surprise = Elided("", "secondary")
        left.addWidget(self._surprise)
        plate = _plate()
        layout = QHBoxLayout(plate)
        layout.setContentsMargins(12, 10, 12, 10)
        layout.setSpacing(16)
        layout.addLayout(left, 1)
        layout.addWidget(self._moments_side)
        return plate

    def _join(self) -> None:
        self.pair.chosen.connect(lambda key: self.plane.show_axes(PAIRS[key]))
        self.shade.chosen.connect(self._on_shade)
        self.overlay.toggled.connect(self.overlay_asked)
        self.plane.picked.connect(self._on_picked)
        self.plane.turned.connect(self._on_turned)
        self.time.picked.connect(self._jump)
        for drawn in (self.plane, self.time):
            drawn.stepped.connect(self._step)
        for activated in (self.moments.itemClicked, self.moments.itemActivated):
            activated.connect(lambda item: self._jump(item.data(Qt.ItemDataRole.UserRole)))
        self.panel.turned.connect(lambda z: self.plane.show_turned(z if self.panel.touched else None))

    # What is shown

    @property
    def empty_shown(self) -> bool:
        """Whether there is nothing to explore."""
        return self._stack.currentIndex() == EMPTY

    def show_loading(self) -> None:
        """An episode is being laid out; nothing of an earlier one is shown."""
        self.show_exploration(None)
        self._stack.setCurrentIndex(LOADING)

    def show_exploration(self, exploration: Exploration | None, frame: int = 0) -> None:
        """Show an episode at a frame; None clears."""
        self.exploration = exploration
        self._stack.setCurrentIndex(EMPTY if exploration is None else CONTENT)
        self.plane.show_exploration(exploration)
        self.time.show_exploration(exploration)
        self.panel.show_latents(exploration.editable if exploration else None, 0)
        self._fill_moments()
        self._say_legend()
        self._make_room()
        self.decision = -1
        if exploration is not None:
            self._column.setVisible(exploration.trace.frames is not None)
            self._reconstruction_plate.setVisible(exploration.trace.reconstruction is not None)
            self.show_frame(frame)

    def show_frame(self, frame: int) -> None:
        """Put the cursor on a frame of the watched episode."""
        shown = self.exploration
        if shown is None:
            return
        trace = shown.trace
        if trace.frames is not None:
            self.frame_picture.show_array(trace.frames[frame])
        decision = shown.paths[0].decision_at(frame)
        if decision == self.decision:
            return
        self.decision = decision
        self._where.setText(f"decision {format.count(decision)} of {format.count(len(trace.z) - 1)}")
        if trace.reconstruction is not None:
            self.reconstruction.show_array(trace.reconstruction[decision])
        self.plane.show_decision(decision)
        self.time.show_decision(decision)
        self.panel.choose(decision)
        self._say_surprise()

    def _fill_moments(self) -> None:
        self.moments.clear()
        shown = self.exploration
        self._moments_side.setVisible(shown is not None and bool(shown.peaks))
        if shown is None:
            return
        for peak in shown.peaks:
            value = format.significant(float(shown.trace.surprise[peak]))
            item = QListWidgetItem(f"decision {format.count(peak)} · {value}")
            item.setData(Qt.ItemDataRole.UserRole, peak)
            self.moments.addItem(item)

    def _say_legend(self) -> None:
        """What the colors of the points mean."""
        shade = self.plane.shade
        low, high = self.plane.range_of(shade)
        self._ramp.token = TOKENS[shade]
        self._ramp.update()
        if shade == "time":
            self._low.setText("start")
            self._high.setText("end")
        elif shade == "surprise" and low == high:
            self._low.setText("memory predicts nothing")
            self._high.setText("")
        else:
            self._low.setText(format.significant(low).replace("-", "−"))
            self._high.setText(f"≥ {format.significant(high)}")
        self._ramp.setVisible(bool(self._high.text()))

    def _say_surprise(self) -> None:
        assert self.exploration is not None
        value = float(self.exploration.trace.surprise[self.decision])
        known = value == value
        words = f"surprise {format.significant(value)}: squared error of the predicted z over z's variance"
        self._surprise.setText(words if known else "")
        self._surprise.setVisible(known)

    # What is asked for

    def _on_shade(self, shade: str) -> None:
        self.plane.show_shade(next(known for known in SHADES if known == shade))
        self._say_legend()

    def _on_picked(self, path: int, decision: int) -> None:
        assert self.exploration is not None
        if path == 0:
            self._jump(decision)
        else:
            other = self.exploration.paths[path]
            self.other_picked.emit(other.seed, int(other.frame[decision]))

    def _on_turned(self, place: object) -> None:
        """Turn z to a place of the plane; the directions that are not drawn stay as they are on the sliders."""
        if self.exploration is not None and self.exploration.editable is not None:
            self.panel.turn(self.exploration.space.moved(self.panel.z, place, self.plane.pair))  # type: ignore[arg-type]

    def _jump(self, decision: int) -> None:
        if self.exploration is not None:
            self.jumped.emit(int(self.exploration.paths[0].frame[decision]))

    def _step(self, by: int) -> None:
        if self.exploration is not None:
            self._jump(min(max(self.decision + by, 0), len(self.exploration.trace.z) - 1))

    # Room

    def _make_room(self) -> None:
        """Sliders where vision decodes and there is room; pictures a quarter as wide as the rest."""
        editable = self.exploration is not None and self.exploration.editable is not None
        self.panel.setVisible(editable and self.width() >= _PANEL)
        width = self.width() - (self.panel.width() + _GAP if not self.panel.isHidden() else 0)
        low, high = _PICTURES
        self._column.setFixedWidth(min(max(width * 3 // 10, low), high))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Make room anew."""
        super().resizeEvent(event)
        self._make_room()


def _plate() -> QFrame:
    plate = QFrame()
    plate.setProperty("role", "plate")
    return plate
