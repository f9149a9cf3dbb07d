"""Packages that are installed for one test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ewm_studio.models import registry
from ewm_studio.terminal import parsers

# What a package may do when it is imported.
MISDEEDS = {
    "exits": "import sys; sys.exit(0)",
    "exits_without_code": "raise SystemExit",
    "interrupts": "raise KeyboardInterrupt",
    "strange": "class Strange(BaseException): pass\nraise Strange('a line\\nand another')",
    "fails": "1 / 0",
    "broken": "def",
    "recurses": "def f(): f()\nf()",
    "exits_a_generator": "raise GeneratorExit",
    "prints": "print('{\"hello\": 1}')\nimport os; os.write(1, b'from below')",
}


def distribution(place: Path, name: str, source: str, entries: str) -> None:
    """A package in a folder, as an installer would leave it."""
    about = place / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (place / f"{name}.py").write_text(source)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(entries)


@contextmanager
def installed(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, str], entries: str = ""
) -> Iterator[None]:
    """Have a distribution `name` in the folder `place`, with these files and `entry_points.txt`, on Python's path."""
    about = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "entry_points.txt": entries}
    wanted = files | {f"{name}-1.0.dist-info/{file}": text for file, text in about.items()}
    for file, text in wanted.items():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text(text)
    monkeypatch.syspath_prepend(place)
    forget_components()
    yield
    forget_components()
    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        del sys.modules[module]


def forget_components() -> None:
    """Have what is installed looked for anew: components and kinds of jobs."""
    registry._found.cache_clear()
    registry.components.cache_clear()
    parsers.kinds_told.cache_clear()
