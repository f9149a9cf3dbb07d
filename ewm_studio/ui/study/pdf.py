"""A study's report as PDF: the same page, laid out for paper by Qt, its plots as lines and not as pixels."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from PySide6.QtCore import QByteArray, QCoreApplication, QMarginsF, QRect, QRectF, QSizeF, Qt
from PySide6.QtGui import (
    QAbstractTextDocumentLayout,
    QColor,
    QFont,
    QGuiApplication,
    QPageLayout,
    QPageSize,
    QPainter,
    QPalette,
    QPdfWriter,
    QPyTextObject,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QTextTable,
)
from PySide6.QtSvg import QSvgRenderer

from ewm_studio.analysis.svg import WIDE
from ewm_studio.ui.kit.theme import SANS
from ewm_studio.workspace.files import write_aside

_INK, _FAINT, _LINE, _GROUND = "#1c222b", "#5b6470", "#d5d9df", "#f6f7f9"
_PLOT = QTextFormat.ObjectTypes.UserObject + 1
_SOURCE = QTextFormat.Property.UserProperty + 1
_WIDEST = 18.0  # centimetres, of a plot
_DOTS, _SCREEN = 300, 96  # an inch: of what is drawn, and of the lengths that a document's layout is told
_MARGIN = 1.8  # centimetres
_STYLE = f"""
body {{ color: {_INK}; font-family: {", ".join(f"'{name}'" for name in SANS)}; font-size: (8.5)pt; }}
h1 {{ font-size: (16)pt; }}
h2 {{ font-size: (11)pt; margin-top: 16px; margin-bottom: 6px; }}
h3 {{ font-size: (8.5)pt; margin-top: 8px; margin-bottom: 2px; }}
p, ul, .lead {{ color: {_FAINT}; }}
table {{ border-collapse: collapse; margin-top: 4px; }}
th, td {{ padding: 3px 5px; font-size: (8)pt; white-space: nowrap; border-bottom: 1px solid {_LINE}; }}
th {{ text-align: left; font-weight: 500; }}
thead th {{ text-align: right; color: {_FAINT}; font-weight: normal; font-size: (7)pt; }}
small {{ color: {_FAINT}; font-size: (7)pt; }}
pre {{ font-family: 'DejaVu Sans Mono', monospace; font-size: (7)pt; background: {_GROUND}; }}
"""
_UPRIGHT, _ACROSS = QPageLayout.Orientation.Portrait, QPageLayout.Orientation.Landscape
_PAPERS = (  # tried one after the other, until the widest table finds room: the paper, and the size of the letters
    (QPageSize.PageSizeId.A4, _UPRIGHT, 1.0),
    (QPageSize.PageSizeId.A4, _UPRIGHT, 0.85),
    (QPageSize.PageSizeId.A4, _ACROSS, 0.85),
    (QPageSize.PageSizeId.A3, _ACROSS, 0.85),
    (QPageSize.PageSizeId.A2, _ACROSS, 0.85),
)


def write_pdf(report: Path, path: Path) -> Path:
    """Write the report that stands in an HTML file as PDF, and give its path; without a window it works as well.

    Raises:
        UserError or JobError: it cannot be written.
    """
    application = _without_a_screen() if QCoreApplication.instance() is None else None  # fonts need one
    body, plots = for_paper(report.read_text("utf-8"))
    write_aside(path, lambda aside: _print(body, plots, aside))
    del application
    return path


def for_paper(page: str) -> tuple[str, list[str]]:
    """What Qt can lay out of a report's page, with marks where plots stand, and the plots."""
    body = page[page.index("<main>") + len("<main>") : page.index("</main>")]
    plots: list[str] = []

    def take(found: re.Match[str]) -> str:
        plots.append(_plain_svg(found[0]))
        return f"<p>{_mark(len(plots) - 1)}</p>"

    body = re.sub(r"<svg.*?</svg>", take, body, flags=re.DOTALL)
    body = re.sub(r'<i style="background:(#\w+)"></i>', r'<span style="color:\1">&#9632;</span>&nbsp;', body)
    body = body.replace("</span><span>", "</span> &nbsp;·&nbsp; <span>")
    body = re.sub(r"</span><span(?= style)|</span>(?=<span><)", "</span> &nbsp; <span", body)
    body = re.sub(r"<small>", "<br><small>", body)
    body = re.sub(r"rgba\((\d+),(\d+),(\d+),([\d.]+)\)", _on_paper, body)
    body = body.replace("<td", '<td align="right"')
    return body, plots


def _mark(number: int) -> str:
    return f"\N{LEFT WHITE SQUARE BRACKET}plot {number}\N{RIGHT WHITE SQUARE BRACKET}"


def _plain_svg(plot: str) -> str:
    """A plot without the page's style, which Qt's renderer does not know."""
    plot = plot.replace('class="grid"', f'stroke="{_LINE}"').replace('class="tick"', f'fill="{_FAINT}" font-size="12"')
    head, _, rest = plot.partition(">")
    inside = rest.removesuffix("</svg>")
    family = f'font-family="{", ".join(SANS)}"'
    return f'{head} xmlns="http://www.w3.org/2000/svg"><g fill="{_INK}" font-size="13" {family}>{inside}</g></svg>'


def _on_paper(found: re.Match[str]) -> str:
    """A colour that lets the ground through, as it is on white."""
    share = float(found[4])
    return "#" + "".join(f"{round(255 + (int(value) - 255) * share):02x}" for value in found.groups()[:3])


class _Plots(QPyTextObject):
    """Draws plots among the text."""

    def intrinsicSize(self, document: QTextDocument, place: int, format: QTextFormat) -> QSizeF:
        """In its own proportions; a wide one as wide as the text, so that what is written in plots is of one size."""
        size = QSizeF(_renderer(format).defaultSize())
        free = document.pageSize().width() - 2 * _MARGIN / 2.54 * _DOTS
        width = size.width() / WIDE * min(free, _WIDEST / 2.54 * _DOTS)
        return QSizeF(width, width * size.height() / max(size.width(), 1.0))

    def drawObject(
        self, painter: QPainter, area: QRectF | QRect, document: QTextDocument, place: int, format: QTextFormat
    ) -> None:
        """Draw one."""
        _renderer(format).render(painter, QRectF(area))


def _renderer(format: QTextFormat) -> QSvgRenderer:
    return QSvgRenderer(QByteArray(str(format.property(_SOURCE)).encode()))


def _print(body: str, plots: list[str], path: Path) -> None:
    path.touch()  # what cannot be written is said by this, and not by Qt
    writer = QPdfWriter(str(path))
    writer.setCreator("EWM Studio")
    writer.setResolution(_DOTS)
    for paper, orientation, scale in _PAPERS:
        writer.setPageLayout(QPageLayout(QPageSize(paper), orientation, QMarginsF()))
        document = _document(body, plots, scale, writer)
        if _widest(document) <= writer.width() - 2 * _MARGIN / 2.54 * _DOTS:
            break
    _keep_headings(document)
    _draw(document, writer)


def _document(body: str, plots: list[str], scale: float, writer: QPdfWriter) -> QTextDocument:
    """The report laid out for a paper, its letters so large."""
    document = QTextDocument()
    document.documentLayout().registerHandler(_PLOT, _Plots(document))
    style = re.sub(r"\(([\d.]+)\)pt", lambda size: f"{scale * float(size[1]):.2f}pt", _STYLE)
    document.setHtml(f"<html><head><style>{style}</style></head><body>{body}</body></html>")
    for number, plot in enumerate(plots):
        found = document.find(_mark(number))
        format = QTextCharFormat()
        format.setObjectType(_PLOT)
        format.setProperty(_SOURCE, plot)
        found.insertText("\N{OBJECT REPLACEMENT CHARACTER}", format)
    document.documentLayout().setPaintDevice(writer)
    frame = document.rootFrame().frameFormat()
    frame.setMargin(_MARGIN / 2.54 * _SCREEN)
    document.rootFrame().setFrameFormat(frame)
    document.setPageSize(QSizeF(writer.width(), writer.height()))
    return document


def _widest(document: QTextDocument) -> float:
    """Dots that the widest table takes, where nothing in it is broken."""
    tables = [frame for frame in document.rootFrame().childFrames() if isinstance(frame, QTextTable)]
    return max((document.documentLayout().frameBoundingRect(table).width() for table in tables), default=0.0)


def _keep_headings(document: QTextDocument) -> None:
    """Have a heading begin the next page where what follows it would stand there."""
    layout, high = document.documentLayout(), document.pageSize().height()
    block = document.begin()
    while block.isValid():
        after = block.next()
        if block.blockFormat().headingLevel() and after.isValid():
            here = layout.blockBoundingRect(block).top() // high
            last = after.next() if after.next().isValid() else after  # a line of words may stand between
            if here != (layout.blockBoundingRect(last).bottom() - 1) // high:
                format = block.blockFormat()
                format.setPageBreakPolicy(QTextFormat.PageBreakFlag.PageBreak_AlwaysBefore)
                QTextCursor(block).setBlockFormat(format)
        block = after


def _draw(document: QTextDocument, writer: QPdfWriter) -> None:
    """Draw page after page, each with its number."""
    size, count = document.pageSize(), document.pageCount()
    area = QRectF(0, 0, size.width(), size.height())
    context = QAbstractTextDocumentLayout.PaintContext()
    palette = context.palette
    palette.setColor(QPalette.ColorRole.Text, QColor(_INK))
    context.palette = palette
    painter = QPainter(writer)
    for page in range(count):
        if page:
            writer.newPage()
        painter.save()
        painter.translate(0, -page * size.height())
        context.clip = area.translated(0, page * size.height())
        document.documentLayout().draw(painter, context)
        painter.restore()
        painter.setPen(QColor(_FAINT))
        foot = QRectF(0, size.height() - 1.2 / 2.54 * _DOTS, size.width() - _MARGIN / 2.54 * _DOTS, 0.5 / 2.54 * _DOTS)
        font = QFont(document.defaultFont())
        font.setPointSizeF(7)
        painter.setFont(font)
        painter.drawText(foot, int(Qt.AlignmentFlag.AlignRight), f"{page + 1} of {count}")
    painter.end()


def _without_a_screen() -> QGuiApplication:
    """An application that shows nothing."""
    if sys.platform.startswith("linux"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    return QGuiApplication(sys.argv[:1])
