"""Under what conditions a study was run: the machine, the versions, and the file as it was."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.workspace.files import write_text
from ewm_studio.workspace.studies import BASE, COPY, StudyFolder

NAME = "conditions.json"


@dataclass(frozen=True)
class Conditions:
    """What a report says of how a study came about.

    Attributes:
        machine: what it is, by name.
        versions: of the packages.
        began: when it was first run, in seconds since 1970.
        text: of the study's file.
    """

    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    began: float | None = None
    text: str = ""


def keep_conditions(folder: StudyFolder, text: str, machines: str = "", base: str = "") -> None:
    """Keep them as they are now; when it was first run stays.

    Args:
        folder: the study's.
        text: of its file.
        machines: what computes the runs, where that is not this computer.
        base: the text of the file that it is based on, where it is on one.

    Raises:
        UserError or JobError: they cannot be written.
    """
    from ewm_studio.jobs.card import machine
    from ewm_studio.workspace.versions import versions

    began = None
    with contextlib.suppress(UserError):  # the first time, or damaged: it is written anew
        began = kept_conditions(folder).began
    place = {**machine(), "computed on": machines} if machines else machine()
    found = asdict(Conditions(place, versions(), began or time.time()))
    found.pop("text")
    write_text(folder.path / NAME, json.dumps(found, indent=1) + "\n")
    if base:
        write_text(folder.path / BASE, base)
    write_text(folder.path / COPY, text)


def kept_conditions(folder: StudyFolder) -> Conditions:
    """What was kept.

    Raises:
        UserError: the study was never run, or the files are damaged.
    """
    try:
        values = json.loads((folder.path / NAME).read_text("utf-8"))
        return Conditions(**values, text=(folder.path / COPY).read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"study {folder.name} was never run here: begin with ewm-studio study run") from None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder.path / NAME}: not what a study keeps ({error}); run the study once more") from None
