"""What collecting a rollout costs beyond its parts: the bare vector environment and the policy's forward pass.

    uv run python -m tests.benchmarks.rollout_speed [--env CartPole-v1] [--steps 2000]

The bare side steps the same vector environments and calls vision, the policy's draw and the memory's step once a step,
and keeps nothing; the other side is `LocalCollector.collect`, which also stores everything, bootstraps and evaluates.
Both take turns; the median of the ratios counts.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch

from ewm_studio.acting.collector import LocalCollector
from ewm_studio.envs.probe import spaces_of
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.settings import Experiment


@torch.inference_mode()
def bare(envs: object, model: AgentModel, steps: int) -> float:
    """Seconds of the parts alone."""
    obs = envs.reset()
    memory, h = model.memory.initial_state(envs.num_envs), model.memory.initial_hidden(envs.num_envs)
    began = time.perf_counter()
    for _ in range(steps):
        z = model.vision.encode(torch.tensor(obs))
        policy = model.controller.distribution(z, h)
        action = policy.to_env(policy.sample())
        if model.memory.hidden_dim:
            h, memory = model.memory.step(z, model.action_encoding(action), memory)
        obs = envs.step(action.numpy()).obs
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--vision", default="auto")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for memory in ("NoMemory", "LSTMMemory"):
        experiment = Experiment.from_dict(
            {"env": {"id": args.env}, "vision": {"name": args.vision}, "memory": {"name": memory}}
        )
        spaces = spaces_of(experiment.env)
        parts = choose_parts(experiment, spaces.observation, spaces.action)
        model = AgentModel(parts, spaces.observation, spaces.action).eval()
        envs = make_vector(experiment.env, 0)
        try:
            ratios, speeds = [], []
            for _ in range(args.rounds):
                parts_alone = bare(envs, model, args.steps)
                collector = LocalCollector(envs, model, keep_obs=False)
                began = time.perf_counter()
                for _ in range(args.steps // experiment.ppo.rollout_steps):
                    collector.collect(experiment.ppo.rollout_steps)
                collected = args.steps // experiment.ppo.rollout_steps * experiment.ppo.rollout_steps
                seconds = (time.perf_counter() - began) * args.steps / collected
                ratios.append(parts_alone / seconds)
                speeds.append(args.steps * envs.num_envs / seconds)
        finally:
            envs.close()
        print(
            f"{args.env} {memory:12} {median(speeds):9,.0f} env steps/s, {median(ratios):.0%} of what its parts allow"
        )


if __name__ == "__main__":
    main()
