"""Trained agents that come with the studio: offered where there is nothing of one's own yet, and watched at play."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QMenu

from ewm_studio import formatting as format
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.empty_state import Place
from ewm_studio.ui.page import PlaceGroup
from ewm_studio.ui.services import Services
from ewm_studio.workspace.pretrained import PretrainedModel, pretrained_models

FIRST_SEED = 100_000  # far from what any of them was trained on
TITLE = "Watch a trained agent"
_PREFIX = "pretrained:"


class PretrainedController(QObject):
    """Offers the models, and has the one that is chosen drive before one's eyes."""

    def __init__(self, services: Services, menu: QMenu) -> None:
        """Offer them in a menu, too."""
        super().__init__(services)
        self._services = services
        self.models = {model.name: model for model in pretrained_models()}
        if self.models:
            watch = menu.addMenu(TITLE)
            for place in self.group[1]:
                watch.addAction(place.text).triggered.connect(partial(self.answer, place.key))

    @property
    def group(self) -> PlaceGroup:
        """The models as places of an empty page."""
        return TITLE, [_place(model) for model in self.models.values()]

    def answer(self, key: str, _: bool = False) -> None:
        """Watch the model that a place stands for; the key of another place means nothing here."""
        if key.startswith(_PREFIX):
            self._services.notices.guarded(partial(self.watch, key.removeprefix(_PREFIX)), "watch the agent")()

    def watch(self, name: str) -> None:
        """Have a model drive in episodes that training never saw, at once.

        Raises:
            UserError: its settings cannot be read.
        """
        model = self.models[name]
        experiment = Experiment.from_toml(model.folder / "experiment.toml").with_values(
            ("infer.greedy", True), ("run.seed", FIRST_SEED)
        )
        self._services.watch_asked.emit(experiment, model.model, name)


def _place(model: PretrainedModel) -> Place:
    env, score = model.env.rpartition("/")[2], format.significant(model.score)
    tip = f"{model.name} on {env}: mean reward {score} over {model.card['evaluation']['episodes']} unseen episodes"
    return Place(f"{model.name} · {score}", _PREFIX + model.name, f"Watch {model.name}", tip)
