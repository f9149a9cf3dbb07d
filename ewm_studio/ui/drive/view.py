"""The large picture of what is driven, with figures over it; the place where keys are held."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen

from ewm_studio import formatting as format
from ewm_studio.driving.snapshot import Snapshot
from ewm_studio.ui.kit.theme import color
from ewm_studio.ui.kit.wheel import Notice, Wheel, draw_chips


class DriveView(Wheel):
    """The wheel of a drive; its keys ask for pause, restart, model or leave."""

    def __init__(self) -> None:
        super().__init__("What is driven")
        self._snapshot: Snapshot | None = None

    def show_snapshot(self, snapshot: Snapshot, notice: Notice | None) -> None:
        """Show how things stand, and a notice over it."""
        self._snapshot, self.notice = snapshot, notice
        self.show_picture(snapshot.frame)
        self.update()

    @property
    def shown(self) -> Snapshot | None:
        """What is shown."""
        return self._snapshot

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture, the figures over it, and a notice where there is one."""
        painter = QPainter(self)
        area = self.area(QRectF(self.rect()))
        if self.image is None:
            painter.fillRect(area, color("panel"))
        else:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, area.width() < 3 * self.image.width())
            painter.drawImage(area, self.image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.notice is not None:
            self.draw_notice(painter, area, self.notice)
        if self._snapshot is not None and self._snapshot.state not in ("starting", "over"):
            draw_chips(painter, area, figures(self._snapshot))
        if self.hasFocus() and self.driving:
            painter.setPen(QPen(color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(area.adjusted(1, 1, -1, -1))
        painter.end()


def figures(snapshot: Snapshot) -> list[tuple[str, str]]:
    """What stands over the picture, as (text, color): recording, reward, speed, time, pace, driver."""
    shown = [("REC", "red")] if snapshot.recording and snapshot.state == "driving" else []
    shown.append((f"reward {snapshot.reward:.1f}", ""))
    if snapshot.speed is not None:
        shown.append((f"{snapshot.speed:.0f} km/h", ""))
    shown.append((clock(snapshot.seconds), ""))
    if snapshot.state == "driving":
        shown.append((f"{format.rate(snapshot.steps_per_second)} steps/s", ""))
    if snapshot.copilot:
        shown.append(("model drives" if snapshot.driver == "model" else "you drive", ""))
    return shown


def clock(seconds: float) -> str:
    """A time as 0:06.4."""
    tenths = int(seconds * 10)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"
