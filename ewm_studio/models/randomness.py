"""Draws from a generator that is handed in, so that nobody else's random numbers change a model, nor its theirs.

A generator lives on the device that its draws are made on; without one, PyTorch's own is drawn from. On the CPU the
numbers are those of PyTorch's own functions from the same state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor
from torch.overrides import TorchFunctionMode

# What draws, by name: functions, methods of tensors, and `torch.nn.init`.
_METHODS = ("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_")
_FUNCTIONS = ("bernoulli", "multinomial", "normal", "poisson", "rand", "randint", "randn", "randperm")
_LIKE = ("rand_like", "randint_like", "randn_like")
_SPREADS = ("kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_")
_INITS = ("orthogonal_", "sparse_", "trunc_normal_", *_SPREADS)
_DRAWS = frozenset((*_METHODS, *_FUNCTIONS, *_LIKE, *_INITS))


def make_generator(seed: int, device: torch.device | str = "cpu") -> Generator:
    """A generator on `device`, seeded."""
    return Generator(device).manual_seed(seed)


class drawing_from(TorchFunctionMode):
    """Inside, in this thread alone, whatever draws without a generator draws from this one: for making modules.

    It looks at every call, which an update could not afford; there, generators are arguments.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self._generator = generator

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`, with the generator where it draws."""
        kwargs = dict(kwargs or {})
        if getattr(func, "__name__", "") in _DRAWS and kwargs.get("generator") is None:
            kwargs["generator"] = self._generator
        return func(*args, **kwargs)


def normal_like(x: Tensor, generator: Generator | None) -> Tensor:
    """Standard normal draws of the shape, dtype and device of `x`."""
    return torch.empty_like(x).normal_(generator=generator)


def uniform_like(x: Tensor, generator: Generator | None) -> Tensor:
    """Draws from [0, 1) of the shape, dtype and device of `x`."""
    return torch.empty_like(x).uniform_(generator=generator)


def integers(high: int, count: int, generator: Generator | None) -> Tensor:
    """`count` draws of 0 to `high` - 1, on the generator's device."""
    return torch.randint(high, (count,), generator=generator, device=_place(generator))


def permutation(count: int, generator: Generator | None) -> Tensor:
    """0 to `count` - 1 in random order, on the generator's device."""
    return torch.randperm(count, generator=generator, device=_place(generator))


def uniform(generator: Generator | None) -> float:
    """One draw from [0, 1)."""
    return torch.rand((), generator=generator, device=_place(generator)).item()


def dropout(x: Tensor, share: float, training: bool, generator: Generator | None) -> Tensor:
    """`x` with this share of its numbers set to zero and the others scaled up, while training."""
    if share == 0 or not training:
        return x
    return x * torch.empty_like(x).bernoulli_(1 - share, generator=generator).div_(1 - share)


def _place(generator: Generator | None) -> torch.device:
    return generator.device if generator is not None else torch.device("cpu")
