"""Decodes the sliders' latents off the GUI thread, where a decoder is too slow for it; only the latest is kept."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import QObject

from ewm_studio.ui.kit.background import Background, Failed
from ewm_studio.ui.latents.sliders import LatentPanel


class SlowDecoder(QObject):
    """Serves one panel of sliders. `failed` gets what goes wrong."""

    def __init__(self, panel: LatentPanel, background: Background, failed: Failed, parent: QObject) -> None:
        super().__init__(parent)
        self._panel, self._background, self._failed = panel, background, failed
        self._waiting: np.ndarray | None = None
        self._decoding = False
        panel.slow_decode.connect(self._decode)

    @property
    def idle(self) -> bool:
        """Whether the latest latent is decoded."""
        return not self._decoding

    def _decode(self, z: np.ndarray) -> None:
        """Decode a latent (Z,) now, or after the one that is being decoded."""
        self._waiting = z
        decodable = self._panel.decodable
        if self._decoding or decodable is None:
            return
        self._waiting, self._decoding = None, True
        self._background(partial(decodable.decode, z), self._on_decoded, self._on_failed)

    def _on_decoded(self, picture: np.ndarray) -> None:
        self._decoding = False
        self._panel.show_decoded(picture)
        if self._waiting is not None:
            self._decode(self._waiting)

    def _on_failed(self, error: BaseException) -> None:
        self._decoding = False
        self._failed(error)
