"""The stages of pretraining: how one component is trained, and how far a pass over the data has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ewm_studio.models.base import Losses
from ewm_studio.training.data_parallel import Peers

B = TypeVar("B")


@dataclass
class Pass:
    """How far a pass over the data has come, so that a run stopped inside it can go on there."""

    batches: int = 0
    seen: int = 0  # frames, or steps
    random: dict[str, Any] = field(default_factory=dict)  # the generator's state from which its order was drawn


@dataclass(frozen=True)
class Stage(Generic[B]):
    """The training of one component."""

    name: str
    size: int  # frames, or steps, of one pass
    batches: Callable[[], Iterator[B]]  # one pass, in an order drawn anew
    count: Callable[[B], int]  # frames, or steps, of a minibatch
    loss: Callable[[B], Losses]
    evaluate: Callable[[], dict[str, float]]  # figures on the part kept aside
    part: Callable[[B, Peers], B] = lambda batch, peers: batch  # a minibatch's share of one of several processes
