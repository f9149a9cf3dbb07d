"""A planner that drives in real time: plans are made beside the dream, which goes on by the plan before.

The session's thread never waits for a plan. The next one is begun as soon as a decision was taken, from what is
believed then; it is ready for the decision after that one where the machine is quick enough, and else some decisions
later, which meanwhile are what the plan before has for them (receding horizon control).
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from ewm_studio.acting.planning import PlanningPolicy
from ewm_studio.dreams.fan import pictures_of
from ewm_studio.models.belief import Belief
from ewm_studio.models.randomness import make_generator
from ewm_studio.models.world_model import WorldModel
from ewm_studio.settings import PlannerSettings

# The rounds are as many as a decision's time has room for: the first always, the others while time is left.
LIVE = PlannerSettings(candidates=32, rounds=3, horizon=12)
SHARE = 0.5  # of a decision's time that may be over before another round begins


class LivePlanner:
    """Plans for one dream in a thread of its own.

    Attributes:
        age: decisions that were taken by the present plan.
    """

    def __init__(self, world: WorldModel, seconds: float, seed: int = 0, settings: PlannerSettings = LIVE) -> None:
        """Plan in `world`, whose decisions have so many seconds each.

        Raises:
            UserError: see `PlanningPolicy`.
        """
        self._world = world
        self._policy = PlanningPolicy(world, settings, budget=SHARE * seconds)
        self._horizon, self._generator = settings.horizon, make_generator(seed, world.device)
        self._thread = ThreadPoolExecutor(1, "planner")
        self._made: Future[tuple[Tensor, np.ndarray | None]] | None = None  # what is being made
        self._taken = 0  # decisions since it was begun
        self._actions: Tensor | None = None  # (S, ...) of the present plan
        self._pictures: np.ndarray | None = None
        self._here: Belief | None = None  # what the plan is for
        self.age = 0

    def act(self, belief: Belief) -> np.ndarray | None:
        """What is planned for now; None where there is no plan for it yet, and one is being made."""
        if belief is not self._here:  # somebody else drove, or the dream was put elsewhere
            self._here, self._made, self._actions, self.age = belief, None, None, 0
        self._take_in()
        if self._actions is None or self.age >= len(self._actions):
            self._begin(belief)
            return None
        action: np.ndarray = self._actions[self.age].cpu().numpy()
        return action

    def go_on(self, belief: Belief) -> None:
        """What was planned has been done and led to a belief: plan on from there."""
        self._here = belief
        self.age += 1
        self._taken += 1
        self._take_in()
        self._begin(belief)

    def pictures_at(self, belief: Belief) -> np.ndarray | None:
        """Pictures (S, H, W, 3) of what is left of the plan where it is of this belief."""
        if self._actions is None or self._pictures is None or belief is not self._here:
            return None
        return self._pictures[self.age + 1 :]

    def close(self) -> None:
        """End the thread, once the plan that it is making is there."""
        self._thread.shutdown(cancel_futures=True)

    def _begin(self, belief: Belief) -> None:
        if self._made is None:
            self._taken = 0
            self._made = self._thread.submit(self._plan, belief.clone(), self._actions is None, self.age)

    def _take_in(self) -> None:
        """Follow the plan that is ready, if it still reaches to what is to be decided now."""
        if self._made is None or not self._made.done():
            return
        made, self._made = self._made, None
        self._actions, self._pictures = made.result()
        self.age = self._taken

    @torch.inference_mode()
    def _plan(self, belief: Belief, anew: bool, steps: int) -> tuple[Tensor, np.ndarray | None]:
        """In the planner's thread: the actions of a plan, and its pictures."""
        policy = self._policy
        if anew:
            policy.begin(1)
        else:
            policy.go_on(steps)
        policy.act(belief, self._generator)
        assert policy.plan is not None
        actions = torch.stack([policy.planned(step)[0] for step in range(self._horizon)])
        return actions, pictures_of(self._world, policy.plan.z[0])
