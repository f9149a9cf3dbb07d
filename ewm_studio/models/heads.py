"""Policy heads: the last piece of a controller, from network outputs (B, P) to a distribution over actions.

A head knows its action space: how many outputs it needs (`outputs`), how to make the distribution, and how a raw
action becomes one the environment takes, of the space's shape and dtype and within its bounds. What it holds on
the device follows from the space, so it is not saved; learned spreads are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from ewm_studio.errors import UserError
from ewm_studio.models.base import ActionDistribution
from ewm_studio.models.distributions import Beta, DiagonalGaussian, MultiBernoulli, MultiCategorical, TanhGaussian

BoxHead = Literal["auto", "beta", "gaussian", "tanh_gaussian", "categorical"]

BetaGreedy = Literal["mean", "mode"]

_IMPOSSIBLE = -1e9  # logit of a choice that does not exist: probability exactly 0, yet 0 * log 0 is no NaN
_EDGE = 0.98  # how near to its bounds, in -1..1, an action may be where a raw one for the bound would be infinite
_LOG_STD_RANGE = (-5.0, 2.0)  # where a state-dependent spread may go


class Head(nn.Module, ABC):
    """From network outputs (B, `outputs`) to a distribution."""

    outputs: int

    @abstractmethod
    def forward(self, params: Tensor) -> ActionDistribution:
        """The distribution for network outputs (B, P)."""

    @abstractmethod
    def to_raw(self, action: Tensor) -> Tensor:
        """The raw actions (B, R) that come nearest to these of the environment, (B, *shape)."""


class CategoricalHead(Head):
    """Discrete and MultiDiscrete, whatever their shape and start; logits are divided by the temperature."""

    starts: Tensor
    gather: Tensor
    impossible: Tensor

    def __init__(self, space: gym.spaces.Discrete | gym.spaces.MultiDiscrete, temperature: float = 1.0) -> None:
        super().__init__()
        sizes = np.atleast_1d(space.n if isinstance(space, gym.spaces.Discrete) else space.nvec).reshape(-1)
        starts = np.atleast_1d(space.start).reshape(-1).astype(np.int64)
        self.parts, self.choices, self.outputs = len(sizes), int(sizes.max()), int(sizes.sum())
        self.shape = tuple(space.shape or ())
        self.dtype = torch_dtype(space)
        self.inverse_temperature = 1 / temperature
        self.equal = bool((sizes == self.choices).all())
        choice = np.arange(self.choices)
        exists = choice < sizes[:, None]  # (K, N)
        index = np.where(exists, (np.cumsum(sizes) - sizes)[:, None] + choice, 0)
        self.register_buffer("starts", torch.from_numpy(starts), persistent=False)
        self.register_buffer("gather", torch.from_numpy(index.reshape(-1).astype(np.int64)), persistent=False)
        self.register_buffer(
            "impossible", torch.from_numpy(np.where(exists, 0.0, _IMPOSSIBLE).astype(np.float32)), persistent=False
        )

    def forward(self, params: Tensor) -> MultiCategorical:
        """From logits (B, sum of the parts' sizes)."""
        return MultiCategorical(self.logits(params), self.to_env)

    def logits(self, params: Tensor) -> Tensor:
        """Logits (B, K, N) from those in a row (B, sum of the parts' sizes)."""
        logits = params if self.inverse_temperature == 1 else params * self.inverse_temperature
        if not self.equal:
            logits = logits.index_select(1, self.gather)
        logits = logits.view(-1, self.parts, self.choices)
        return logits if self.equal else logits + self.impossible

    def to_env(self, raw: Tensor) -> Tensor:
        """Indices (B, K) -> actions (B, *shape), counted from the space's start."""
        return (raw.long() + self.starts).to(self.dtype).view(-1, *self.shape)

    def to_raw(self, action: Tensor) -> Tensor:
        """Actions (B, *shape) -> indices (B, K)."""
        return action.reshape(-1, self.parts).long() - self.starts


class BinaryHead(Head):
    """MultiBinary of any shape; logits are divided by the temperature."""

    def __init__(self, space: gym.spaces.MultiBinary, temperature: float = 1.0) -> None:
        super().__init__()
        self.shape = tuple(space.shape)
        self.outputs = int(np.prod(self.shape))
        self.dtype = torch_dtype(space)
        self.inverse_temperature = 1 / temperature

    def forward(self, params: Tensor) -> MultiBernoulli:
        """From logits (B, K)."""
        logits = params if self.inverse_temperature == 1 else params * self.inverse_temperature
        return MultiBernoulli(logits, self.to_env)

    def to_env(self, raw: Tensor) -> Tensor:
        """Zeros and ones (B, K) -> actions (B, *shape)."""
        return raw.to(self.dtype).view(-1, *self.shape)

    def to_raw(self, action: Tensor) -> Tensor:
        """Actions (B, *shape) -> zeros and ones (B, K)."""
        return action.reshape(-1, self.outputs).float()


class BoxMap(nn.Module):
    """From -1..1 on each of K axes to a Box's actions: stretched, clipped, shaped, in its dtype.

    A dimension without two finite bounds is passed as it is, and clipped at the one it has. Every dimension is an
    axis of its own, except that an `opposed` pair (i, j) shares one: above 0 it moves dimension i from its low to
    its high bound, below 0 dimension j, so that never both are on (gas and brake).
    """

    low: Tensor
    high: Tensor
    origin: Tensor
    reach: Tensor
    axis: Tensor
    sign: Tensor
    floor: Tensor

    def __init__(self, space: gym.spaces.Box, opposed: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.space, self.shape, self.dtype = space, tuple(space.shape), torch_dtype(space)
        low, high = (b.reshape(-1).astype(np.float64) for b in (space.low, space.high))
        finite = np.isfinite(low) & np.isfinite(high)
        self.bounded = bool(finite.all())
        axis, sign = np.arange(len(low)), np.zeros(len(low))
        if opposed is not None:
            _check_opposed(opposed, finite)
            first, second = opposed
            axis[second] = first
            axis = np.unique(axis, return_inverse=True)[1]
            sign[first], sign[second] = 1, -1
        self.opposed, self.axes = opposed is not None, int(axis.max(initial=-1)) + 1
        one_sided = sign != 0
        self.integer = not self.dtype.is_floating_point
        self._buffer("low", _round_inward(low, np.inf))
        self._buffer("high", _round_inward(high, -np.inf))
        with np.errstate(invalid="ignore"):
            center = np.where(finite, low / 2 + high / 2, 0.0)
            reach = np.where(finite, high / 2 - low / 2, 1.0)
        # action = origin + reach * axis; an opposed dimension starts from its low bound and has the whole range
        self._buffer("origin", np.where(one_sided, low, center))
        self._buffer("reach", np.where(one_sided, 2 * reach, reach))
        self._buffer("sign", np.where(one_sided, sign, 1.0))
        self._buffer("floor", np.where(one_sided, 0.0, -np.inf))
        self.register_buffer("axis", torch.from_numpy(axis.astype(np.int64)), persistent=False)

    def _buffer(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.from_numpy(values.astype(np.float32)), persistent=False)

    def forward(self, unit: Tensor) -> Tensor:
        """Axes (B, K), meant to be in -1..1, -> actions (B, *shape)."""
        if self.opposed:
            unit = torch.maximum(unit.index_select(1, self.axis) * self.sign, self.floor)
        action = torch.addcmul(self.origin, self.reach, unit)
        if self.integer:
            action = action.round()
        action = action.clamp(self.low, self.high)
        if self.dtype == torch.float64 and action.device.type == "mps":  # has no float64
            action = action.cpu()
        return action.to(self.dtype).view(-1, *self.shape)

    def inverse(self, action: Tensor) -> Tensor:
        """Where on the axes (B, K), clamped to -1..1 between bounds, these actions (B, *shape) lie.

        Of an opposed pair with both on, which no place on their axis stands for, the one less the other counts.
        """
        room = torch.where(self.reach == 0, 1.0, self.reach)  # a dimension may have none
        unit = (action.reshape(-1, len(self.sign)).float() - self.origin) / room
        if not self.opposed:
            return unit.clamp(-1, 1) if self.bounded else unit
        axes = unit.new_zeros(len(unit), self.axes).index_add_(1, self.axis, unit * self.sign)
        return axes.clamp(-1, 1) if self.bounded else axes


class GaussianHead(Head):
    """Gaussian over a Box: raw -1..1 stands for the bounds, what lies beyond is clipped, or squashed by tanh.

    The spread is a learned vector, or comes from the network when `state_dependent`.
    """

    def __init__(
        self, box: BoxMap, initial_log_std: float, squash: bool = False, state_dependent: bool = False
    ) -> None:
        super().__init__()
        if squash and not box.bounded:
            raise _unbounded("tanh_gaussian", box.space)
        self.box = box
        self.squash, self.initial_log_std = squash, initial_log_std
        self.outputs = box.axes * (2 if state_dependent else 1)
        self.log_std = None if state_dependent else nn.Parameter(torch.full((box.axes,), initial_log_std))

    def forward(self, params: Tensor) -> DiagonalGaussian:
        """From means (B, D), or means and log-spreads relative to the initial one (B, 2 D)."""
        if self.log_std is None:
            mean, log_std = params.chunk(2, -1)
            log_std = (log_std + self.initial_log_std).clamp(*_LOG_STD_RANGE)
        else:
            mean, log_std = params, self.log_std
        return TanhGaussian(mean, log_std, self.squashed) if self.squash else DiagonalGaussian(mean, log_std, self.box)

    def squashed(self, raw: Tensor) -> Tensor:
        """Raw actions (B, D) -> actions (B, *shape) through tanh."""
        return self.box(raw.tanh())

    def to_raw(self, action: Tensor) -> Tensor:
        """Actions (B, *shape) -> raw ones (B, D), within `_EDGE` where tanh squashes them."""
        unit = self.box.inverse(action)
        return unit.clamp(-_EDGE, _EDGE).atanh() if self.squash else unit


class BetaHead(Head):
    """Beta over a bounded Box: raw 0..1 stands for the bounds. Greedy is its mean, or its peak."""

    def __init__(self, box: BoxMap, greedy: BetaGreedy = "mode") -> None:
        super().__init__()
        self.greedy_mean = greedy == "mean"
        if not box.bounded:
            raise _unbounded("beta", box.space)
        self.box = box
        self.outputs = 2 * box.axes

    def forward(self, params: Tensor) -> Beta:
        """From alphas and betas before softplus (B, 2 D)."""
        return Beta(params, self.to_env, self.greedy_mean)

    def to_env(self, raw: Tensor) -> Tensor:
        """Raw actions (B, D) in 0..1 -> actions (B, *shape)."""
        return self.box(2 * raw - 1)

    def to_raw(self, action: Tensor) -> Tensor:
        """Actions (B, *shape) -> raw ones (B, D), within `_EDGE` of the bounds, where densities are extreme."""
        return self.box.inverse(action).clamp(-_EDGE, _EDGE) / 2 + 0.5


class MultiCategoricalBox(Head):
    """A bounded Box cut into bins: on each axis one choice among a few values; raw actions are their indices.

    `values` lists, for each axis, where its bins stand between -1 (low bound) and 1 (high bound); without it they
    are `bins` evenly spaced values that include both bounds.
    """

    grid: Tensor

    def __init__(self, box: BoxMap, bins: int = 5, values: Sequence[Sequence[float]] | None = None) -> None:
        super().__init__()
        if not box.bounded:
            raise _unbounded("categorical", box.space)
        if values is None:
            values = [np.linspace(-1, 1, bins).tolist()] * box.axes
        if len(values) != box.axes:
            raise UserError(f"bin_values are given for {len(values)} axes, and {box.space} has {box.axes} here")
        self.box = box
        self.choice = CategoricalHead(gym.spaces.MultiDiscrete([len(v) for v in values]))
        self.outputs = self.choice.outputs
        grid = torch.zeros(box.axes, self.choice.choices)
        for row, places in zip(grid, values, strict=True):
            row[: len(places)] = torch.tensor(places)
        self.register_buffer("grid", grid.unsqueeze(0), persistent=False)

    def forward(self, params: Tensor) -> MultiCategorical:
        """From logits (B, sum of the axes' bins)."""
        return MultiCategorical(self.choice.logits(params), self.to_env)

    def to_env(self, raw: Tensor) -> Tensor:
        """Indices (B, K) -> actions (B, *shape)."""
        grid = self.grid.expand(raw.shape[0], -1, -1)
        return self.box(grid.gather(-1, raw.long().unsqueeze(-1)).squeeze(-1))

    def to_raw(self, action: Tensor) -> Tensor:
        """Actions (B, *shape) -> indices (B, K) of the nearest bins."""
        distance = (self.grid - self.box.inverse(action).unsqueeze(-1)).abs()  # (B, K, N)
        if not self.choice.equal:
            distance = distance - self.choice.impossible
        return distance.argmin(-1)


def discrete_head(space: gym.Space, temperature: float = 1.0) -> Head:
    """The head for Discrete, MultiDiscrete or MultiBinary.

    Raises:
        UserError: any other space.
    """
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        return CategoricalHead(space, temperature)
    if isinstance(space, gym.spaces.MultiBinary):
        return BinaryHead(space, temperature)
    raise UserError(f"no controller for action space {space}; Discrete, MultiDiscrete, MultiBinary and Box work")


def box_head(
    box: BoxMap,
    kind: BoxHead,
    initial_log_std: float,
    bins: int,
    values: Sequence[Sequence[float]] | None = None,
    greedy: BetaGreedy = "mode",
) -> Head:
    """The head of this name for a Box; `auto` is beta where the Box is bounded, and otherwise gaussian.

    `bins` and `values` are those of `MultiCategoricalBox`, `greedy` is that of `BetaHead`.

    Raises:
        UserError: the head needs bounds that the Box lacks, or `values` are not one list an axis.
    """
    if kind == "beta" or (kind == "auto" and box.bounded):
        return BetaHead(box, greedy)
    if kind == "categorical":
        return MultiCategoricalBox(box, bins, values)
    return GaussianHead(box, initial_log_std, squash=kind == "tanh_gaussian")


def torch_dtype(space: gym.Space) -> torch.dtype:
    """The torch dtype of a space's elements."""
    return torch.from_numpy(np.zeros(1, dtype=space.dtype)).dtype


def _round_inward(bound: np.ndarray, toward: float) -> np.ndarray:
    """Float64 bounds as the nearest float32 that does not lie beyond them, so that a clipped action is inside."""
    near = bound.astype(np.float32)
    beyond = near < bound if toward > 0 else near > bound
    return np.where(beyond, np.nextafter(near, np.float32(toward)), near)


def _check_opposed(pair: tuple[int, int], finite: np.ndarray) -> None:
    if pair[0] == pair[1] or max(pair) >= len(finite) or not finite[list(pair)].all():
        raise UserError(
            f"opposed {pair[0]},{pair[1]}: needs two different bounded action dimensions, "
            f"from 0 to {len(finite) - 1} here"
        )


def _unbounded(head: str, space: gym.Space) -> UserError:
    return UserError(f"head {head} needs finite bounds and the action space is {space}; use head gaussian")
