"""Trained models that come with the studio: offered where there is nothing of one's own yet, played, and watched."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from ewm_studio import formatting as format
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.settings import Experiment
from ewm_studio.ui.kit.widgets import Place
from ewm_studio.workspace.pretrained import Shipped, shipped_models

if TYPE_CHECKING:
    from ewm_studio.ui.window.studio import Studio

EPISODES = 5
FIRST_SEED = 100_000  # far from what any of them was trained on
TITLE = "Watch a trained agent"
_PREFIX = "shipped:"


class ShippedController(QObject):
    """Offers the models, has the one that is chosen play a few episodes, and turns to the Replay page then."""

    def __init__(self, studio: Studio, guarded: Callable[[Callable[[], None]], Callable[[], None]]) -> None:
        """`guarded` makes bad input a dialog."""
        super().__init__(studio)
        self._studio, self._guarded = studio, guarded
        self._models = {model.name: model for model in shipped_models()}
        self._watching = False
        window = studio.window
        for page in (window.train_page, window.replay_page, window.runs_page):
            page.empty.asked.connect(self._on_asked)
        for page in (window.replay_page, window.runs_page):
            page.empty.show_places((self.group,))
        if self._models:
            menu = window.menus["Help"].addMenu(TITLE)
            for place, name in zip(self.group[1], self._models, strict=True):
                menu.addAction(place.text).triggered.connect(partial(self._on_asked, _PREFIX + name))
        studio.jobs.ended.connect(self._on_ended)

    @property
    def group(self) -> tuple[str, list[Place]]:
        """The models as places of an empty page."""
        return TITLE, [_place(model) for model in self._models.values()]

    def _on_asked(self, key: str, *_: object) -> None:
        if key.startswith(_PREFIX):
            self._guarded(partial(self.watch, key.removeprefix(_PREFIX)))()

    def watch(self, name: str) -> None:
        """Have a model play a few episodes that training never saw.

        Raises:
            UserError: its settings cannot be read.
        """
        model = self._models[name]
        experiment = Experiment.from_toml(model.folder / "experiment.toml").with_values(
            ("infer.episodes", EPISODES), ("infer.greedy", True), ("run.seed", FIRST_SEED), ("run.device", "auto")
        )
        workspace = str(self._studio.workspace.path.resolve())
        job = JobSpec("infer", workspace, experiment.model_dump(mode="json"), model=str(model.model))
        self._watching = True
        self._studio.submit("infer", job, f"Watch {name}")

    def _on_ended(self, kind: str, failure: object) -> None:
        if kind == "infer" and self._watching:
            self._watching = False
            if failure is None:
                self._studio.window.show_page("replay")


def _place(model: Shipped) -> Place:
    env, score = model.env.rpartition("/")[2], format.significant(model.score)
    tip = f"{model.name}: mean reward {score} over {model.card['evaluation']['episodes']} unseen episodes"
    return Place(f"{env} · {score}", _PREFIX + model.name, f"Watch {model.name}", tip)
