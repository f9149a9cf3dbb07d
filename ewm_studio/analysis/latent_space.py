"""Episodes in latent space: their main directions (PCA), the path of each, and where memory was surprised.

Torch is imported only inside functions, which are called off the GUI thread.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ewm_studio.analysis.vision_view import REACH, EditableLatents

if TYPE_CHECKING:
    from ewm_studio.analysis.trace import ReplayTrace
    from ewm_studio.models.base import VisionModel

DIRECTIONS = 3
THUMB = 96  # pixels, the higher side of the small picture of a decision
PEAKS = 8
_APART = 50  # an episode is at least so many times as long as the distance between two peaks


@dataclass(frozen=True, eq=False)
class LatentPath:
    """One episode of D decisions as a path in latent space.

    Attributes:
        seed: of the episode.
        z: float32 (D+1, Z), at each decision and at the end.
        reward: float64 (D+1,), what each decision earned; 0 at the end.
        surprise: float32 (D+1,), as in `ReplayTrace`; NaN where memory does not predict.
        frame: int (D+1,), the frame of each.
        pictures: uint8 (D+1, h, w, 3), small ones; None where there are none.
    """

    seed: int
    z: np.ndarray
    reward: np.ndarray
    surprise: np.ndarray
    frame: np.ndarray
    pictures: np.ndarray | None

    def decision_at(self, frame: int) -> int:
        """The decision that is in force at a frame."""
        return max(int(np.searchsorted(self.frame, frame, side="right")) - 1, 0)


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """The main directions of many z, the widest first.

    Attributes:
        mean: float64 (Z,).
        axes: float64 (3, Z), orthonormal; rows of zeros where z has fewer directions.
        share: (3,), of the variance that lies along each.
        variance: (Z,), of each number of z.
    """

    mean: np.ndarray
    axes: np.ndarray
    share: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray) -> LatentSpace:
        """The directions of latents (N, Z)."""
        wide = z.astype(np.float64)
        mean = wide.mean(0)
        _, widths, directions = np.linalg.svd(wide - mean, full_matrices=False)
        axes, share = np.zeros((DIRECTIONS, z.shape[1])), np.zeros(DIRECTIONS)
        spread = np.square(widths)
        there = int((spread > spread[:1].sum() * 1e-12).sum()) if spread.size else 0
        count = min(DIRECTIONS, there)
        axes[:count] = directions[:count]
        axes *= np.where(axes[range(DIRECTIONS), np.abs(axes).argmax(1)] < 0, -1.0, 1.0)[:, None]  # signs are arbitrary
        share[:count] = spread[:count] / spread.sum() if count else 0.0
        return cls(mean, axes, share, wide.var(0))

    def project(self, z: np.ndarray) -> np.ndarray:
        """Latents (..., Z) as places (..., 3)."""
        places: np.ndarray = (z - self.mean) @ self.axes.T
        return places

    def moved(self, z: np.ndarray, place: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
        """A latent (Z,) taken to a place (2,) in the plane of two directions; float32 (Z,), all others as they were."""
        axes = self.axes[list(pair)]
        there: np.ndarray = z + (place - (z - self.mean) @ axes.T) @ axes
        return there.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Exploration:
    """A watched episode in the latent space that it spans with others.

    Attributes:
        trace: the episode that is watched.
        paths: its path, then those of others.
        space: the directions of all of them.
        places: the paths (D+1, 3) along these directions.
        order: the numbers of z (Z,), those that vary most in the watched episode first.
        peaks: its most surprising decisions, the most surprising first.
        editable: its latents for the sliders; None where vision decodes no pictures.
    """

    trace: ReplayTrace
    paths: tuple[LatentPath, ...]
    space: LatentSpace
    places: tuple[np.ndarray, ...]
    order: np.ndarray
    peaks: tuple[int, ...]
    editable: EditableLatents | None


def latent_path_of(trace: ReplayTrace, seed: int) -> LatentPath:
    """The path of an episode; light enough to keep many."""
    frame = np.searchsorted(trace.decision_of, np.arange(len(trace.z)))
    reward = np.append(np.add.reduceat(trace.reward, frame[:-1]), 0.0)
    pictures = None if trace.frames is None else np.stack([_thumb(picture) for picture in trace.frames[frame]])
    return LatentPath(seed, trace.z, reward, trace.surprise, frame, pictures)


def explore(
    trace: ReplayTrace, seed: int, vision: VisionModel[Any] | None = None, others: Sequence[LatentPath] = ()
) -> Exploration:
    """Lay an episode out in latent space.

    Args:
        trace: the episode.
        seed: of the episode.
        vision: the model whose latents these are, for the sliders.
        others: paths of other episodes, seen through the same model.
    """
    paths = (latent_path_of(trace, seed), *others)
    space = LatentSpace.of(np.concatenate([path.z for path in paths]))
    variance = trace.z.var(0)
    decodes = trace.reconstruction is not None and vision is not None
    return Exploration(
        trace=trace,
        paths=paths,
        space=space,
        places=tuple(space.project(path.z) for path in paths),
        order=np.argsort(-variance, kind="stable"),
        peaks=peaks_of(trace.surprise),
        editable=_editable(vision, trace.z, variance) if decodes and vision is not None else None,
    )


def peaks_of(surprise: np.ndarray, most: int = PEAKS) -> tuple[int, ...]:
    """Where (N,) values are the greatest of their surroundings and above the median; the greatest first."""
    values = np.where(np.isfinite(surprise), surprise, -np.inf)
    finite = surprise[np.isfinite(surprise)]
    if not len(finite):
        return ()
    apart, usual = max(2, len(values) // _APART), float(np.median(finite))
    found: list[int] = []
    for at in np.argsort(-values, kind="stable").tolist():
        if len(found) == most or values[at] <= usual:
            break
        around = values[max(0, at - apart) : at + apart + 1]
        if values[at] == around.max() and all(abs(at - other) > apart for other in found):
            found.append(at)
    return tuple(found)


def _editable(vision: VisionModel[Any], z: np.ndarray, variance: np.ndarray) -> EditableLatents:
    reach = max(REACH, float(np.abs(z).max()) * 1.05)
    made = EditableLatents(vision, z, variance, "variance", "Varies by {:.2g} (variance) in this episode", reach, 0.0)
    made.decode(z[0])  # the first time takes longer
    began = time.perf_counter()
    made.decode(z[0])
    return EditableLatents(vision, z, variance, made.sorted_by, made.tip, reach, time.perf_counter() - began)


def _thumb(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) that is no more than THUMB pixels high or wide."""
    from PIL import Image

    height, width = picture.shape[:2]
    share = THUMB / max(height, width)
    if share >= 1:
        return picture
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
