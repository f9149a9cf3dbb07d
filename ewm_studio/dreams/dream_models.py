"""The models of a workspace, and those that come with the studio, in whose dreams one can drive."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.models.base import Tag
from ewm_studio.models.registry import component
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import read_metadata
from ewm_studio.workspace.pretrained import pretrained_models


@dataclass(frozen=True)
class DreamModel:
    """A model whose memory predicts.

    Attributes:
        name: of its run, or what it is called where it came with the studio.
        path: the model's file.
        env: the environment that it dreams of.
        memory: the name of its memory.
        folder: of its run, where an assessment is kept beside it.
        shipped: it came with the studio.
    """

    name: str
    path: Path
    env: str
    memory: str
    folder: Path
    shipped: bool = False


def dream_models(workspace: Workspace) -> list[DreamModel]:
    """All of them: those of runs, the newest first, then those that came with the studio."""
    found = []
    for info in workspace.runs():
        memory = predicting(info.parts)
        if info.checkpoint and memory:
            found.append(DreamModel(info.name, info.folder / info.checkpoint, info.env, memory, info.folder))
    for shipped in pretrained_models():
        with contextlib.suppress(UserError):
            if memory := predicting(read_metadata(shipped.model).get("parts", {})):
                found.append(DreamModel(shipped.name, shipped.model, shipped.env, memory, shipped.folder, True))
    return found


def predicting(parts: dict[str, Any]) -> str:
    """The name of the memory among described parts where it predicts; else empty."""
    name = str(parts.get("memory", {}).get("name", ""))
    with contextlib.suppress(UserError):
        return name if name and Tag.PREDICTS in component("memory", name).tags else ""
    return ""
