"""CMA-ES of a linear controller (Hansen 2016, "The CMA evolution strategy: a tutorial"), as in World Models.

World Models (Ha & Schmidhuber 2018) finds its controller so: nothing is differentiated, a candidate is judged by whole
episodes, in the environment or in the memory's dream alike.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ewm_studio.acting.population import Population, judge, linear_layer
from ewm_studio.envs.simulator import Episode, Simulator
from ewm_studio.errors import UserError
from ewm_studio.models.base import Controller
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings.evolution import EvolutionSettings

with warnings.catch_warnings():  # it would like to draw
    warnings.simplefilter("ignore")
    import cma

MOST_WEIGHTS = 5000  # with all correlations: the square of it is kept and decomposed
APART = 1_000_003  # between the seeds of two generations


class CMAES:
    """A `Learner` of a linear controller from whole episodes in a simulator, a generation an update.

    The controller is given the mean of the search distribution, which is judged by more than any one candidate is.

    Attributes:
        generation: how many there were.
        played: the episodes of the last one.
        steps: decisions that were taken for it, so far.
        figures: of the last one.
    """

    def __init__(self, world: WorldModel, controller: Controller, settings: EvolutionSettings, seed: int = 0) -> None:
        """Evolve `controller`, which acts on what `world` believes; all draws follow from `seed`.

        Raises:
            UserError: the controller is not linear, or has too many weights.
        """
        self.world, self.controller, self.settings, self.seed = world, controller, settings, seed
        layer = linear_layer(controller)
        weights = layer.weight.numel() + layer.bias.numel()
        if weights > MOST_WEIGHTS and not settings.diagonal:
            raise UserError(
                f"evolution of {weights:,} weights with all their correlations would take too long: "
                f"set evolution.diagonal to true, or use a memory with a smaller hidden state"
            )
        self._first = torch.cat([layer.weight.detach().flatten(), layer.bias.detach()]).double().cpu().numpy()
        self._fitness: list[np.ndarray] = []
        self.played: list[Episode] = []
        self.steps = 0
        self.figures: dict[str, float] = {}
        self._search = self._begun()

    @property
    def generation(self) -> int:
        """How many there were."""
        return len(self._fitness)

    def _begun(self) -> Any:
        rng = np.random.default_rng(self.seed)
        options = {
            "popsize": self.settings.population,
            "CMA_diagonal": self.settings.diagonal,
            "randn": lambda *shape: rng.standard_normal(shape),
            "seed": float("nan"),  # NumPy's own generator is nobody's to seed
            "verbose": -9,
            "verb_log": 0,
        }
        return cma.CMAEvolutionStrategy(self._first, self.settings.sigma, options)

    def update(self, experience: Simulator, left: float = 1.0) -> dict[str, float]:
        """Judge one generation in a simulator and learn from it, whatever is `left` of the run."""
        for _ in self.judge(experience):
            pass
        return self.figures

    def judge(self, simulator: Simulator) -> Iterator[int]:
        """`update`, step by step: the decisions so far. One that is not gone through to its end counts for nothing."""
        candidates = self._search.ask()
        population = Population(self.controller, np.stack(candidates), self.settings.episodes)
        for steps in judge(population, simulator, self.world, self.seed + APART * self.generation):
            self.steps = steps
            yield steps
        self.played = population.played
        scores = population.scores()
        self._take_in(candidates, -scores)
        self.figures = {
            "evolution/best": float(scores.max()),
            "evolution/mean": float(scores.mean()),
            "evolution/spread": float(scores.std()),
            "evolution/sigma": float(self._search.sigma),
        }

    def _take_in(self, candidates: list[np.ndarray], fitness: np.ndarray) -> None:
        self._search.tell(candidates, fitness.tolist())
        self._fitness.append(fitness)
        layer = linear_layer(self.controller)
        mean = torch.as_tensor(self._search.mean, dtype=layer.weight.dtype, device=layer.weight.device)
        with torch.no_grad():
            layer.weight.copy_(mean[: layer.weight.numel()].view_as(layer.weight))
            layer.bias.copy_(mean[layer.weight.numel() :])

    def state(self) -> dict[str, Any]:
        """For an exact resume: where it began, and what was earned since, from which all else follows."""
        return {"first": self._first, "fitness": np.array(self._fitness), "seed": self.seed}

    def restore(self, state: dict[str, Any]) -> None:
        """Undo `state`, by going through its generations once more without playing."""
        self._first, self.seed = np.asarray(state["first"]), int(state["seed"])
        self._fitness, self._search = [], self._begun()
        for fitness in np.asarray(state["fitness"]).reshape(-1, self.settings.population):
            self._take_in(self._search.ask(), fitness)
