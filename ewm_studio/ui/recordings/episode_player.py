"""A small player of one recorded episode, in which a part of it can be cut out."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QDialog, QSlider, QVBoxLayout, QWidget

from ewm_studio import formatting as format
from ewm_studio.data.pictures import EpisodeFrames
from ewm_studio.data.recordings import EpisodeInfo
from ewm_studio.ui.kit.images import Picture
from ewm_studio.ui.kit.theme import color, theme
from ewm_studio.ui.kit.widgets import IconButton, Segments, button, label, row
from ewm_studio.ui.recordings.episode_list import driver_of

SPEEDS = (("0.25", "¼×"), ("1", "1×"), ("4", "4×"))
FRAMES_PER_SECOND = 50
REDRAWN = 20  # milliseconds between two pictures


class EpisodePlayer(QDialog):
    """Plays a film; never blocks. What is kept is marked on a strip over the slider."""

    cut_asked = Signal(int, int)  # keep the steps from here to there

    def __init__(self, info: EpisodeInfo, film: EpisodeFrames, parent: QWidget, cutting: bool = False) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(info.path.name)
        self._info, self._film = info, film
        self._earned = np.concatenate([[0.0], np.cumsum(film.reward)])
        self._at = 0.0  # the step that is shown, between two of them while playing
        self._kept = [0, info.length]
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAWN)
        self._timer.timeout.connect(self._go_on)
        self._make_widgets()
        self._lay_out(parent)
        self.show_cutting(cutting)
        self._show_step()
        if film.moving and not cutting:
            self.toggle()

    @property
    def step(self) -> int:
        """The step that is shown, from 0 to the episode's length."""
        return int(self._at)

    @property
    def playing(self) -> bool:
        """Whether it plays."""
        return self._timer.isActive()

    @property
    def kept(self) -> tuple[int, int]:
        """The steps that a cut would keep."""
        return self._kept[0], self._kept[1]

    def toggle(self) -> None:
        """Play or pause; from the begin where it is at its end."""
        if self.playing:
            self._timer.stop()
        else:
            if self.step >= self._info.length:
                self.seek(0)
            self._timer.start()
        self._dress()

    def seek(self, step: int) -> None:
        """Show a step."""
        self._at = float(np.clip(step, 0, self._info.length))
        self._show_step()

    def show_cutting(self, shown: bool) -> None:
        """Offer to keep a part."""
        self._cutting.setVisible(shown)
        self.strip.setVisible(shown)
        self.cut_button.setHidden(shown)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space plays, left and right step, Home and End jump."""
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() == Qt.Key.Key_Space:
            self.toggle()
        elif event.key() in steps:
            self._step_by(steps[Qt.Key(event.key())])
        elif event.key() in (Qt.Key.Key_Home, Qt.Key.Key_End):
            self.seek(0 if event.key() == Qt.Key.Key_Home else self._info.length)
        else:
            super().keyPressEvent(event)

    def _make_widgets(self) -> None:
        self.picture = Picture("Frame of the episode")
        self.picture.setMinimumSize(384, 384)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, self._info.length)
        self.slider.setAccessibleName("Step")
        self.slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # arrows belong to the player
        self.slider.valueChanged.connect(self.seek)
        self.play = IconButton("play", "Play (Space)", "text", 20)
        self.play.clicked.connect(self.toggle)
        self.speed = Segments(SPEEDS, "Speed")
        self.speed.set_value("1")
        self._words = label("", "secondary")
        self.cut_button = button("Cut…", "", "Keep a part of the episode", lambda: self.show_cutting(True))
        self.begin_button = button("Begin here", "", "Keep the episode from this step on", lambda: self._mark(0))
        self.end_button = button("End here", "", "Keep the episode up to this step", lambda: self._mark(1))
        self.keep_button = button("Keep this part", "primary", "The whole episode goes to the bin", self._ask_cut)
        self.strip = KeptStrip(self._info.length)
        self._cutting_words = label("", "secondary")
        theme().changed.connect(self._dress)

    def _lay_out(self, parent: QWidget) -> None:
        info = self._info
        self._cutting = QWidget()
        self._cutting.setLayout(
            row(self.begin_button, self.end_button, self._cutting_words, None, self.keep_button, spacing=8)
        )
        close = button("Close", "", clicked=self.reject)
        title = f"{format.significant(info.total_reward)} reward, {format.count(info.length)} frames, {driver_of(info)}"
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 16)
        layout.setSpacing(12)
        layout.addWidget(label(title, "title"))
        layout.addWidget(self.picture, 1)
        layout.addWidget(self.strip)
        layout.addWidget(self.slider)
        layout.addLayout(row(self.play, self.speed, self._words, None, self.cut_button, close, spacing=12))
        layout.addWidget(self._cutting)
        self.setMinimumWidth(620)
        self.setMaximumHeight(int(parent.screen().availableGeometry().height() * 0.9))

    def _step_by(self, steps: int) -> None:
        if self.playing:
            self.toggle()
        self.seek(self.step + steps)

    def _go_on(self) -> None:
        self._at = min(self._at + REDRAWN / 1000 * FRAMES_PER_SECOND * float(self.speed.value()), self._info.length)
        self._show_step()
        if self._at >= self._info.length:
            self.toggle()

    def _show_step(self) -> None:
        step, film = self.step, self._film
        self.picture.show_array(film.frames[min(step // film.every, len(film.frames) - 1)])
        self.slider.blockSignals(True)
        self.slider.setValue(step)
        self.slider.blockSignals(False)
        words = [f"step {format.count(step)} of {format.count(self._info.length)}"]
        words.append(f"reward {format.significant(float(self._earned[step]))}")
        if film.manual.any() and not film.manual.all():
            words.append("you drove" if film.manual[min(step, len(film.manual) - 1)] else "the model drove")
        self._words.setText(" · ".join(words))
        self._say_kept()

    def _mark(self, end: int) -> None:
        self._kept[end] = self.step
        if self._kept[0] >= self._kept[1]:  # the other end gives way
            self._kept[1 - end] = self._info.length if end == 0 else 0
        self._say_kept()

    def _say_kept(self) -> None:
        begin, end = self._kept
        whole = (begin, end) == (0, self._info.length)
        self._cutting_words.setText(f"keeps steps {format.count(begin)} to {format.count(end)}")
        self.keep_button.setEnabled(not whole and begin < end)
        self.strip.show_kept(begin, end)

    def _ask_cut(self) -> None:
        self.cut_asked.emit(*self._kept)
        self.accept()

    def _dress(self) -> None:
        self.play.show_icon(*(("pause", "Pause (Space)") if self.playing else ("play", "Play (Space)")))


class KeptStrip(QWidget):
    """The part of an episode that is kept, over the slider."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.setFixedHeight(6)
        self.setAccessibleName("What is kept")
        self._length = length
        self._kept = (0, length)

    def show_kept(self, begin: int, end: int) -> None:
        """Mark steps `begin` to `end`."""
        self._kept = (begin, end)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw all of it faint and what is kept clear."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color("line"))
        painter.drawRoundedRect(self.rect(), 3, 3)
        begin, end = (round(self.width() * step / self._length) for step in self._kept)
        painter.setBrush(color("accent"))
        painter.drawRoundedRect(begin, 0, max(end - begin, 3), self.height(), 3, 3)
        painter.end()
