"""One training by several processes, as `torchrun` starts them: each takes a share of every minibatch.

What DistributedDataParallel does, for losses that are methods and no `forward`: gradients are averaged over the
processes after each backward pass, weighed by how much each had of the minibatch, so that they are those of the whole
minibatch in one process. Running statistics are those of the first process's share. The minibatches are the same
everywhere, so settings mean what they mean for one process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from ewm_studio.errors import JobError
from ewm_studio.events import JobControl
from ewm_studio.machine import started_together
from ewm_studio.models.base import SequenceBatch

PATIENCE = timedelta(minutes=10)  # that one process waits for another
T = TypeVar("T")


class Peers:
    """The processes of one training, each of which has one of these.

    Attributes:
        rank: which of them this one is, from 0 on.
        size: how many there are.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This process's part of `count` things; all of them where there are fewer than processes."""
        return slice(self.rank, None, self.size) if count >= self.size else slice(None)

    def average(self, parameters: Iterable[nn.Parameter], weight: float) -> None:
        """Average the gradients over all processes, each weighed by how much its loss is a mean of.

        Raises:
            JobError: another process ended.
        """
        grads = [p.grad for p in parameters if p.grad is not None]
        if not grads:
            return
        flat = torch.cat([*(grad.flatten() * weight for grad in grads), grads[0].new_tensor([weight])])
        with _explained():
            dist.all_reduce(flat)
        parts = (flat[:-1] / flat[-1]).split([grad.numel() for grad in grads])
        for grad, part in zip(grads, parts, strict=True):
            grad.copy_(part.view_as(grad))

    def follow(self, module: nn.Module, weights: bool = False) -> None:
        """Take over the first process's running statistics, and with `weights` its weights as well.

        Raises:
            JobError: another process ended.
        """
        with _explained():
            for tensor in (*module.buffers(), *(module.parameters() if weights else ())):
                if tensor.numel():
                    dist.broadcast(tensor.detach(), 0)

    def of_first(self, value: T) -> T:
        """What the first process has: plain values.

        Raises:
            JobError: another process ended.
        """
        box: list[Any] = [value]
        with _explained():
            dist.broadcast_object_list(box, 0)
        return box[0]

    def any(self, asked: bool) -> bool:
        """Whether any of the processes says so.

        Raises:
            JobError: another process ended.
        """
        flag = torch.tensor([float(asked)])
        with _explained():
            dist.all_reduce(flag)
        return bool(flag)


class AgreedControl(JobControl):
    """Asks all processes to stop at the same minibatch, where any of them was asked to."""

    def __init__(self, control: JobControl, peers: Peers) -> None:
        super().__init__()
        self._control, self._peers = control, peers

    def agree(self) -> None:
        """Hear whether anybody was asked to stop; every process calls it at the same place."""
        if self._peers.any(self._control.stop_requested):
            self.stop()


def shared_sequences(batch: SequenceBatch, peers: Peers) -> SequenceBatch:
    """This process's share of sequences (T, B, ...): some of the B."""
    some = peers.share(batch.mask.shape[1])
    return SequenceBatch(**{field.name: getattr(batch, field.name)[:, some] for field in fields(batch)})


@contextlib.contextmanager
def joined() -> Iterator[Peers | None]:
    """Meet the other processes that `torchrun` started; None where there are none.

    Raises:
        JobError: they do not come.
    """
    found = started_together()
    if found is None:
        yield None
        return
    with _explained():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        dist.init_process_group(timeout=PATIENCE, rank=found[0], world_size=found[1])
    try:
        yield Peers(*found)
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise JobError(f"the processes of this training lost each other ({reason}); start them again") from error
