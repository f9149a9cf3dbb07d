"""Playing through the frames of an episode: step, play, slide, speed, loop."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QWidget

from ewm_studio import formatting as format
from ewm_studio.ui.kit.slider import HANDLE, Slider
from ewm_studio.ui.kit.widgets import IconButton, Segments, button, column, label, row

TICK_MILLISECONDS = 16
SPEEDS = (("0.25", "¼×"), ("1", "1×"), ("4", "4×"))


class PlaybackControls(QWidget):
    """Tells which frame is to be seen; time is kept by the clock, so a slow redraw skips frames and stays in step."""

    turned = Signal(int)  # to a frame

    def __init__(self) -> None:
        super().__init__()
        self._fps = 30.0
        self._began, self._from = 0.0, 0  # when playing began, and at which frame
        self.back = IconButton("step-back", "One frame back (Left)", "text", 18)
        self.play = IconButton("play", "Play (Space)", "accent", 20)
        self.on = IconButton("step-on", "One frame on (Right)", "text", 18)
        self.slider = Slider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Frame")
        self.slider.setToolTip("Frame (Left, Right, Home, End)")
        self.slider.setMinimumWidth(80)
        self.slider.setPageStep(25)
        self.where = label("", "secondary")
        self.where.setMinimumWidth(132)
        self.speed = Segments(SPEEDS, "Speed")
        self.speed.set_value("1")
        self.loop = button("loop", "pill", "Begin again at the end")
        self.loop.setCheckable(True)
        buttons = row(self.back, self.play, self.on, self.where, None, self.speed, self.loop, spacing=6)
        self._axis = row(self.slider)
        layout = column(spacing=2)
        layout.addLayout(buttons)
        layout.addLayout(self._axis)
        self.setLayout(layout)
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MILLISECONDS)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self.back.clicked.connect(lambda: self.step(-1))
        self.on.clicked.connect(lambda: self.step(1))
        self.play.clicked.connect(self.toggle)
        self.slider.valueChanged.connect(self._on_frame)
        self.slider.sliderPressed.connect(self.pause)
        self.speed.chosen.connect(lambda _: self._restart())
        self.load(0, self._fps)

    @property
    def frame(self) -> int:
        """The frame that is seen."""
        return self.slider.value()

    @property
    def frames(self) -> int:
        """F, the number of the last."""
        return self.slider.maximum()

    @property
    def playing(self) -> bool:
        """Whether it goes on by itself."""
        return self._timer.isActive()

    def align(self, left: int, right: int) -> None:
        """Have the slider's handle go over these pixels, as the lanes under it do: so far from left and right."""
        beside = HANDLE // 2
        self._axis.setContentsMargins(max(0, left - beside), 0, max(0, right - beside), 0)

    def load(self, frames: int, fps: float) -> None:
        """Stand at the beginning of an episode of so many frames."""
        self.pause()
        self._fps = fps
        self.slider.setRange(0, frames)
        self.slider.setValue(0)
        self._on_frame(0)
        for widget in (self.back, self.play, self.on, self.slider):
            widget.setEnabled(frames > 0)

    def go(self, frame: int) -> None:
        """Stand at a frame; playing goes on from there."""
        self.slider.setValue(frame)
        self._restart()

    def step(self, frames: int) -> None:
        """Stop, and move on by some frames."""
        self.pause()
        self.slider.setValue(self.frame + frames)

    def toggle(self) -> None:
        """Play, from the beginning where the end was reached, or stop."""
        if self.playing:
            self.pause()
        elif self.frames:
            if self.frame == self.frames:
                self.slider.setValue(0)
            self._restart()
            self._timer.start()
            self.play.show_icon("pause", "Stop (Space)")

    def pause(self) -> None:
        """Stop."""
        self._timer.stop()
        self.play.show_icon("play", "Play (Space)")

    def _restart(self) -> None:
        self._began, self._from = time.monotonic(), self.frame

    def _tick(self) -> None:
        passed = (time.monotonic() - self._began) * self._fps * float(self.speed.value())
        frame = self._from + int(passed)
        if frame < self.frames:
            self.slider.setValue(frame)
            return
        self.slider.setValue(self.frames)
        if self.loop.isChecked():
            self.slider.setValue(0)
            self._restart()
        else:
            self.pause()

    def _on_frame(self, frame: int) -> None:
        words = f"frame {format.count(frame)} of {format.count(self.frames)}" if self.frames else ""
        self.where.setText(words)
        self.turned.emit(frame)
