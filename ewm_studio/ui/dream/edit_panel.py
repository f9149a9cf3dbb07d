"""The latents of a dream, to be turned by hand while it rests or runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QTimer, Signal

from ewm_studio.driving.dream_snapshot import DreamSnapshot
from ewm_studio.ui.kit.widgets import button
from ewm_studio.ui.latents.sliders import LatentPanel

REACH = 3.0  # of the widest latent's spread that sliders go to
EDIT_MILLISECONDS = 80  # between two edits while a slider moves


@dataclass(frozen=True, eq=False)
class DreamtLatents:
    """The latents at one place of a dream; the session itself decodes them."""

    latents: np.ndarray  # (1, Z)
    weight: np.ndarray
    reach: float
    sorted_by: str = "spread"
    tip: str = "varies by {:.2f} as memory met it"

    @property
    def order(self) -> np.ndarray:
        """Indices of the numbers (Z,), those that vary most first."""
        return np.argsort(-self.weight, kind="stable")


class EditPanel(LatentPanel):
    """Follows the dream; what is turned by hand is asked for a few times a second."""

    edited = Signal(object)  # ((dimension, value), ...)

    def __init__(self) -> None:
        super().__init__(picture=False)
        self.done = button("Done", "", "Back to where dreams begin")
        self.done.setAccessibleName("Done with the latents")
        layout = self.layout()
        assert layout is not None
        layout.addWidget(self.done)
        self._seen: np.ndarray | None = None  # of the dream, last
        self._asked: list[np.ndarray] = []  # what the dream was asked to have and has not shown yet
        self._wanted: np.ndarray | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(EDIT_MILLISECONDS)
        self._soon.timeout.connect(self._ask)
        self.turned.connect(self._on_turned)

    def show_snapshot(self, snapshot: DreamSnapshot) -> None:
        """Follow a dream; what was set by hand stays until it moves."""
        z = snapshot.z
        if z is None or (self._seen is not None and np.array_equal(z, self._seen)):
            return
        self._seen = z.copy()
        came = next((at for at, asked in enumerate(self._asked) if np.allclose(asked, z, atol=1e-6)), None)
        if came is not None:
            del self._asked[: came + 1]
            return
        self._asked, self._wanted = [], None
        spread = snapshot.spread if snapshot.spread is not None else np.ones(len(z), np.float32)
        self.show_latents(None, 0)
        self.show_latents(DreamtLatents(z[None].copy(), spread, REACH * float(spread.max())), 0)

    def forget(self) -> None:
        """There is no dream any more."""
        self._seen, self._asked, self._wanted = None, [], None
        self._soon.stop()
        self.show_latents(None, 0)

    @property
    def _latest(self) -> np.ndarray | None:
        """What the dream has, or will have once it did what it was asked."""
        return self._asked[-1] if self._asked else self._seen

    def _on_turned(self, z: np.ndarray) -> None:
        latest = self._latest
        if latest is not None and len(z) == len(latest) and not np.array_equal(z, latest):
            self._wanted = z
            if not self._soon.isActive():
                self._soon.start()

    def _ask(self) -> None:
        latest, wanted = self._latest, self._wanted
        if wanted is None or latest is None:
            return
        changed = np.flatnonzero(wanted != latest)
        self._asked.append(wanted.copy())
        self._wanted = None
        self.edited.emit(tuple((int(dim), float(wanted[dim])) for dim in changed))
