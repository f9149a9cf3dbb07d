"""Versions of what a run is made with."""

from __future__ import annotations

from importlib import metadata

_VERSIONED = ("ewm-studio", "torch", "gymnasium", "numpy")


def versions() -> dict[str, str]:
    """Versions of what a run is made with."""
    return {name: metadata.version(name) for name in _VERSIONED}
