"""Which runs are on the plots: each in its color, with its seed and its parts; runs of one kind as one."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QWidget

from ewm_studio.analysis.history import RunHistory
from ewm_studio.formatting import printable
from ewm_studio.ui.kit.widgets import button, row
from ewm_studio.ui.plots.quantities import PlotOptions

ROOMY = 480  # pixels from which on a run's seed and parts stand beside its name


class Legend(QWidget):
    """Names what is drawn; shown only where there is more than one run."""

    differences_asked = Signal()
    grouping_asked = Signal(bool)  # whether runs that differ by their seed alone are to be one

    def __init__(self, options: PlotOptions) -> None:
        super().__init__()
        self._options = options
        self._entries: list[tuple[str, str, str]] = []  # dot, title and words of each, as HTML
        self._words = QLabel()
        self._words.setTextFormat(Qt.TextFormat.RichText)
        self._words.setProperty("role", "secondary")
        self._words.setAccessibleName("Legend")
        self._words.setWordWrap(True)
        self.seeds = button("", "pill", "Draw runs that differ by their seed alone as their mean, or each by itself")
        self.seeds.setAccessibleName("Runs that differ by their seed")
        self.seeds.clicked.connect(lambda: self.grouping_asked.emit(not options.over_seeds))
        self.differences = button("what differs", "pill", "The settings in which these runs differ")
        self.differences.clicked.connect(self.differences_asked)
        line = row(spacing=8)
        line.addWidget(self._words, 1)
        line.addWidget(self.seeds, 0, Qt.AlignmentFlag.AlignTop)
        line.addWidget(self.differences, 0, Qt.AlignmentFlag.AlignTop)
        self.setLayout(line)
        self.hide()

    @property
    def text(self) -> str:
        """What it says, as HTML."""
        return self._words.text()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """In little room names are all there is; the rest is in the tooltip."""
        super().resizeEvent(event)
        self._write()

    def _write(self) -> None:
        full = "<br>".join(f"{dot} {_strong(title)} {words}".rstrip() for dot, title, words in self._entries)
        brief = self.width() < ROOMY
        text = "<br>".join(f"{dot} {_strong(title)}" for dot, title, _ in self._entries) if brief else full
        if text != self._words.text():
            self._words.setText(text)
        self._words.setToolTip(full if brief else "")

    def show_runs(self, shown: RunHistory) -> None:
        """Name the run that is shown and those that are laid over it."""
        options = self._options
        runs = [shown, *options.compared] if shown.name else list(options.compared)
        groups = options.groups(shown)
        in_group = {id(run): group for group in groups for run in group}
        said: list[tuple[str, str, str]] = []
        for run in runs:
            group = in_group.get(id(run))
            if group is None:
                said.append(self._entry(run.name, run.name, run.about.words if run.about else ""))
            elif run is group[0]:
                said.append(self._group(group))
        self._entries = said
        self._write()
        self.seeds.setText("seeds: mean" if options.over_seeds else "seeds: each")
        self.seeds.setVisible(bool(groups) or not options.over_seeds)
        self.setVisible(bool(options.compared))

    def _group(self, group: list[RunHistory]) -> tuple[str, str, str]:
        about = group[0].about
        assert about is not None  # else it would be no group
        seeds = sorted(run.about.seed for run in group if run.about is not None)
        title = f"{about.env}, mean of {len(seeds)} seeds ({', '.join(map(str, seeds))})"
        return self._entry(group[0].name, title, f"{' + '.join(about.parts)} · band: lowest to highest seed")

    def _entry(self, name: str, title: str, words: str) -> tuple[str, str, str]:
        dot = f'<span style="color:{self._options.colors[name]}">●</span>'
        return dot, escape(printable(title)), escape(printable(words))


def _strong(title: str) -> str:
    return f'<span style="font-weight:600">{title}</span>'
