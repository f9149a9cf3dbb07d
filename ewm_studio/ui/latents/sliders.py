"""A slider for each latent number, those that matter most first, and the picture that is decoded from them."""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
from PySide6.QtCore import QEvent, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QSlider, QStyle, QVBoxLayout, QWidget

from ewm_studio.ui.kit.focus import tab_on
from ewm_studio.ui.kit.images import Picture
from ewm_studio.ui.kit.theme import color, theme
from ewm_studio.ui.kit.widgets import button, column, label, row, scrolled

TOP = 12  # sliders before "show all"
MOST = 256  # sliders after it; beyond that nobody looks
STEPS = 1000  # of a slider, on each side of zero
WIDTH = 264
_KNOB = 6.0
_KEYS = (Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Home, Qt.Key.Key_End)
_SLOW = 0.015  # seconds; a decoder that takes longer works off the GUI thread


class Turnable(Protocol):
    """Latents that can be turned by hand."""

    @property
    def latents(self) -> np.ndarray:
        """Of N pictures (N, Z)."""

    @property
    def weight(self) -> np.ndarray:
        """How much each number matters (Z,)."""

    @property
    def order(self) -> np.ndarray:
        """Indices of the numbers, those that matter most first."""

    @property
    def sorted_by(self) -> str:
        """What that is, in a word."""

    @property
    def tip(self) -> str:
        """A sentence on one number, with a place for its weight."""

    @property
    def reach(self) -> float:
        """How far from zero sliders go."""


class Decodable(Turnable, Protocol):
    """And be looked at; see `EditableLatents`."""

    @property
    def decode_seconds(self) -> float:
        """How long one picture takes."""

    def decode(self, z: np.ndarray) -> np.ndarray:
        """The picture of one latent (Z,)."""


class LatentSlider(QSlider):
    """A slider around zero: the bar grows from the middle, and a click takes the knob there."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setRange(-STEPS, STEPS)
        self.setSingleStep(STEPS // 50)
        self.setPageStep(STEPS // 10)
        self.setMinimumWidth(72)
        self.setFixedHeight(22)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def place_of(self, value: int) -> float:
        """Where the knob stands at a value."""
        return _KNOB + (self.width() - 2 * _KNOB) * (value + STEPS) / (2 * STEPS)

    def _value_at(self, x: float) -> int:
        span = int(self.width() - 2 * _KNOB)
        return QStyle.sliderValueFromPosition(-STEPS, STEPS, int(x - _KNOB), span)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the groove, the way from zero, and the knob."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle, zero, at = self.height() / 2, self.place_of(0), self.place_of(self.value())
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color("line"))
        painter.drawRoundedRect(QRectF(0, middle - 2, self.width(), 4), 2, 2)
        painter.drawRect(QRectF(zero - 0.5, middle - 5, 1, 10))
        painter.setBrush(color("vision"))
        painter.drawRoundedRect(QRectF(min(zero, at), middle - 2, abs(at - zero), 4), 2, 2)
        painter.setPen(QPen(color("text" if self.hasFocus() else "panel"), 2))
        painter.drawEllipse(QRectF(at - _KNOB, middle - _KNOB, 2 * _KNOB, 2 * _KNOB))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the knob to the pointer."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.setSliderDown(True)
            self.setValue(self._value_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer."""
        if self.isSliderDown():
            self.setValue(self._value_at(event.position().x()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self.setSliderDown(False)

    def event(self, event: QEvent) -> bool:
        """Take the keys that turn it before a page's shortcuts do."""
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent) and event.key() in _KEYS:
            event.accept()
            return True
        return super().event(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the panel."""
        event.ignore()


class _Line(QWidget):
    """One latent number: its name, a slider, its value."""

    def __init__(self, moved: Signal) -> None:
        super().__init__()
        self.index = 0
        self._moved = moved
        self.name = label("", "secondary")
        self.name.setFixedWidth(38)
        self.slider = LatentSlider()
        self.value: QLabel = label("", "secondary")
        self.value.setFixedWidth(40)
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.slider.valueChanged.connect(self._on_moved)
        self.setLayout(row(self.name, self.slider, self.value, spacing=6))

    def show_number(self, index: int, value: float, reach: float, tip: str) -> None:
        """Stand for a latent number."""
        self.index = index
        self.name.setText(f"z {index}")
        self.slider.setAccessibleName(f"Latent {index}")
        self.setToolTip(tip)
        self.slider.blockSignals(True)
        self.slider.setValue(round(value / reach * STEPS))
        self.slider.blockSignals(False)
        self.slider.update()
        self.show_value(value)

    def show_value(self, value: float) -> None:
        """Say the number."""
        self.value.setText(f"{value:.2f}".replace("-", "−"))

    def _on_moved(self, value: int) -> None:
        self._moved.emit(self.index, value)  # type: ignore[attr-defined]


class LatentPanel(QFrame):
    """Turn a latent by hand and see what it stands for."""

    slow_decode = Signal(object)  # z (Z,) to decode elsewhere; `show_decoded` brings the picture
    turned = Signal(object)  # to z (Z,), by hand or back to a frame
    _moved = Signal(int, int)

    def __init__(self, picture: bool = True) -> None:
        """`picture`: show what is decoded; else `turned` alone tells of it."""
        super().__init__()
        self.setObjectName("sidePanel")
        if picture:
            self.setFixedWidth(WIDTH)
        self._pictured = picture
        self._editable: Turnable | None = None
        self._frame = 0
        self._z = np.zeros(0, np.float32)
        self._touched = False  # by hand; else the sliders follow the frame
        self._random = np.random.default_rng()
        self.picture = Picture("Decoded from the sliders")
        self._caption = label("decoded from the sliders", "secondary", "vision")
        self._lines: list[_Line] = []
        self._rows = column(spacing=2)
        self._all = button("Show all", "link", clicked=self._toggle_all)
        self._shows_all = False
        self.from_frame = button("From this frame", tip="Back to the latent of the chosen frame", clicked=self.reset)
        self.random = button("Random z", tip="A latent drawn from the standard normal", clicked=self._draw_random)
        self._moved.connect(self._on_moved)
        self._later = QTimer(self)  # many movements in one turn of the event loop are one picture
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self._decode)
        self._lay_out()
        theme().changed.connect(self.update)

    def _lay_out(self) -> None:
        inside = QWidget()
        inside.setObjectName("scrolled")
        body = column(spacing=8, margins=(0, 0, 0, 4))
        body.addLayout(self._rows)
        body.addWidget(self._all, 0, Qt.AlignmentFlag.AlignLeft)
        body.addStretch(1)
        inside.setLayout(body)
        self._scroll = scroll = scrolled(inside)
        for made in (self.from_frame, self.random):
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.setSpacing(8)
        self._sorted_by = label("", "secondary")
        layout.addLayout(row(label("Latents", "heading"), self._sorted_by, None, spacing=10))
        layout.addWidget(self.picture)
        layout.addWidget(self._caption)
        self.picture.setVisible(self._pictured)
        self._caption.setVisible(self._pictured)
        layout.addLayout(row(self.from_frame, self.random))
        layout.addWidget(scroll, 1)

    def show_latents(self, editable: Turnable | None, frame: int) -> None:
        """Show a model's latents, from those of a frame; what was set by hand stays while the size does."""
        before, self._editable = self._editable, editable
        if editable is None:
            self._touched = False
            self.picture.show_array(None)
            return
        self._sorted_by.setText(f"by {editable.sorted_by}")
        same = before is not None and len(self._z) == editable.latents.shape[1]
        self._frame = min(frame, len(editable.latents) - 1)
        if not (same and self._touched):
            self._z, self._touched = editable.latents[self._frame].copy(), False
        if not any(line.slider.isSliderDown() for line in self._lines):  # never move away under the pointer
            self._fill()
        self._later.start()

    def choose(self, frame: int) -> None:
        """Take up the latent of another frame."""
        if self._editable is not None:
            self._frame = min(frame, len(self._editable.latents) - 1)
            self.reset()

    def reset(self) -> None:
        """Back to the latent of the chosen frame."""
        if self._editable is not None:
            self._set(self._editable.latents[self._frame].copy(), touched=False)

    @property
    def editable(self) -> Turnable | None:
        """Whose latents these are."""
        return self._editable

    @property
    def decodable(self) -> Decodable | None:
        """The same where a picture of them is shown."""
        return cast(Decodable | None, self._editable) if self._pictured else None

    @property
    def z(self) -> np.ndarray:
        """The latent (Z,) as the sliders have it."""
        return self._z

    @property
    def sliders(self) -> list[LatentSlider]:
        """Those that are shown, the most informative first."""
        return [line.slider for line in self._lines if not line.isHidden()]

    def turn(self, z: np.ndarray) -> None:
        """Take up a latent (Z,) as if it were set by hand."""
        if self._editable is not None:
            self._set(z.astype(np.float32), touched=True)

    @property
    def touched(self) -> bool:
        """Whether the latent was set by hand."""
        return self._touched

    def _draw_random(self) -> None:
        if self._editable is not None:
            self.turn(self._random.standard_normal(len(self._z)))

    def _set(self, z: np.ndarray, touched: bool) -> None:
        self._z, self._touched = z, touched
        self._fill()
        self._later.start()

    def _fill(self) -> None:
        """Bring the sliders in their order and to the values of z."""
        editable = self._editable
        assert editable is not None
        order = editable.order[: MOST if self._shows_all else TOP]
        missing = [_Line(self._moved) for _ in range(len(self._lines), len(order))]  # type: ignore[arg-type]
        for line in missing:
            self._lines.append(line)
            self._rows.addWidget(line)
        if missing:
            tab_on(self.random, self._scroll)
        for place, line in enumerate(self._lines):
            line.setVisible(place < len(order))
            if place < len(order):
                index = int(order[place])
                line.show_number(
                    index, float(self._z[index]), editable.reach, editable.tip.format(editable.weight[index])
                )
        every = min(len(self._z), MOST)
        self._all.setVisible(every > TOP)
        words = "the first 256" if every < len(self._z) else f"all {every}"
        self._all.setText(f"Show the top {TOP}" if self._shows_all else f"Show {words}")
        self._all.setAccessibleName(self._all.text())

    def _toggle_all(self) -> None:
        self._shows_all = not self._shows_all
        if self._editable is not None:
            self._fill()

    def _on_moved(self, index: int, value: int) -> None:
        if self._editable is None:
            return
        self._touched = True
        self._z[index] = value / STEPS * self._editable.reach
        for line in self._lines:
            if line.index == index:
                line.show_value(float(self._z[index]))
        self._later.start()

    def _decode(self) -> None:
        if self._editable is None:
            return
        self.turned.emit(self._z.copy())
        decodable = self.decodable
        if decodable is None:
            return
        if decodable.decode_seconds > _SLOW:
            self.slow_decode.emit(self._z.copy())
        else:
            self.show_decoded(decodable.decode(self._z))

    def show_decoded(self, picture: np.ndarray) -> None:
        """Show what was decoded."""
        self.picture.show_array(picture)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The picture is square, and leaves room for some sliders."""
        super().resizeEvent(event)
        self.picture.setFixedHeight(min(self.width() - 28, max(96, self.height() // 3)))
