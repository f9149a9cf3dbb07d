"""What a device makes of V and M at DreamerV3's 12 M size, of dreams, and of PPO.

    uv run python -m tests.benchmarks.gpu [--small] [--device cuda] [--seconds 10]

One JSON line a figure, as soon as it is known: what was done, how often a second, in which precision, and the most
memory that it took. Frames and latents are made on the device and stay there. Every figure is measured for `--seconds`
after three rounds that are not counted: two minutes and the making of the models. `--small` is the same in sizes for a
CPU. A figure that cannot be had says why.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.base import SequenceBatch
from ewm_studio.models.randomness import make_generator
from ewm_studio.models.registry import choose
from ewm_studio.settings import ComponentChoice, PPOSettings
from ewm_studio.settings.experiment import ComponentKind
from ewm_studio.training.adam import FusedAdam
from ewm_studio.training.ppo import PPOBatch, ppo_update

ACTIONS = gym.spaces.Box(-1, 1, (3,), np.float32)
FULL = {"side": 64, "channels": 16, "hidden": 2048, "sequences": 16, "steps": 64, "dreams": 4096, "samples": 65_536}
SMALL = {"side": 32, "channels": 4, "hidden": 32, "sequences": 4, "steps": 16, "dreams": 64, "samples": 512}
WARM_UP = 3


def agent(memory: str, sizes: dict[str, int], device: torch.device) -> AgentModel:
    """ConvVAE, a memory and the deep controller on pictures."""
    pictures = gym.spaces.Box(0, 255, (3, sizes["side"], sizes["side"]), np.uint8)
    choices: dict[ComponentKind, ComponentChoice] = {
        "vision": ComponentChoice(name="ConvVAE", channels=sizes["channels"]),
        "memory": ComponentChoice(name=memory, hidden_dim=sizes["hidden"], feedback_draws=0.5, dropout=0.1),
        "controller": ComponentChoice(name="DeepContinuousController"),
    }
    torch.manual_seed(0)
    parts = {kind: choose(kind, choice, pictures, ACTIONS) for kind, choice in choices.items()}
    return AgentModel(parts, pictures, ACTIONS).to(device)


def rate(work: Callable[[], Any], seconds: float, device: torch.device) -> float:
    """Calls of `work` a second."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(WARM_UP):
        work()
    wait()
    began, calls = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        work()
        wait()  # once a call: without it, calls are queued and not done
        calls += 1
    return calls / (time.perf_counter() - began)


def world_model_update(model: AgentModel, sizes: dict[str, int], device: torch.device) -> Callable[[], None]:
    """V on every frame and M through every sequence, from one encoding, by one backward pass."""
    steps, batch, generator = sizes["steps"], sizes["sequences"], make_generator(0, device)
    shape = (steps + 1, batch, *model.observation_space.shape)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8, device=device, generator=generator)
    never, always = (torch.full((steps, batch), value, device=device) for value in (False, True))
    action, reward = torch.zeros(steps, batch, 3, device=device), torch.zeros(steps, batch, device=device)
    state = model.memory.initial_state(batch)
    optimizers = [FusedAdam(part, 1e-4) for part in (model.vision, model.memory)]
    model.train()

    def work() -> None:
        flat = frames.flatten(0, 1)
        with torch.no_grad():
            z = model.vision.encode(flat).float().view(steps + 1, batch, -1)
        sequences = SequenceBatch(z, action, reward, never, never, always, always, always)
        losses = model.losses(flat, sequences, state, generator)
        for optimizer in optimizers:
            optimizer.zero_grad()
        (losses["vision"]["total"] + losses["memory"]["total"]).backward()
        for optimizer in optimizers:
            optimizer.step(optimizer.clip(10.0))

    return work


def dream(model: AgentModel, sizes: dict[str, int], device: torch.device) -> Callable[[], None]:
    """One decision of many dreams, drawn, without pictures."""
    batch, generator = sizes["dreams"], make_generator(0, device)
    memory = model.memory.eval()
    z, state = torch.zeros(batch, memory.latent_dim, device=device), memory.initial_state(batch)
    action = torch.zeros(batch, 3, device=device)

    @torch.no_grad()
    def work() -> None:
        nonlocal z, state
        dreamt = memory.imagine(z, action, state, 1.0, generator)
        z, state = dreamt.z, dreamt.state

    return work


def ppo(model: AgentModel, sizes: dict[str, int], device: torch.device) -> Callable[[], Any]:
    """One update of the controller: passes over a rollout in minibatches of a sixteenth."""
    samples, generator = sizes["samples"], make_generator(0, device)
    z, h = (torch.randn(samples, n, device=device) for n in (model.vision.latent_dim, model.memory.hidden_dim))
    with torch.no_grad():
        acted = model.controller.act(z, h, generator=generator)
        value = model.controller.value(z, h)
    batch = PPOBatch(z, h, acted.raw, acted.log_prob, value, torch.randn_like(value), torch.randn_like(value))
    settings = PPOSettings(batch_size=samples // 16, epochs=4)
    optimizer = FusedAdam(model.controller, 1e-5, eps=1e-5)
    return lambda: ppo_update(model.controller, optimizer, batch, settings, generator)


def figures(sizes: dict[str, int], device: torch.device, seconds: float) -> None:
    """Measure and print them all."""
    frames = sizes["sequences"] * sizes["steps"]
    jobs: list[tuple[str, str, Callable[..., Callable[[], Any]], int, str]] = [
        (f"V and {memory}, update", memory, world_model_update, frames, "frames") for memory in ("RSSM", "MDNRNN")
    ]
    jobs += [(f"dream in {memory}", memory, dream, sizes["dreams"], "decisions") for memory in ("RSSM", "MDNRNN")]
    jobs.append(("PPO, update of 4 passes", "RSSM", ppo, sizes["samples"], "samples"))
    for name, memory, prepare, count, unit in jobs:
        for precision in ("float32", "bfloat16"):
            if prepare is ppo and precision == "bfloat16":
                continue  # log-probabilities of draws must be those of the update
            line: dict[str, Any] = {"figure": name, "precision": precision, "device": device_name(device)}
            lower = torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext()
            try:
                model = agent(memory, sizes, device)
                with lower:
                    calls = rate(prepare(model, sizes, device), seconds, device)
                line |= {f"{unit} a second": round(calls * count), "milliseconds": round(1000 / calls, 3)}
                line["million weights"] = round(sum(p.numel() for p in model.parameters()) / 1e6, 2)
                if device.type == "cuda":
                    line["GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
                    torch.cuda.reset_peak_memory_stats()
            except (RuntimeError, TypeError) as error:  # the others are still worth having
                line["failed"] = str(error).splitlines()[0]
            print(json.dumps(line), flush=True)


def device_name(device: torch.device) -> str:
    """The card's own name, where there is one."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def main(arguments: list[str] | None = None) -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args(arguments)
    torch.set_float32_matmul_precision("high")
    figures(SMALL if given.small else FULL, torch.device(given.device), given.seconds)


if __name__ == "__main__":
    main()
