"""How far a memory can be trusted as a world: figures on held-out experience, for `assess` and for cards."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ewm_studio.analysis import open_loop
from ewm_studio.analysis.dreamt_pictures import Read, picture_figures
from ewm_studio.analysis.open_loop import HORIZONS, Dreamt
from ewm_studio.analysis.outcomes import end_figures, reward_figures
from ewm_studio.analysis.read_back import action_read_back
from ewm_studio.analysis.windows import Windows
from ewm_studio.dreams import trust
from ewm_studio.models.base import MemoryModel
from ewm_studio.models.imagining import imagined
from ewm_studio.models.randomness import permutation
from ewm_studio.models.world_model import WorldModel

LONG = 1000  # decisions that a dream goes on for, to see whether it stays where latents are
TRUSTED = 64  # windows on which the trust meter is tried where its signs are decoded
METER_TIMED = 20  # readings


class Assessment:
    """All figures that need no environment, a part at a time.

    Args:
        world: V and M.
        untrained: the same memory with fresh weights.
        windows: stretches that nothing was trained on.
        read: observations by number in the store.
        generator: draws the dreams.

    Attributes:
        found: plain values; errors by what was guessed are lists, one number for each of `horizons`.
        dreamt: the dreams that most figures are of.
    """

    def __init__(
        self, world: WorldModel, untrained: MemoryModel, windows: Windows, read: Read, generator: Generator
    ) -> None:
        self.world, self.windows = world, windows
        self._untrained, self._read, self._generator = untrained, read, generator
        self.horizons = [k for k in HORIZONS if k <= windows.horizon]
        self.found: dict[str, Any] = {
            "windows": windows.count,
            "context": windows.context,
            "horizons": self.horizons,
        }
        self.dreamt: Dreamt
        self._others: dict[str, Tensor] = {}
        self._parts: list[Callable[[], dict[str, Any]]] = [self._errors, self._outcomes, self._actions, self._limits]
        self._parts.append(lambda: {"trust": trust_figures(world, windows, self.dreamt)})
        if trust.shows_pictures(world.vision):
            self._parts.append(self._pictures)

    @property
    def parts(self) -> int:
        """How many there are."""
        return len(self._parts)

    def measure(self) -> Iterator[int]:
        """Measure part after part; gives how many are done."""
        for number, part in enumerate(self._parts, 1):
            self.found |= part()
            yield number

    def _errors(self) -> dict[str, Any]:
        memory, windows = self.world.memory, self.windows
        self.dreamt = open_loop.dream(memory, windows, generator=self._generator)
        draws = len(self.dreamt.z)
        self._others = open_loop.beside(memory, self._untrained, windows, draws, self._generator)
        errors = open_loop.latent_errors(windows, self.dreamt, self._others)
        return {
            "z_error": {name: [float(values[k - 1]) for k in self.horizons] for name, values in errors.items()},
            "usable_horizon": open_loop.usable_horizon(errors),
        }

    def _outcomes(self) -> dict[str, Any]:
        return {
            "return_correlation": open_loop.return_correlations(self.windows, self.dreamt),
            "reward": reward_figures(self.windows, self.dreamt),
            "end": end_figures(self.windows, self.dreamt),
        }

    def _actions(self) -> dict[str, Any]:
        return {
            "action_ratio": action_ratio(self.world.memory, self.windows, self._generator),
            "action_read_back": action_read_back(self.windows, self.dreamt, self._generator),
        }

    def _limits(self) -> dict[str, Any]:
        return {
            "stays_in_range": stays_in_range(self.world.memory, self.windows, self._generator),
            "milliseconds": milliseconds(self.world.memory, self.windows),
        }

    def _pictures(self) -> dict[str, Any]:
        return picture_figures(self.world, self.windows, self.dreamt, self._others, self._read, self.horizons)


def assess_memory(
    world: WorldModel, untrained: MemoryModel, windows: Windows, read: Read, generator: Generator
) -> dict[str, Any]:
    """All figures of an `Assessment` at once."""
    assessment = Assessment(world, untrained, windows, read, generator)
    for _ in assessment.measure():
        pass
    return assessment.found


@torch.no_grad()
def action_ratio(memory: MemoryModel, windows: Windows, generator: Generator) -> float:
    """One-step error under the actions of other windows over that under the true ones: 1 where M ignores actions."""
    order = permutation(windows.count, generator).to(windows.z.device)
    wrong = []
    for action in (windows.action[:, order], windows.action):
        started = torch.zeros(action.shape[:2], dtype=torch.bool, device=action.device)
        h, _ = memory.sequence(windows.z[:-1], action, started, memory.initial_state(windows.count))
        wrong.append(float((memory.predict(h).mean - windows.z[1:])[windows.context // 2 :].square().mean()))
    return wrong[0] / max(wrong[1], 1e-12)


@torch.no_grad()
def stays_in_range(memory: MemoryModel, windows: Windows, generator: Generator) -> float:
    """Share of some dreams of `LONG` decisions that never go further beyond the latents seen than these range."""
    count = min(16, windows.count)
    start, state = windows.start[:count], memory.initial_state(count)
    seen = windows.z.flatten(0, 1)
    low, high = seen.amin(0), seen.amax(0)
    room = (high - low).clamp_min(1e-9)
    inside = torch.ones(count, dtype=torch.bool, device=start.device)
    taken = (windows.acted[step % windows.horizon, :count] for step in range(LONG))
    for following in imagined(memory, start, state, taken, 1.0, generator):
        inside &= ((following.z >= low - room) & (following.z <= high + room)).all(-1)
    return float(inside.float().mean())


@torch.no_grad()
def trust_figures(world: WorldModel, windows: Windows, dreamt: Dreamt) -> dict[str, Any]:
    """How well the trust meter tells the true error, the squared error of the dream that is shown, by rank correlation.

    Returns:
        `meter`: over all steps of all windows; `across_steps`: of the means at each step, which grow as dreams go on;
        `at_one_step`: among windows after the same step, mean over steps, where only the difference between dreams
        counts; `at_horizons`: over those steps alone that errors are told at; `attainable`: of the meter with the error
        that the dream would have were one more draw what comes, so what it would tell of a memory that is right;
        `signs`: of each by itself; `pictures`: of the spread of pictures with the mean error of the draws' pictures;
        `usual`: the signs in the first steps; `milliseconds`: of one reading.
    """
    vision, seeing = world.vision, trust.shows_pictures(world.vision)
    count = min(TRUSTED, windows.count) if seeing else windows.count
    chosen = torch.from_numpy(np.linspace(0, windows.count - 1, count).round().astype(int)).to(dreamt.z.device)
    draws, another = dreamt.z[: trust.DRAWS, :, chosen], dreamt.z[-1, :, chosen]
    signs = trust.signs(vision, draws)
    usual = trust.usual({name: sign[: trust.FIRST] for name, sign in signs.items()})
    told = trust.meter(signs, usual)
    future = windows.future[:, chosen]
    wrong = (draws[0] - future).square().sum(-1)
    at = [k - 1 for k in HORIZONS if k <= windows.horizon]
    found: dict[str, Any] = {
        "meter": _ranked(told, wrong),
        "across_steps": _ranked(told.mean(1), wrong.mean(1)),
        "at_one_step": _mean_known([_ranked(a, b) for a, b in zip(told, wrong, strict=True)]),
        "attainable": _ranked(told, (draws[0] - another).square().sum(-1)),
        "at_horizons": _ranked(told[at], wrong[at]),
        "signs": {name: _ranked(sign, wrong) for name, sign in signs.items()},
        "usual": usual,
        "milliseconds": _reading_milliseconds(world, draws),
    }
    if seeing:
        found["pictures"] = _ranked(*_picture_errors(world, draws, future))
    return found


def _picture_errors(world: WorldModel, draws: Tensor, future: Tensor) -> tuple[Tensor, Tensor]:
    """The spread (K, N) of draws' pictures and their mean error, a step at a time."""
    spread, wrong = [], []
    for drawn, real in zip(draws.transpose(0, 1), future, strict=True):
        pictures = trust.decoded(world.vision, drawn).flatten(2)
        spread.append(trust.spread(pictures))
        wrong.append((pictures - trust.decoded(world.vision, real).flatten(1)).square().sum(-1).mean(0))
    return torch.stack(spread), torch.stack(wrong)


def _mean_known(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else float("nan")


def _ranked(a: Tensor, b: Tensor) -> float:
    return open_loop.rank_correlation(a.flatten().cpu().numpy(), b.flatten().cpu().numpy())


def _reading_milliseconds(world: WorldModel, draws: Tensor) -> float:
    """Milliseconds of one reading of the meter, the median."""
    reader, took = trust.TrustMeter(world.vision), []
    for step in range(METER_TIMED):
        began = time.perf_counter()
        reader.read(draws[:, step % draws.shape[1], 0])
        took.append(time.perf_counter() - began)
    return 1000 * float(np.median(took))


@torch.no_grad()
def milliseconds(memory: MemoryModel, windows: Windows) -> float:
    """Milliseconds of one imagined decision, one dream alone; the median of a hundred."""
    z, state, took = windows.start[:1], memory.initial_state(1), []
    for step in range(100):
        began = time.perf_counter()
        following = memory.imagine(z, windows.acted[step % windows.horizon, :1], state)
        z, state = following.z, following.state
        took.append(time.perf_counter() - began)
    return 1000 * float(np.median(took))
