"""Where icons, style, presets and pretrained models lie: beside the package in a checkout, inside it when installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(*parts: str) -> Path:
    """Path of a file or folder under `resources/`; it may not exist."""
    inside = _PACKAGE / "resources"
    return (inside if inside.is_dir() else _PACKAGE.parent / "resources").joinpath(*parts)


def presets() -> list[Path]:
    """The ready-made experiments, by name."""
    return [path for path in sorted(resource("presets").glob("*.toml")) if path not in study_presets()]


def study_presets() -> list[Path]:
    """The ready-made studies, by name."""
    return sorted(resource("presets").glob("*.study.toml"))
