"""Small building blocks: labels and buttons by role, a switch, a combo box with its own arrow, segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QCursor, QFontMetrics, QPainter, QPaintEvent, QPalette, QPen, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStackedWidget,
    QStyle,
    QStyleOptionButton,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ewm_studio.ui.kit import icons
from ewm_studio.ui.kit.texts import PlainLabel, plain_tip
from ewm_studio.ui.kit.theme import color, theme, ui_font

LEAST_ELIDED = 24
_BUTTON_PADDING = 30  # pixels beside the text of a button
_SEGMENT_PADDING = 28  # pixels beside the text of a choice


def label(text: str = "", role: str = "", kind: str = "", wrap: bool = False) -> QLabel:
    """A line of text in a role of the style sheet: heading, secondary, value, tag, chip."""
    made = PlainLabel(text)
    if role:
        made.setProperty("role", role)
    if kind:
        made.setProperty("kind", kind)
    made.setWordWrap(wrap)
    return made


def button(text: str, role: str = "", tip: str = "", clicked: Callable[[], object] | None = None) -> QPushButton:
    """A push button in a role of the style sheet: primary, pill, link."""
    made = QPushButton(text)
    made.setAccessibleName(text.replace("&", ""))
    made.setAutoDefault(False)
    if role:
        made.setProperty("role", role)
    if tip:
        made.setToolTip(tip)
    if clicked is not None:
        made.clicked.connect(lambda: clicked())
    return made


def keep_width(made: QPushButton, texts: Sequence[str]) -> None:
    """Make a button wide enough for whatever it may say, so that those beside it stay where they are."""
    metrics = QFontMetrics(ui_font(13, 600))
    made.setMinimumWidth(max(map(metrics.horizontalAdvance, texts)) + _BUTTON_PADDING)


class IconButton(QToolButton):
    """A button that is only an icon; `name` says aloud what it does."""

    def __init__(self, icon: str, name: str, role: str = "secondary", size: int = 16) -> None:
        super().__init__()
        self._icon, self._role, self._size = icon, role, size
        self.setProperty("role", "icon")
        self.setAccessibleName(name)
        self.setToolTip(name)
        self.setIconSize(QSize(size, size))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._dress()
        theme().changed.connect(self._dress)

    def show_icon(self, icon: str, name: str) -> None:
        """Do something else from now on."""
        self._icon = icon
        self.setAccessibleName(name)
        self.setToolTip(name)
        self._dress()

    def _dress(self) -> None:
        self.setIcon(icons.icon(self._icon, self._role, size=self._size))


def restyle(widget: QWidget, **properties: object) -> None:
    """Set style-sheet properties and have them take effect."""
    for name, value in properties.items():
        widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def hairline() -> QFrame:
    """One thin horizontal line."""
    line = QFrame()
    line.setProperty("role", "hairline")
    line.setFixedHeight(1)
    return line


def column(*items: QWidget | None, spacing: int = 8, margins: tuple[int, int, int, int] = (0, 0, 0, 0)) -> QVBoxLayout:
    """A vertical layout; None stretches."""
    layout = QVBoxLayout()
    _fill(layout, items, spacing, margins)
    return layout


def row(*items: QWidget | None, spacing: int = 8, margins: tuple[int, int, int, int] = (0, 0, 0, 0)) -> QHBoxLayout:
    """A horizontal layout; None stretches."""
    layout = QHBoxLayout()
    _fill(layout, items, spacing, margins)
    return layout


def scrolled(inside: QWidget | None = None, focus: bool = True) -> QScrollArea:
    """A widget as wide as its room, of which so much is seen as that is high; without `focus` Tab passes it by."""
    area = QScrollArea()
    if inside is not None:
        area.setWidget(inside)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    if not focus:
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return area


def stacked(*pages: QWidget) -> QStackedWidget:
    """Pages of which one is shown, the first of them to begin with."""
    stack = QStackedWidget()
    for page in pages:
        stack.addWidget(page)
    return stack


def _fill(
    layout: QVBoxLayout | QHBoxLayout,
    items: Sequence[QWidget | None],
    spacing: int,
    margins: tuple[int, int, int, int],
) -> None:
    layout.setContentsMargins(*margins)
    layout.setSpacing(spacing)
    for item in items:
        if item is None:
            layout.addStretch(1)
        else:
            layout.addWidget(item)


class Elided(PlainLabel):
    """A line that is cut with an ellipsis where there is no room; the whole of it is the tooltip."""

    def __init__(self, text: str = "", role: str = "", mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
        super().__init__(text)
        self._mode = mode
        self._own_tip = ""
        self.shorter = ""  # takes its place, where there is one and the whole has no room
        if role:
            self.setProperty("role", role)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def grow_to_text(self) -> None:
        """Be as wide as the text where there is room, and no wider."""
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        """Little: it can always be cut."""
        return QSize(min(LEAST_ELIDED, super().sizeHint().width()), super().sizeHint().height())

    @property
    def seen(self) -> str:
        """The text as far as there is room for it."""
        metrics = self.fontMetrics()
        whole = not self.shorter or metrics.horizontalAdvance(self.text()) <= self.width()
        return metrics.elidedText(self.text() if whole else self.shorter, self._mode, self.width())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the text, shortened."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.rect(), int(self.alignment() | Qt.AlignmentFlag.AlignVCenter), self.seen)
        painter.end()
        tip = plain_tip(self.text())
        if self.toolTip() in ("", self._own_tip) and tip != self._own_tip:  # one that says more stays
            self._own_tip = tip
            self.setToolTip(tip)


class Select(QComboBox):
    """A combo box with a drawn arrow; the wheel scrolls the page rather than change a setting by accident."""

    def __init__(self) -> None:
        super().__init__()
        self.shown_text = ""  # stands in the closed box in place of the item's own text
        self.shorter = ""  # stands there where that has no room
        self.elide = Qt.TextElideMode.ElideRight
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the box, the text as far as there is room, then the arrow."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        text = self.shown_text or option.currentText
        option.currentText = ""
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        group = QPalette.ColorGroup.Normal if self.isEnabled() else QPalette.ColorGroup.Disabled
        painter.setPen(self.palette().color(group, QPalette.ColorRole.Text))
        picker = self.property("role") == "picker"
        area = self.rect().adjusted(2 if picker else 9, 0, -20 if picker else -24, 0)
        text = self.shorter if self.shorter and self.fontMetrics().horizontalAdvance(text) > area.width() else text
        side = Qt.AlignmentFlag.AlignRight if picker else Qt.AlignmentFlag.AlignLeft
        shortened = self.fontMetrics().elidedText(text, self.elide, area.width())
        painter.drawText(area, int(side | Qt.AlignmentFlag.AlignVCenter), shortened)
        _draw_arrow(painter, self.width() - (10.0 if picker else 14.0), self.height() / 2, self.isEnabled())
        painter.end()

    def showPopup(self) -> None:
        """Open the list, in which the present choice is marked."""
        bold = ui_font(13, 600)
        for index in range(self.count()):
            present = index == self.currentIndex()
            self.setItemData(index, bold if present else None, Qt.ItemDataRole.FontRole)
            disabled = not self.model().flags(self.model().index(index, 0)) & Qt.ItemFlag.ItemIsEnabled
            shade = None if disabled or not present else color("accent")
            self.setItemData(index, shade, Qt.ItemDataRole.ForegroundRole)
        super().showPopup()

    def hidePopup(self) -> None:
        """Close it; Qt would leave the box looking as if the pointer were on it still."""
        super().hidePopup()
        inside = self.rect().contains(self.mapFromGlobal(QCursor.pos()))
        self.setAttribute(Qt.WidgetAttribute.WA_UnderMouse, inside)
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the page."""
        event.ignore()


class TitleButton(QPushButton):
    """A title that opens a choice: left-aligned text with a small arrow behind it."""

    def __init__(self, tip: str = "", quiet: bool = False) -> None:
        super().__init__()
        self._quiet = quiet  # the arrow shows only under the pointer or with the focus
        self.setProperty("role", "plotTitle")
        self.setAutoDefault(False)
        self.setToolTip(tip)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the button, its text as far as there is room, then the arrow."""
        option, styled = QStyleOptionButton(), QStylePainter(self)
        self.initStyleOption(option)
        room = self.style().subElementRect(QStyle.SubElement.SE_PushButtonContents, option, self).width()
        option.text = self.fontMetrics().elidedText(option.text, Qt.TextElideMode.ElideRight, room)
        styled.drawControl(QStyle.ControlElement.CE_PushButton, option)
        styled.end()
        if self._quiet and not (self.underMouse() or self.hasFocus()):
            return
        painter = QPainter(self)
        _draw_arrow(painter, self.width() - 11.0, self.height() / 2, self.isEnabled())
        painter.end()


def _draw_arrow(painter: QPainter, x: float, y: float, enabled: bool) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(color("secondary" if enabled else "disabled"), 1.5))
    painter.drawPolyline([QPointF(x - 4, y - 1.5), QPointF(x, y + 2.5), QPointF(x + 4, y - 1.5)])


class Switch(QAbstractButton):
    """On or off, as a small slide."""

    def __init__(self) -> None:
        super().__init__()
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFixedSize(38, 22)

    def sizeHint(self) -> QSize:
        """Fixed."""
        return QSize(38, 22)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the track, the knob, and a ring while focused."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        on, track = self.isChecked(), QRectF(3, 3, 32, 16)
        fill = color("accent") if on else color("input")
        knob = QColor("#ffffff") if on else color("secondary")
        if not self.isEnabled():
            fill, knob = color("line"), color("disabled")
        painter.setPen(QPen(color("accent" if on and self.isEnabled() else "line"), 1))
        painter.setBrush(fill)
        painter.drawRoundedRect(track, 8, 8)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(knob)
        painter.drawEllipse(QPointF(27 if on else 11, 11), 5.5, 5.5)
        if self.hasFocus():
            painter.setPen(QPen(color("accent"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(0.5, 0.5, 37, 21), 10.5, 10.5)
        painter.end()


class Segments(QWidget):
    """A few choices side by side, one of them on."""

    chosen = Signal(str)

    def __init__(self, options: Sequence[tuple[str, str]], name: str, tight: bool = False) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self._group = QButtonGroup(self)
        layout = row(spacing=0)
        self._buttons: dict[str, QPushButton] = {}
        for index, (key, text) in enumerate(options):
            made = button(text, "segment")
            made.setCheckable(True)
            bold = QFontMetrics(ui_font(12, 600))  # a choice is bold while it is on, and must not be cut then
            made.setProperty("tight", tight)
            made.setMinimumWidth(bold.horizontalAdvance(text) + (_SEGMENT_PADDING // 2 if tight else _SEGMENT_PADDING))
            made.setProperty("edge", "first" if index == 0 else "last" if index == len(options) - 1 else "")
            made.setAccessibleName(f"{name}: {text}")
            made.clicked.connect(lambda _=False, key=key: self.chosen.emit(key))
            self._group.addButton(made)
            self._buttons[key] = made
            layout.addWidget(made)
        self._buttons[options[0][0]].setChecked(True)
        self.setLayout(layout)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def value(self) -> str:
        """The key that is on."""
        return next(key for key, made in self._buttons.items() if made.isChecked())

    def set_value(self, key: str) -> None:
        """Turn a choice on without telling anyone."""
        self._buttons[key].setChecked(True)

    def enable(self, key: str, can: bool) -> None:
        """Let a choice be made, or not."""
        self._buttons[key].setEnabled(can)
