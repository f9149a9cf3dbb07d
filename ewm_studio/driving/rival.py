"""The same start driven by somebody else: a dream of its own beside the one that is driven, step for step."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ewm_studio.acting.policy import Policy
from ewm_studio.dreams.simulator import DreamSimulator
from ewm_studio.models.belief import Belief
from ewm_studio.models.randomness import make_generator
from ewm_studio.models.world_model import WorldModel


class Rival:
    """A dream in which a policy decides; it begins at the same belief, and draws from the same seed.

    Attributes:
        name: who drives.
        world: dreams.
    """

    def __init__(
        self, world: WorldModel, start: Belief, policy: Policy, *, name: str, seed: int, temperature: float
    ) -> None:
        """Stand at the start; nothing is dreamt before `reach`.

        Args:
            world: dreams.
            start: a belief of one.
            policy: decides.
            name: who that is.
            seed: of what is drawn.
            temperature: of the draws.
        """
        self.name, self.world, self._policy = name, world, policy
        self._simulator = DreamSimulator(world, start, temperature=temperature, episodes=1)
        self._simulator.reset(seed)
        self._generator = make_generator(seed, world.device)
        self._z: list[Tensor] = [start.z[0].clone()]
        self._returns = [0.0]
        self.over = False

    @torch.inference_mode()
    def reach(self, step: int) -> None:
        """Dream until so many decisions were taken, or the dream has ended."""
        while len(self._z) <= step and not self.over:
            action: Any = self._policy.act(self._simulator.belief, self._generator)
            taken = self._simulator.step(torch.as_tensor(action))
            self.over = bool(taken.terminated[0])
            self._z.append(self._simulator.belief.z[0].clone())
            self._returns.append(self._returns[-1] + float(taken.reward[0]))

    def z(self, step: int) -> Tensor:
        """The latents (Z,) after so many decisions; the last there are where it ended before."""
        self.reach(step)
        return self._z[min(step, len(self._z) - 1)]

    def dreamt_return(self, step: int) -> float:
        """The rewards dreamt until then."""
        self.reach(step)
        return self._returns[min(step, len(self._returns) - 1)]

    @torch.inference_mode()
    def raw(self, step: int) -> NDArray:
        """The numbers (D,) that vision makes of it."""
        made: NDArray = self.world.vision.decode(self.z(step)[None])[0].float().cpu().numpy()
        return made
