"""The Vision page: original, reconstruction and difference, a strip of frames, the model's figures and its latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget

from ewm_studio import formatting as format
from ewm_studio.analysis.history import RunHistory
from ewm_studio.analysis.vision_view import IN_USE, VisionView, in_use
from ewm_studio.ui.kit.empty_state import EmptyState
from ewm_studio.ui.kit.images import Picture, difference
from ewm_studio.ui.kit.widgets import Elided, column, label, row
from ewm_studio.ui.latents.sliders import LatentPanel
from ewm_studio.ui.plots.bars import BarCard
from ewm_studio.ui.plots.quantities import PlotOptions

if TYPE_CHECKING:
    from ewm_studio.ui.plots.card import PlotCard

GAIN = 4
STRIP = 8
EMPTY, CONTENT, VECTOR, RUN = range(4)  # pages of the stack
_ONE_PLOT, _TWO_PLOTS = 560, 980  # widths from which plots stand beside the bars
_LATENTS = 640  # width from which the sliders stand beside the pictures
_PLOTS = ("vision/total", "vision/held_out_mse")
_TITLES = {"pretrain": "Held-out frames", "train": "Frames of the latest rollout"}


class VisionPage(QWidget):
    """Shows what vision keeps of a picture, as events and saved models bring it."""

    pretrain_asked = Signal()
    pixels_asked = Signal()

    def __init__(self, options: PlotOptions) -> None:
        super().__init__()
        self._pictures: dict[str, np.ndarray] = {}
        self._live = False  # the pictures come from a job, not from a saved model
        self._step = 0
        self._job = ""
        self._view: VisionView | None = None
        self._numbers = False  # the experiment's vision observes numbers
        self._run, self._run_numbers = "", False  # the run that is looked at, and whether its vision observes numbers
        self._chosen = 0
        self._options = options
        self._plots: list[PlotCard] = []
        self.latents = LatentPanel()
        self.latents.hide()
        self.bars = BarCard()
        self._stack = QStackedWidget()
        self.empty, self.vector, self.of_run = _empty_state(), _vector_state(), _run_state()
        for state, asked in ((self.empty, self.pretrain_asked), (self.vector, self.pixels_asked)):
            state.action.clicked.connect(asked)
        for page in (self.empty, self._make_content(), self.vector, self.of_run):
            self._stack.addWidget(page)
        beside = QWidget()
        layout = QVBoxLayout(beside)
        layout.setContentsMargins(12, 12, 12, 12)
        layout.addWidget(self._stack)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(beside, 1)
        outer.addWidget(self.latents)

    def _make_content(self) -> QWidget:
        self.large = {
            "original": Picture("Original"),
            "reconstruction": Picture("Reconstruction"),
            "difference": Picture("Difference"),
        }
        captions = (("original", ""), ("reconstruction", "vision"), (f"difference × {GAIN}", ""))
        self._captions: dict[str, QLabel] = {}
        self._plates: dict[str, QFrame] = {}
        top = row(spacing=10)
        for (name, picture), (text, kind) in zip(self.large.items(), captions, strict=True):
            self._captions[name] = label(text, "secondary", kind)
            self._plates[name] = _plate(picture, self._captions[name])
            top.addWidget(self._plates[name], 1)
        self._title, self._chip, self._words = label("", "heading"), label("", "chip"), Elided("", "secondary")
        self._chip.setFixedHeight(26)
        head = row(self._title, self._chip, spacing=10)
        head.addWidget(self._words, 1)
        self._thumbs: list[tuple[Picture, Picture]] = []
        self._strip = self._make_strip()
        self._plot_row = row(spacing=10)
        self._plot_row.addWidget(self.bars, 3)
        content = QWidget()
        body = QVBoxLayout(content)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(10)
        body.addLayout(head)
        body.addLayout(top, 6)
        body.addWidget(self._strip, 4)
        body.addLayout(self._plot_row, 3)
        self._words_of_bars()
        return content

    def _make_strip(self) -> QFrame:
        strip = QFrame()
        strip.setProperty("role", "plate")
        grid = QGridLayout(strip)
        grid.setContentsMargins(12, 8, 12, 10)
        grid.setSpacing(6)
        self._strip_words = label("", "secondary")
        grid.addLayout(row(label("Frames", "heading"), self._strip_words, None, spacing=10), 0, 0, 1, STRIP)
        for index in range(STRIP):
            pair = (Picture(f"Frame {index + 1}"), Picture(f"Reconstruction {index + 1}"))
            for line, picture in enumerate(pair):
                picture.clicked.connect(lambda index=index: self.choose(index))
                picture.setMinimumSize(24, 24)
                grid.addWidget(picture, line + 1, index)
            grid.setColumnStretch(index, 1)
            self._thumbs.append(pair)
        return strip

    @property
    def plots(self) -> list[PlotCard]:
        """Vision's losses: those that are made."""
        return self._plots

    def make_plot(self) -> bool:
        """Make the next of the plots; whether one was missing."""
        if len(self._plots) == len(_PLOTS):
            return False
        from ewm_studio.ui.plots.card import PlotCard

        made = PlotCard(_PLOTS[len(self._plots)], self._options)
        self._plots.append(made)
        self._plot_row.addWidget(made, 2)
        if self._pictures:
            self._choose_plots()
        self._make_room()
        return True

    # What is shown

    @property
    def empty_shown(self) -> bool:
        """Whether there is nothing to see."""
        return self._stack.currentIndex() == EMPTY

    @property
    def frames(self) -> np.ndarray | None:
        """The frames uint8 (N, H, W, C) that a job sent; None where the page has those of a saved model."""
        return self._pictures.get("original") if self._live else None

    @property
    def view(self) -> VisionView | None:
        """The saved model that is looked into."""
        return self._view

    @property
    def chosen(self) -> int:
        """The frame that is shown large."""
        return self._chosen

    def show_pictures(self, pictures: dict[str, np.ndarray], step: int) -> None:
        """Show new pictures (N, H, W, C) by name, as a job sent them."""
        original = pictures.get("original")
        if original is None or not len(original):
            return
        self._pictures, self._live, self._step = pictures, True, step
        self._show()

    def show_view(self, view: VisionView) -> None:
        """Show what a saved model makes of its frames, or that it has none."""
        self._view = view
        if view.pictures and not self._live:
            self._pictures, self._step = {"original": view.frames}, view.step
            if view.reconstruction is not None:
                self._pictures["reconstruction"] = view.reconstruction
        if self._pictures:
            self._show()
        else:
            self._turn()
        self.latents.show_latents(view.editable if self._pictures else None, self._chosen)
        self._make_room()

    def show_numbers(self, numbers: bool) -> None:
        """Say whether the experiment's vision observes numbers, so that there will be no pictures."""
        self._numbers = numbers
        self._turn()

    def show_run(self, name: str, numbers: bool = False) -> None:
        """A run is looked at: what it observes is its own vision's, whatever the experiment is.

        Args:
            name: of the run.
            numbers: whether its vision is known to observe numbers.
        """
        self._run, self._run_numbers = name, numbers
        self.of_run.set_words(f"{name}\nWhat its vision makes of pictures appears with the first checkpoint.")
        self._turn()

    def say(self, words: str) -> None:
        """One line on why there are no figures, or no other ones, where it is seen."""
        if self._view is not None:
            self._words.setText(words)
            return
        self.bars.say("Inside the model", words)
        if self._run:
            self._run_numbers = False
            self.of_run.set_words(f"{self._run}\n{words[:1].upper()}{words[1:]}")
            self._turn()

    def clear(self) -> None:
        """Forget the pictures and the model."""
        self._pictures, self._view, self._live, self._step, self._chosen = {}, None, False, 0, 0
        self._run, self._run_numbers = "", False
        self.latents.show_latents(None, 0)
        self._words_of_bars()
        self._turn()
        self._make_room()

    def _turn(self) -> None:
        """Show the state that fits what is there."""
        if self._pictures:
            state = CONTENT
        elif self._view is not None and not self._view.pictures:
            state = VECTOR
        elif self._run:
            state = VECTOR if self._run_numbers else RUN
        else:
            state = VECTOR if self._numbers else EMPTY
        self._stack.setCurrentIndex(state)

    def _show(self) -> None:
        original, below = self._pictures["original"], self._below
        self._turn()
        for index, (above, under) in enumerate(self._thumbs):
            above.show_array(original[index] if index < len(original) else None)
            under.show_array(below[index] if below is not None and index < len(below) else None)
        colored = self._colors is not None
        self._captions["reconstruction"].setText("features as colors" if colored else "reconstruction")
        self._captions["reconstruction"].setToolTip(
            "How the features differ from what is usual at each place: the three main directions (PCA) as red, green "
            "and blue. Patches of one color are alike to the model"
            if colored
            else ""
        )
        self._plates["reconstruction"].setVisible(below is not None)
        self._plates["difference"].setVisible(below is not None and not colored)
        lower = "features" if colored else "reconstruction"
        self._strip_words.setText(f"original above, {lower} below" if below is not None else "what vision sees")
        self._words_of_head()
        self._words_of_bars()
        self._choose_plots()
        self._make_room()
        self.choose(min(self._chosen, len(original) - 1))

    @property
    def _colors(self) -> np.ndarray | None:
        """Feature maps as colors, where they belong to the frames that are shown."""
        view = self._view
        if view is None or view.colors is None or "reconstruction" in self._pictures:
            return None
        return view.colors if np.array_equal(view.frames, self._pictures["original"]) else None

    @property
    def _below(self) -> np.ndarray | None:
        """What stands under the originals: reconstructions (N, H, W, C), or features as colors."""
        made = self._pictures.get("reconstruction")
        return made if made is not None else self._colors

    def _words_of_head(self) -> None:
        original, made = self._pictures["original"], self._pictures.get("reconstruction")
        self._title.setText(_TITLES.get(self._job, "Frames") if self._live else "Frames of random episodes")
        unit = "frames" if self._job == "pretrain" else "steps"
        when = f"after {format.count(self._step)} {unit}"
        self._chip.setText(f"{self._view.name} · {when}" if self._view is not None else when)
        parts = []
        if made is not None and made.shape == original.shape:
            error = float(np.mean(((original.astype(np.float32) - made.astype(np.float32)) / 255) ** 2))
            parts.append(f"error {format.significant(error)} a pixel")
        if self._view is not None and self._view.kl is not None:
            parts.append(f"KL {format.significant(float(self._view.kl.sum()))} nats")
        self._words.setText(" · ".join(parts))
        self._words.shorter = parts[0] if parts else ""

    def _words_of_bars(self) -> None:
        view = self._view
        values = None if view is None else view.kl if view.kl is not None else view.usage
        self.bars.setVisible(view is None or values is not None)
        if view is None or values is None:
            self.bars.bars.show_values(np.zeros(0), 0, "", "")
            self.bars.say("Inside the model", "what the model makes of these frames appears with the first checkpoint")
            return
        over = f"{view.sample} frames"
        if view.kl is not None:
            self.bars.bars.show_values(values, IN_USE, "z", "nats")
            self.bars.say("KL per latent dimension", f"{in_use(view)} of {len(values)} in use · {over}")
        else:
            self.bars.bars.show_values(values, 0, "code", "times")
            self.bars.say("Use of the codes", f"{in_use(view)} of {len(values)} codes in use · {over}")

    def choose(self, index: int) -> None:
        """Show one of the frames large, and its latent on the sliders."""
        original = self._pictures.get("original")
        if original is None or not 0 <= index < len(original):
            return
        moved, self._chosen = index != self._chosen, index
        made, below = self._pictures.get("reconstruction"), self._below
        self.large["original"].show_array(original[index])
        self.large["reconstruction"].show_array(below[index] if below is not None else None)
        self.large["difference"].show_array(
            difference(original[index], made[index], GAIN) if made is not None else None
        )
        for place, (above, under) in enumerate(self._thumbs):
            above.selected = place == index
            above.update()
            under.update()
        if moved:
            self.latents.choose(index)

    # Plots

    def show_history(self, history: RunHistory) -> None:
        """Plot another run."""
        self._job = history.job
        for card in self.plots:
            card.show_history(history)

    def refresh(self, history: RunHistory) -> None:
        """Plot more of the same run."""
        for card in self.plots:
            card.refresh(history)

    def _choose_plots(self) -> None:
        """The pixels' error is plotted where there are reconstructions; else how many directions z takes."""
        pair = ("vision/effective_rank", "vision/held_out_mse")
        right, wrong = pair if "reconstruction" not in self._pictures else pair[::-1]
        for card in self._plots[1:]:
            if card.quantity.tag == wrong:
                card.show_quantity(right)

    def mark(self, tags: tuple[str, ...]) -> None:
        """Tell that rows were added under these tags."""
        for card in self.plots:
            card.dirty = card.dirty or card.quantity.tag in tags

    def redraw_one(self) -> bool:
        """Redraw a plot that changed."""
        for card in self.plots:
            if card.dirty and card.isVisible():
                card.redraw()
                return True
        return False

    # Room

    def _make_room(self) -> None:
        """Show as many parts side by side as there is room for."""
        turned = self._view is not None and self._view.kl is not None and self._view.reconstruction is not None
        beside = bool(self._pictures) and turned and self.width() >= _LATENTS
        self.latents.setVisible(beside)
        width = self.width() - (self.latents.width() if beside else 0)
        content = width - 24
        shown = sum(not plate.isHidden() for plate in self._plates.values())
        for plate in self._plates.values():  # no higher than the pictures: the rest is room for the figures
            plate.setMaximumHeight((content - 10 * (shown - 1)) // max(shown, 1) + 24)
        self._strip.setMaximumHeight((content - 24) // STRIP * 2 + 48)
        if self.bars.isHidden():
            width += _ONE_PLOT
        for card, least in zip(self._plots, (_ONE_PLOT, _TWO_PLOTS), strict=False):
            card.setVisible(width >= least)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Make room anew."""
        super().resizeEvent(event)
        self._make_room()


def _empty_state() -> EmptyState:
    return EmptyState(
        "vision",
        "Nothing to see yet",
        "While a vision model such as ConvVAE trains on pictures, this page shows held-out frames, what the model "
        "keeps of them, what is lost, and what each number of its latent stands for. Pretrain vision, or show a run "
        "that has one on the Runs page.",
        "Pretrain vision",
    )


def _vector_state() -> EmptyState:
    return EmptyState(
        "vision",
        "No pictures here",
        "This environment is observed as a few numbers, which vision hands on as they are: nothing is lost, and there "
        "is nothing to look at. Observe its rendered picture instead, then pretrain vision to watch what it keeps.",
        "Observe pictures",
    )


def _run_state() -> EmptyState:
    state = EmptyState("vision", "Inside the model", "", "")
    state.action.hide()  # nothing is to be done but to wait, or to show another run
    return state


def _plate(picture: Picture, caption: QWidget) -> QFrame:
    frame = QFrame()
    frame.setProperty("role", "plate")
    picture.setMinimumSize(72, 72)
    layout = column(spacing=6, margins=(10, 10, 10, 8))
    layout.addWidget(picture, 1)
    layout.addWidget(caption)
    frame.setLayout(layout)
    return frame
