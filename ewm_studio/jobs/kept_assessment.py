"""What an assessment leaves beside the run whose model it is of: figures, and pictures to look at."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ewm_studio.errors import UserError
from ewm_studio.formatting import plain
from ewm_studio.workspace.files import write_bytes, write_text
from ewm_studio.workspace.pretrained import CARD

KEPT = "assessment.json"
PICTURES = {  # by what is on them, file and words
    "strip": (
        "assessment-strip.png",
        "Reality, one drawn dream, and the mean of 16 draws: after 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64 decisions",
    ),
    "actions": ("assessment-actions.png", "Each action held from one state: reality above one drawn dream"),
}


def keep_assessment(folder: Path, found: dict[str, Any], pictures: dict[str, NDArray]) -> None:
    """Write figures and pictures into a run's folder, in place of those of an earlier assessment.

    Raises:
        UserError or JobError: they cannot be written.
    """
    from PIL import Image

    for name, (file, _) in PICTURES.items():
        if name in pictures:
            written = io.BytesIO()
            Image.fromarray(pictures[name]).save(written, "PNG")
            write_bytes(folder / file, written.getvalue())
        else:
            with contextlib.suppress(OSError):
                (folder / file).unlink(missing_ok=True)
    write_text(folder / KEPT, json.dumps(plain(found), indent=1))


def kept_assessment(folder: Path) -> dict[str, Any] | None:
    """The figures kept in a run's folder, or in the card of a model that comes by itself; None of one never assessed.

    Raises:
        UserError: they cannot be read.
    """
    path, card = folder / KEPT, folder / CARD
    if not path.is_file() and not card.is_file():
        return None
    try:
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
        elif (found := json.loads(card.read_text(encoding="utf-8")).get("assessment")) is None:
            return None
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not an assessment ({error}); assess the run again") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: not an assessment; assess the run again")
    return found


def kept_pictures(folder: Path, found: dict[str, Any] | None = None) -> dict[str, tuple[Path, str]]:
    """The pictures kept in a run's folder: by what is on them, file and words; with the figures' names of actions."""
    names = (found or {}).get("actions")
    order = {"actions": f": {', '.join(map(str, names))}"} if isinstance(names, list) else {}
    return {
        name: (folder / file, words + order.get(name, ""))
        for name, (file, words) in PICTURES.items()
        if (folder / file).is_file()
    }
