"""Rollouts from the actors of a Ray cluster: each a core, a share of the environments, a copy of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Generator

from ewm_studio.acting.shared_collector import Share, SharedCollector, Shares, ShareSpec, Weights
from ewm_studio.errors import JobError
from ewm_studio.jobs.cluster.client import connected, line_of
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.settings import Experiment


class RayShares(Shares):
    """The shares as actors, which work at once; weights go to the cluster once a rollout, however many there are."""

    def __init__(self, on: str, specs: Sequence[ShareSpec], weights: Weights) -> None:
        """Begin the actors on a cluster, a core each.

        Raises:
            UserError: the cluster does not let us in. JobError: it has no room for them, or they do not begin.
        """
        self._on = on
        self._ray, self._mine = connected(on)
        cores = self._ray.cluster_resources().get("CPU", 0)
        if cores < len(specs):
            self.close()
            raise JobError(
                f"train.collectors {len(specs)}: the cluster at {on} has {cores:g} cores, and each takes one"
            )
        make = self._ray.remote(Share).options(num_cpus=1, max_restarts=0)
        kept = self._ray.put(dict(weights))
        self._actors = [make.remote(spec, kept) for spec in specs]

    def ask(self, name: str, arguments: Sequence[tuple[Any, ...]], weights: Weights) -> list[Any]:
        """See `Shares`.

        Raises:
            JobError: a machine of the cluster is gone, or an environment failed there.
        """
        try:
            kept = self._ray.put(dict(weights))
            return list(
                self._ray.get(
                    [
                        getattr(actor, name).remote(kept, *own)
                        for actor, own in zip(self._actors, arguments, strict=True)
                    ]
                )
            )
        except (OSError, RuntimeError, self._ray.exceptions.RayError) as error:
            raise JobError(f"collecting on the cluster at {self._on}: {line_of(error)}") from error

    def close(self) -> None:
        """Leave the cluster, where this process came to it; the actors end with that, or as nobody knows them."""
        self._actors = []
        if self._mine:
            self._ray.shutdown()


def shared_collector(
    description: dict[str, Any], experiment: Experiment, model: AgentModel, keep_obs: bool, generator: Generator
) -> SharedCollector:
    """The collector that a run's settings ask for, of several shares, here or on a cluster.

    Raises:
        UserError: more shares than environments, or no cluster where one is asked for. JobError: it has no room.
    """
    train, env, run = experiment.train, experiment.env, experiment.run
    assert env.batch_size != "auto"  # found before
    on = train.collect_on
    return SharedCollector(
        model,
        description,
        env,
        run.seed,
        env.batch_size,
        train.collectors,
        keep_obs,
        generator,
        threads=1 if on else 0,
        make=(lambda specs, weights: RayShares(on, specs, weights)) if on else Shares,
    )
