"""A job that several processes do together, started by `torchrun`: who of them writes, and what all of them go by."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.events import JobControl
from ewm_studio.jobs.lifecycle import PreparedJob
from ewm_studio.jobs.stages import B, Stage
from ewm_studio.machine import started_together
from ewm_studio.models.randomness import make_generator
from ewm_studio.settings import Experiment
from ewm_studio.training.data_parallel import AgreedControl, Peers, joined
from ewm_studio.training.optimize import ComponentTrainer
from ewm_studio.training.together import TogetherTrainer
from ewm_studio.workspace import Workspace

_AGREED = ("env.batch_size", "env.workers")  # what is found by measuring, and decides which experience there is


@dataclass(frozen=True)
class Company:
    """This process among the others.

    Attributes:
        peers: the others.
        control: asks all of them to stop.
        place: takes what this process writes: a workspace for as long as it lives; None where it is the one that keeps.
    """

    peers: Peers
    control: AgreedControl
    place: Workspace | None

    def step(self, trainer: ComponentTrainer | TogetherTrainer, stage: Stage[B], batch: B) -> dict[str, float]:
        """One step on a minibatch of which every process takes its share; the losses are those of this one's.

        Raises:
            JobError: a loss is not finite, or another process ended.
        """
        assert isinstance(trainer, ComponentTrainer)  # the other is refused
        share = stage.part(batch, self.peers)
        figures = trainer.step(stage.loss(share), self.peers, stage.count(share))
        self.control.agree()
        return figures


def check_shared(experiment: Experiment, resume: str | None) -> None:
    """Refuse what only one process does, where there are several.

    Raises:
        UserError: there are, and it is asked for.
    """
    if started_together() is None:
        return
    if resume:
        raise UserError("--resume: a run is gone on with by one process; leave out torchrun")
    if experiment.world_model.together:
        raise UserError("world_model.together is done by one process; turn it off, or leave out torchrun")
    if experiment.pretrain.mode == "manual":
        raise UserError("--pretrain-mode manual: one person drives for one process; record first, then --recording")


@contextlib.contextmanager
def in_company(experiment: Experiment, resume: str | None, control: JobControl) -> Iterator[Company | None]:
    """Meet the other processes that do this job; None where it is done by one.

    Raises:
        UserError: as `check_shared`. JobError: the others do not come.
    """
    check_shared(experiment, resume)
    if started_together() is None:
        yield None
        return
    with contextlib.ExitStack() as stack:
        peers = stack.enter_context(joined())
        assert peers is not None
        place = None
        if not peers.first:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ewm-studio-"))
            place = stack.enter_context(contextlib.closing(Workspace(folder)))
        yield Company(peers, AgreedControl(control, peers), place)


def prepare_together(
    company: Company | None, experiment: Experiment, prepare: Callable[[Experiment], PreparedJob]
) -> PreparedJob:
    """What `prepare` makes, the same in all processes but for what is drawn while training.

    The first process decides what is found by measuring; only it saves a model where the settings say.

    Raises:
        UserError: as `prepare`. JobError: another process ended.
    """
    if company is None:
        return prepare(experiment)
    peers = company.peers
    if peers.first:
        start = prepare(experiment)
        peers.of_first({path: getattr(start.experiment.env, path.partition(".")[2]) for path in _AGREED})
    else:
        settled: dict[str, Any] = peers.of_first({})
        start = prepare(experiment.with_values(*settled.items(), ("start.save_path", None)))
        seed = (start.experiment.run.seed + 0x9E3779B9 * peers.rank) % 2**63
        start.randomness.torch = make_generator(seed, start.randomness.torch.device)
    peers.follow(start.model, weights=True)
    return start
