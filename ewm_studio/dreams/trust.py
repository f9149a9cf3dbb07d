"""How far a dream can be trusted, told without knowing what comes.

A dream is a bundle of draws under the same actions, of which the first is shown. Were the memory right, what comes
would be one more draw, so the error to expect of the shown one is its distance to the mean of the others, squared, and
their variance (`apart`). In latents it counts everything alike; in pictures (`pictures_apart`) what can be seen; and
what is lost on the way through decoder and encoder and back (`round_trip`) tells of latents that no picture has. The
signs are of different units: the meter is their geometric mean, each by what it is in the first steps. Signs of such a
kind: nicklashansen/mmbench2 (2026).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ewm_studio.dreams.limits import TRUSTED
from ewm_studio.models.base import Tag, VisionModel
from ewm_studio.models.belief import Belief
from ewm_studio.models.randomness import make_generator
from ewm_studio.models.world_model import WorldModel

DRAWS = 8  # of a dream whose trust is told
FIRST = 4  # steps whose signs are the measure of the later ones
DECODED_AT_ONCE = 256
LEAST = 1e-12


def apart(draws: Tensor) -> Tensor:
    """Squared error (...) to expect of the first of draws (D, ..., Z), two at least, summed over the last dimension."""
    return (draws[0] - draws[1:].mean(0)).square().sum(-1) + spread(draws)


def spread(draws: Tensor) -> Tensor:
    """Variance (...) over draws (D, ..., Z), two at least, summed over the last dimension."""
    return draws.var(0).sum(-1)


def shows_pictures(vision: VisionModel) -> bool:
    """Whether its latents can be looked at as pictures."""
    return Tag.RECONSTRUCTS in vision.tags and len(vision.observation_space.shape) == 3


@torch.no_grad()
def decoded(vision: VisionModel, z: Tensor) -> Tensor:
    """Pictures as numbers from 0 to 1 (..., C, H, W) of latents (..., Z)."""
    flat = z.reshape(-1, z.shape[-1])
    pictures = torch.cat([vision.decode(part).float() for part in flat.split(DECODED_AT_ONCE)])
    return pictures.view(*z.shape[:-1], *pictures.shape[1:])


@torch.no_grad()
def signs(vision: VisionModel, z: Tensor) -> dict[str, Tensor]:
    """The signs (...) of draws z (D, ..., Z) of one step or of many; `pictures_apart` is the mean over numbers."""
    found = {"apart": apart(z)}
    if shows_pictures(vision):
        pictures = decoded(vision, z)
        seen = pictures.flatten(-3)
        found["pictures_apart"] = apart(seen) / seen.shape[-1]
        first = pictures[0].reshape(-1, *pictures.shape[-3:])
        back = torch.cat([vision.encode(part) for part in first.split(DECODED_AT_ONCE)]).view_as(z[0])
        found["round_trip"] = (z[0] - back).square().sum(-1)
    return found


def usual(of_first_steps: dict[str, Tensor]) -> dict[str, float]:
    """What signs are where a dream has hardly begun: their medians there."""
    return {name: float(sign.median()) for name, sign in of_first_steps.items()}


def meter(found: dict[str, Tensor], measure: dict[str, float]) -> Tensor:
    """One number (...) from signs and their usual values: 1 as in the first steps, 4 where four times that is wrong."""
    logs = [sign.clamp_min(LEAST).log() - math.log(max(measure[name], LEAST)) for name, sign in found.items()]
    return torch.stack(logs).mean(0).exp()


class TrustMeter:
    """The meter of dreams that go on, a step at a time.

    Args:
        vision: V.
        measure: what signs usually are in the first steps, as an assessment found it; without, each dream is measured
            by its own first steps, and says 1 there.
    """

    def __init__(self, vision: VisionModel, measure: dict[str, float] | None = None) -> None:
        self._vision = vision
        self._given = measure
        self._first: dict[str, list[Tensor]] = {}

    def begin(self) -> None:
        """Another dream begins."""
        self._first = {}

    @property
    def settled(self) -> bool:
        """Whether what it measures by is complete."""
        return self._given is not None or (
            all(len(kept) == FIRST for kept in self._first.values()) and bool(self._first)
        )

    def state(self) -> dict[str, Tensor]:
        """What it measures by as far as it has seen."""
        return {name: torch.stack(kept) for name, kept in self._first.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Measure on as when `state` was taken."""
        self._first = {name: list(kept) for name, kept in state.items()}

    def read(self, z: Tensor) -> float:
        """How many times as wrong as at first the shown dream is by now, from the draws (D, Z) of its next step."""
        found = signs(self._vision, z)
        if self._given is not None:
            return float(meter(found, self._given))
        for name, sign in found.items():
            if len(kept := self._first.setdefault(name, [])) < FIRST:
                kept.append(sign)
        return float(meter(found, usual({name: torch.stack(kept) for name, kept in self._first.items()})))


class Witnesses:
    """Other draws of a dream that goes on, under the same actions, by which its trust is told.

    They draw from a generator of their own, so that the dream is the same with and without them.
    """

    def __init__(self, world: WorldModel, measure: dict[str, float] | None = None, draws: int = DRAWS) -> None:
        """Witness the dreams of `world`; see `TrustMeter` for `measure`."""
        self._world, self._draws = world, draws
        self._meter = TrustMeter(world.vision, measure)
        self._generator = make_generator(0, world.device)
        self._belief: Belief | None = None

    def begin(self, belief: Belief, seed: int) -> None:
        """A dream begins at this belief, of one."""
        self._belief = belief.rows([0] * (self._draws - 1)).clone()
        self._generator.manual_seed(seed)

    @property
    def settled(self) -> bool:
        """Whether a step that was taken before need not be read again."""
        return self._meter.settled

    @torch.inference_mode()
    def follow(self, action: Tensor, temperature: float) -> None:
        """The dream took a step under an action (1, ...)."""
        assert self._belief is not None
        taken = action.expand(self._draws - 1, *action.shape[1:])
        self._belief, _, _ = self._world.imagine(self._belief, taken, temperature, self._generator)

    @torch.inference_mode()
    def read(self, z: Tensor) -> float:
        """The trust of the dream, whose latent is z (1, Z) by now."""
        assert self._belief is not None
        return self._meter.read(torch.cat([z, self._belief.z]))

    def state(self) -> dict[str, Any]:
        """Where the witnesses stand."""
        assert self._belief is not None
        belief = self._belief.clone()
        return {
            "z": belief.z,
            "h": belief.h,
            "memory": belief.memory,
            "generator": self._generator.get_state(),
            "meter": self._meter.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where `state` was taken."""
        self._belief = Belief(state["z"], state["h"], state["memory"]).clone()
        self._generator.set_state(state["generator"])
        self._meter.restore(state["meter"])


def lasts(trust: Sequence[float], limit: float = TRUSTED) -> int | None:
    """The step, counted from 1, up to which a dream whose meter read so until now can be trusted.

    That is the one before the mean of a few readings passed the limit, or where a line through their logarithms will
    pass it; None where it is not in sight.
    """
    known = [max(value, LEAST) for value in trust if not math.isnan(value)]
    if len(known) < 2 * FIRST:
        return None
    logs = torch.tensor(known, dtype=torch.float64).log()
    smooth = logs.unfold(0, FIRST, 1).mean(1)
    over = torch.nonzero(smooth > math.log(limit)).flatten()
    if len(over):
        return int(over[0]) + FIRST - 1
    steps = torch.arange(1, len(logs) + 1, dtype=torch.float64)
    slope = float(((steps - steps.mean()) * (logs - logs.mean())).sum() / (steps - steps.mean()).square().sum())
    if slope <= 1e-4:
        return None
    return int(float(steps.mean()) + (math.log(limit) - float(logs.mean())) / slope)
