"""Reality beside a dream: the true environment forked from the same moment, in lock-step under the same actions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ewm_studio.dreams.real_world import Dreamer, Moment, RealWorld
from ewm_studio.dreams.trust import decoded, shows_pictures
from ewm_studio.models.base import Tag
from ewm_studio.models.belief import Belief
from ewm_studio.models.prediction import PredictiveMemory
from ewm_studio.models.randomness import make_generator
from ewm_studio.models.world_model import WorldModel

PARTED = 0.5  # drift: half of what any two moments differ by
DRAWN = 64  # latents by which it is found what pictures vary by
FOR_STEPS = 5  # so long, since a single draw may be odd


@dataclass(frozen=True, slots=True)
class RealStep:
    """What reality did in one step of a dream.

    Attributes:
        reward: the environment's, over the frames of the decision.
        over: its episode has ended; then there is nothing to compare any more.
        drift: squared distance of the dreamt picture from V's reconstruction of reality, as a share of what two moments
            that have nothing to do with each other differ by: 0 is the same, 1 is any other moment. Of latents where V
            makes no pictures.
        difference: mean squared error of the dreamt picture from reality as V is shown it, in 0 to 1; of numbers,
            of numbers. NaN where V does not decode.
        surprise: squared error of the latent that memory, awake, expected of reality, as a share of latents' variance.
    """

    reward: float
    over: bool
    drift: float = math.nan
    difference: float = math.nan
    surprise: float = math.nan


class Beside:
    """The true environment, standing where a dream stands; it is led there by seed and actions.

    Attributes:
        world: the environment.
        pictures: what it showed in the frames of the last decision, uint8 (H, W, 3) each; empty where it draws none.
        picture: the last of them.
    """

    def __init__(self, dreamer: Dreamer, moment: Moment, belief: Belief, watched: bool = True) -> None:
        """Fork the true environment at a moment.

        Args:
            dreamer: whose dream it is beside.
            moment: where it is forked.
            belief: what is believed there.
            watched: keep `pictures`.

        Raises:
            UserError: the model sees or does something else. JobError: the environment failed.
        """
        self._dreamer, self._moment, self._watched = dreamer, moment, watched
        self._picture_spread = picture_spread_of(dreamer.model) if shows_pictures(dreamer.model.vision) else 1.0
        self._seen: Tensor | None = None
        self._repeat = dreamer.env.action_repeat
        self._begun, self._awake = belief, belief
        self.world = RealWorld(moment.env)
        self.picture: np.ndarray | None = None
        self.pictures: list[np.ndarray] = []
        try:
            self.world.check_fits(dreamer)
            self.go([])
        except BaseException:
            self.world.close()
            raise

    @property
    def awake(self) -> Belief:
        """What a model that sees reality believes now."""
        return self._awake

    @torch.inference_mode()
    def use(self, dreamer: Dreamer, belief: Belief | None = None) -> None:
        """Look at reality through another model from now on, which believes what this belief remembers."""
        if dreamer is self._dreamer:
            return
        self._dreamer = dreamer
        if shows_pictures(dreamer.model.vision):
            self._picture_spread = picture_spread_of(dreamer.model)
        if belief is not None:
            self._awake = Belief(dreamer.model.vision.encode(self._observed()), belief.h, belief.memory).clone()

    def go(self, actions: Sequence[NDArray], awake: Belief | None = None, at: int = 0) -> None:
        """Stand where decisions (D, ...) lead from the fork, from the reset on again.

        Args:
            actions: the decisions.
            awake: what was believed after the first `at` of them, so that only the others are looked at.
            at: how many.

        Raises:
            JobError: the environment failed.
        """
        self._awake = self._begun if awake is None else awake
        self.world.lead(self._moment.seed, self._moment.actions)
        for number, action in enumerate(actions):
            for _ in range(self._repeat):
                self.world.frame(action)
            if number >= at and not self.world.over:
                self._wake(action)
        self.pictures = []
        self._look()

    def step(self, action: Any, z: Tensor) -> RealStep:
        """One decision under the action that led the dream to latents z (1, Z).

        Raises:
            JobError: the environment failed.
        """
        earned, self.pictures = 0.0, []
        for _ in range(self._repeat):
            self.world.frame(action)
            earned += self.world.reward
            if self._watched:
                self._look()
        if self.world.over:
            return RealStep(earned, True)
        return RealStep(earned, False, *self._compared(action, z))

    def close(self) -> None:
        """End the environment."""
        self.world.close()

    def _look(self) -> None:
        if self._watched and (picture := self.world.picture()) is not None:
            self.pictures.append(picture)
            self.picture = picture

    @torch.inference_mode()
    def _wake(self, action: NDArray) -> Tensor | None:
        """Let the model see what came of an action; the latent (Z,) that it had expected, where it expects any."""
        model = self._dreamer.model
        self._awake = model.observe(self._awake, torch.as_tensor(action, device=model.device)[None], self._observed())
        if not isinstance(model.memory, PredictiveMemory):
            return None
        return model.memory.predict(self._awake.h).mean[0]

    @torch.inference_mode()
    def _compared(self, action: NDArray, z: Tensor) -> tuple[float, float, float]:
        """Drift, difference and surprise, see `RealStep`."""
        model = self._dreamer.model
        expected = self._wake(action)
        real = self._awake.z
        surprise = math.nan if expected is None else float((expected - real[0]).square().sum()) / spread_of(model)
        if not shows_pictures(model.vision):
            return float((z - real).square().sum()) / (2 * spread_of(model)), self._difference(z), surprise
        dreamt, seen = decoded(model.vision, torch.cat([z, real]))
        drift = float((dreamt - seen).square().mean()) / (2 * self._picture_spread)
        return drift, self._difference(z, dreamt), surprise

    def _difference(self, z: Tensor, dreamt: Tensor | None = None) -> float:
        """Mean squared error of what is dreamt from the observation that V was just shown."""
        vision = self._dreamer.model.vision
        if Tag.RECONSTRUCTS not in vision.tags:
            return math.nan
        assert self._seen is not None
        obs = self._seen.float() / 255 if self._seen.dtype == torch.uint8 else self._seen.float()
        dreamt = vision.decode(z)[0].float() if dreamt is None else dreamt
        return float((dreamt - obs[0]).square().mean())

    def _observed(self) -> Tensor:
        """Reality now as V is shown it, (1, ...)."""
        obs = np.array(self._dreamer.preprocessor(self.world.raw()))[None]
        self._seen = torch.from_numpy(obs).to(self._dreamer.model.device)
        return self._seen


def spread_of(world: WorldModel) -> float:
    """What latents vary by, summed over their dimensions, as memory met them; 1 where it does not say."""
    memory = world.memory
    if isinstance(memory, PredictiveMemory) and float(memory.latent_scale.count) > 0:
        return max(float(memory.latent_scale.variance.sum()), 1e-12)
    return 1.0


@torch.inference_mode()
def picture_spread_of(world: WorldModel) -> float:
    """What the numbers of pictures vary by, in 0 to 1, over latents as memory met them."""
    memory = world.memory
    draws = torch.zeros(DRAWN, memory.latent_dim, device=world.device).normal_(
        generator=make_generator(0, world.device)
    )
    if isinstance(memory, PredictiveMemory):
        draws = memory.latent_scale.restore(draws)
    return max(float(decoded(world.vision, draws).var(0).mean()), 1e-6)


def parting(drift: Sequence[float], limit: float = PARTED, steps: int = FOR_STEPS) -> int | None:
    """The first step, counted from 1, from which on a dream was elsewhere for so many in a row; None for never.

    A drift that is not known ends a row.
    """
    row = 0
    for number, value in enumerate(drift, 1):
        row = row + 1 if value > limit else 0
        if row == steps:
            return number - steps + 1
    return None
