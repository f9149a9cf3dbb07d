"""Replays as pictures side by side, and their export: MP4 (by PyAV), GIF and PNG (by Pillow)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ewm_studio.analysis.trace import OnProgress, ReplayTrace, ignore
from ewm_studio.dreams.limits import Grade
from ewm_studio.errors import UserError
from ewm_studio.workspace.files import write_aside

PaneKind = Literal["", "vision", "memory"]
SUFFIXES = (".mp4", ".gif", ".png")
FILMS = (".mp4", ".gif")
HEIGHT = 360  # pixels; pictures are enlarged to at least this
GIF_HEIGHT = 240  # likewise in a GIF, which grows fast
GIF_FPS = 25.0  # more is left out: players slow down what is quicker than 50
GAP = 8  # pixels between pictures
CAPTION = 28  # pixels under them
_BACKGROUND = (20, 22, 26)
_COLORS: dict[PaneKind, tuple[int, int, int]] = {
    "": (152, 161, 173),
    "vision": (45, 212, 191),
    "memory": (167, 139, 250),
}
BORDER = 4  # pixels around a picture that says how far it can be trusted
_BORDERS: dict[Grade, tuple[int, int, int]] = {
    "line": (44, 49, 59),
    "good": (74, 222, 128),
    "doubt": (250, 204, 21),
    "bad": (248, 113, 113),
}
_QUALITY = "18"  # x264's constant rate factor: no loss that the eye sees


@dataclass(frozen=True, eq=False)
class Pane:
    """One picture of a replay through time.

    Attributes:
        caption: what it is.
        kind: whose view it is; gives its color.
        pictures: uint8 (N, H, W, 3).
        index: int (F+1,), which of them is shown at each frame.
        grades: how far each picture can be trusted, told by the color of a border; none for no border.
    """

    caption: str
    kind: PaneKind
    pictures: np.ndarray
    index: np.ndarray
    grades: Sequence[Grade] = ()

    def at(self, frame: int) -> np.ndarray:
        """The picture uint8 (H, W, 3) at a frame; the last one after the end."""
        picture: np.ndarray = self.pictures[self.index[min(frame, len(self.index) - 1)]]
        return picture

    def graded(self, frame: int) -> Grade:
        """How far the picture at a frame can be trusted; the last one after the end."""
        return self.grades[self.index[min(frame, len(self.index) - 1)]]


def panes_of(trace: ReplayTrace) -> list[Pane]:
    """What happened, what vision saw of it and what memory expected; those that there are."""
    panes = []
    if trace.frames is not None:
        panes.append(Pane("what happened", "", trace.frames, np.arange(len(trace.frames))))
    if trace.reconstruction is not None:
        panes.append(Pane("what it saw", "vision", trace.reconstruction, trace.decision_of))
    elif trace.seen is not None:
        panes.append(Pane("what it was shown", "vision", trace.seen, trace.decision_of))
    if trace.prediction is not None:
        panes.append(Pane("what it expected", "memory", trace.prediction, trace.decision_of))
    return panes


def check_target(path: Path, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Refuse a file that cannot be exported to, before anything is played.

    Raises:
        UserError: its kind is unknown, or what writes it is not installed.
    """
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{path}: give a name that ends in {', '.join(suffixes[:-1])} or {suffixes[-1]}")
    if path.suffix.lower() == ".mp4" and importlib.util.find_spec("av") is None:
        raise UserError("MP4 needs PyAV, which is not installed: uv pip install 'ewm-studio[video]', or choose a GIF")


def export(
    path: Path, panes: Sequence[Pane], fps: float, frame: int | None = None, progress: OnProgress | None = None
) -> None:
    """Write panes side by side, each enlarged without blur, to a file whose ending tells its kind.

    Args:
        path: an .mp4 or .gif of the whole replay, or a .png of one frame.
        panes: at least one.
        fps: frames a second at which it is true to life.
        frame: which one, for a .png.
        progress: told the share that is done; what it raises ends the export, and no file is left.

    Raises:
        UserError: see `check_target`; or the file cannot be written. JobError: the disk is full.
    """
    check_target(path)
    kind = path.suffix.lower()
    sheet = Sheet(panes, GIF_HEIGHT if kind == ".gif" else HEIGHT)
    if kind == ".png":
        picture = sheet.draw(frame or 0)
        write_aside(path, lambda temporary: Image.fromarray(picture).save(temporary, "PNG"))
    else:
        write = _write_mp4 if kind == ".mp4" else _write_gif
        write_aside(path, partial(write, sheet, fps, progress or ignore))


class Sheet:
    """Panes side by side on one picture, with their captions."""

    def __init__(self, panes: Sequence[Pane], height: int) -> None:
        """Every pane gets the height of the first, enlarged by a whole number to at least `height`."""
        self._panes = panes
        self.frames = max(len(pane.index) for pane in panes)
        tall = panes[0].pictures.shape[1]
        self.height = tall * -(-height // tall)
        widths = [round(p.pictures.shape[2] * self.height / p.pictures.shape[1]) for p in panes]
        lefts = np.cumsum([GAP, *(width + GAP for width in widths)]).tolist()
        # Video codecs want even sides.
        size = (lefts[-1] + lefts[-1] % 2, (whole := GAP + self.height + CAPTION) + whole % 2)
        self._base = _captions(panes, lefts, size, self.height)
        self.places = [
            (slice(GAP, GAP + self.height), slice(left, left + width))
            for left, width in zip(lefts, widths, strict=False)
        ]

    def draw(self, frame: int) -> np.ndarray:
        """The picture uint8 (H, W, 3) at a frame."""
        out = self._base.copy()
        for pane, (rows, columns) in zip(self._panes, self.places, strict=True):
            if pane.grades:
                around = (slice(side.start - BORDER, side.stop + BORDER) for side in (rows, columns))
                out[tuple(around)] = _BORDERS[pane.graded(frame)]
            out[rows, columns] = enlarge(pane.at(frame), self.height, columns.stop - columns.start)
        return out


def enlarge(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture uint8 (H, W, 3) at another size, each pixel a sharp block."""
    rows = np.arange(height) * picture.shape[0] // height
    columns = np.arange(width) * picture.shape[1] // width
    return picture[rows[:, None], columns]


def _captions(panes: Sequence[Pane], lefts: list[int], size: tuple[int, int], height: int) -> np.ndarray:
    """The empty sheet uint8 (H, W, 3)."""
    image = Image.new("RGB", size, _BACKGROUND)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    for pane, left in zip(panes, lefts, strict=False):
        draw.text((left + 2, GAP + height + 6), pane.caption, _COLORS[pane.kind], font)
    return np.array(image)


def _write_mp4(sheet: Sheet, fps: float, progress: OnProgress, path: Path) -> None:
    import av

    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
        stream: Any = file.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        first = sheet.draw(0)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"  # what every player takes
        stream.options = {"crf": _QUALITY, "preset": "veryfast"}
        for number in range(sheet.frames):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(sheet.draw(number), format="rgb24")))
            progress((number + 1) / sheet.frames)
        file.mux(stream.encode())


def _write_gif(sheet: Sheet, fps: float, progress: OnProgress, path: Path) -> None:
    numbers, durations = gif_times(sheet.frames, fps)

    def later() -> Any:
        for done, number in enumerate(numbers[1:], 2):
            yield _few_colors(sheet.draw(number))
            progress(done / len(numbers))

    first = _few_colors(sheet.draw(numbers[0]))
    first.save(path, "GIF", save_all=True, append_images=later(), duration=durations, loop=0)


def gif_times(frames: int, fps: float) -> tuple[list[int], list[int]]:
    """Which frames a GIF shows and for how many milliseconds each: hundredths, as the format has them, in step."""
    stride = max(1, round(fps / GIF_FPS)) if fps > GIF_FPS else 1
    numbers = list(range(0, frames, stride))
    ends = np.round(np.arange(1, len(numbers) + 1) * stride / fps * 100).astype(int)
    return numbers, (np.diff(ends, prepend=0) * 10).tolist()


def _few_colors(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(picture).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
