"""Trained models that come with the studio: `resources/pretrained/<name>/`, each with its card.

model.safetensors    the weights, as any model file
experiment.toml      the settings that made it
card.json, card.md   what it scores and what it took, for programs and for people
curve.png            how it learned, every seed
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ewm_studio.resources import resource
from ewm_studio.workspace.replays import MODEL_NAME

FOLDER = "pretrained"
CARD = "card.json"


@dataclass(frozen=True)
class PretrainedModel:
    """One model that comes with the studio.

    Attributes:
        name: what `--load-path` calls it.
        folder: where its files lie.
        card: its figures, as `training.card` writes them.
    """

    name: str
    folder: Path
    card: dict[str, Any]

    @property
    def model(self) -> Path:
        """The model file."""
        return self.folder / MODEL_NAME

    @property
    def env(self) -> str:
        """The environment it plays."""
        return str(self.card["env"])

    @property
    def score(self) -> float:
        """Mean reward over unseen episodes, played greedily."""
        return float(self.card["score"]["greedy"]["mean"])


def pretrained_models(folder: Path | None = None) -> list[PretrainedModel]:
    """The models in `folder` (by default those that come with the studio), by name; what has no card is left out."""
    cards = sorted((folder or resource(FOLDER)).glob(f"*/{CARD}"))
    return [
        PretrainedModel(card.parent.name, card.parent, json.loads(card.read_text(encoding="utf-8"))) for card in cards
    ]


def pretrained_model(name: str) -> PretrainedModel | None:
    """The model by this name; None if there is none."""
    return next((model for model in pretrained_models() if model.name == name), None)
