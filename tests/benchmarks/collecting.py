"""Throughput of a rollout from two local workers, two collectors here and two actors of a Ray cluster on this machine.

    uv run python -m tests.benchmarks.collecting [--env CartPole-v1] [--vision auto] [--envs 8] [--steps 64 256]

The sides take turns; the median of the rounds counts. "round trip" is a rollout of one step: for the actors, what
weights out and a rollout back cost however long it is. All have the same cores.
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
import time
from statistics import median

import torch

from ewm_studio.acting.collector import Collector, LocalCollector
from ewm_studio.acting.shared_collector import SharedCollector
from ewm_studio.envs.probe import spaces_of
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.jobs.cluster.collecting import shared_collector
from ewm_studio.jobs.setup import model_metadata
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.models.randomness import make_generator
from ewm_studio.settings import Experiment
from tests.support.ray_cluster import ray_cluster


def seconds_of(collector: Collector, steps: int) -> float:
    """Seconds of one rollout."""
    began = time.perf_counter()
    collector.collect(steps)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--vision", default="auto")
    parser.add_argument("--memory", default="LSTMMemory")
    parser.add_argument("--envs", type=int, default=8)
    parser.add_argument("--steps", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    base = {
        "env": {"id": args.env, "batch_size": args.envs, "workers": 2},
        "vision": {"name": args.vision},
        "memory": {"name": args.memory},
        "train": {"collectors": 2},
    }
    experiment = Experiment.from_dict(base)
    spaces = spaces_of(experiment.env)
    parts = choose_parts(experiment, spaces.observation, spaces.action)
    model = AgentModel(parts, spaces.observation, spaces.action).eval()
    keep = any(p.requires_grad for p in model.vision.parameters())
    about = model_metadata(model, experiment, spaces, {})
    with contextlib.ExitStack() as stack:
        _, address = stack.enter_context(ray_cluster())
        envs = stack.enter_context(contextlib.closing(make_vector(experiment.env, 0)))
        sides: dict[str, Collector] = {"two local workers": LocalCollector(envs, model, keep, make_generator(0))}
        for name, on in (("two collectors here", ""), ("two Ray actors", address)):
            chosen = experiment.with_values(("train.collect_on", on))
            shared: SharedCollector = shared_collector(about, chosen, model, keep, make_generator(0))
            sides[name] = stack.enter_context(contextlib.closing(shared))
        for collector in sides.values():
            collector.collect(4)
        weights = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
        print(f"{args.env}, {args.memory}, {args.envs} environments, weights {weights / 1e6:.2f} MB")
        for steps in [1, *args.steps]:
            taken: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(args.rounds):
                for name, collector in sides.items():
                    taken[name].append(seconds_of(collector, steps))
            size = len(pickle.dumps(sides["two collectors here"].collect(steps)))
            print("round trip" if steps == 1 else f"{steps} steps", f"({size / 1e6:.2f} MB a rollout)")
            for name, times in taken.items():
                second = median(times)
                print(f"  {name:<20} {1000 * second:8.1f} ms {steps * args.envs / second:9.0f} steps/s")


if __name__ == "__main__":
    main()
