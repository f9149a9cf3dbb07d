"""Decisions a second of CarRacing's whole loop, and frames a second of a VAE's training, beside what others use."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ewm_studio.data.experience import Experience
from ewm_studio.data.frames import FrameStore
from ewm_studio.envs.probe import spaces_of
from ewm_studio.events import JobControl
from ewm_studio.jobs import train
from ewm_studio.jobs.collect import collect_random
from ewm_studio.models.vision.conv_vae import ConvVAE
from ewm_studio.settings import EnvSettings, Experiment, WorldModelSettings
from ewm_studio.training.optimize import ComponentTrainer
from ewm_studio.workspace import Workspace
from tests.benchmarks.peers import recipes
from tests.benchmarks.peers.report import Table
from tests.support import ROOT
from tests.support.jobs import finish, returned

PRESET = ROOT / "resources" / "presets" / "carracing.toml"
VAE_FRAMES = 5_000
VAE_BATCH = 64


def carracing(rounds: int) -> Table:
    """Acting and learning of the preset beside RecurrentPPO, on all cores each."""
    one_rollout = recipes.CARRACING_ENVS * recipes.CARRACING["n_steps"]
    same = f"EWM Studio, {recipes.FRAMES} frame a decision as there"
    sides: dict[str, Callable[[], float]] = {
        "sb3-contrib RecurrentPPO": lambda: _recurrent(one_rollout),
        "EWM Studio, the preset": lambda: _preset(4 * one_rollout, None),
        same: lambda: _preset(4 * one_rollout, recipes.FRAMES),
    }
    table = _race(
        "CarRacing-v3, decisions a second of acting and learning together",
        sides,
        rounds,
        "decisions/s",
        "sb3-contrib RecurrentPPO",
    )
    table.notes.append(
        "RecurrentPPO has the zoo's settings: a CNN and an LSTM learnt by PPO alone, 8 stock environments in processes."
    )
    return table


def _recurrent(steps: int) -> float:
    model = recipes.carracing(seed=0)
    try:
        began = time.perf_counter()
        model.learn(steps)
        return model.num_timesteps / (time.perf_counter() - began)
    finally:
        model.get_env().close()


def _preset(steps: int, repeat: int | None) -> float:
    experiment = Experiment.from_toml(PRESET).with_values(("warm_up.random_frames", 0), ("train.total_steps", steps))
    if repeat is not None:
        experiment = experiment.with_values(("env.action_repeat", repeat))
    with tempfile.TemporaryDirectory() as folder:
        return finish(train(experiment, Workspace(Path(folder))))["steps_per_second"]


def vae(rounds: int) -> Table:
    """One pass of ConvVAE over frames: the studio's, and the loop of a tutorial with the same network and weights."""
    settings = EnvSettings(id="CarRacing-v3", action_repeat=4)
    store = FrameStore((3, 64, 64), np.uint8, 2**30)
    asked = Experiment.from_dict({"env": settings.model_dump()})
    experience = returned(collect_random(asked, VAE_FRAMES, store, JobControl()))
    frames = torch.from_numpy(store.read(np.arange(len(store))))
    torch.manual_seed(0)
    network = ConvVAE(ConvVAE.Settings(), spaces_of(settings).observation)
    sides: dict[str, Callable[[], float]] = {
        "a plain PyTorch loop": lambda: len(frames) / _plain(copy.deepcopy(network), frames),
        "EWM Studio": lambda: len(frames) / _studio(copy.deepcopy(network), experience),
    }
    title = f"ConvVAE with 32 latents, {len(frames):,} CarRacing frames of 64 x 64, batches of {VAE_BATCH}, one pass"
    return _race(title, sides, rounds, "frames/s", "a plain PyTorch loop")


def _studio(network: ConvVAE, experience: Experience) -> float:
    trainer = ComponentTrainer(network.train(), "vision", WorldModelSettings())
    began = time.perf_counter()
    for batch in experience.frame_batches(np.random.default_rng(0), VAE_BATCH):
        trainer.step(network.loss(torch.from_numpy(batch)))
    return time.perf_counter() - began


class PlainVAE(nn.Module):
    """The same layers as tutorials lay them out."""

    def __init__(self, network: ConvVAE) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.contiguous_format)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.network.encoder(pictures)
        mean, log_variance = self.network.to_mean(features), self.network.to_log_variance(features)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        cells = self.network.from_latent(z).view(-1, *self.network.cells)
        return torch.sigmoid(self.network.decoder(cells)), mean, log_variance


def _plain(network: ConvVAE, frames: Tensor) -> float:
    model = PlainVAE(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(frames), batch_size=VAE_BATCH, shuffle=True)
    began = time.perf_counter()
    for (batch,) in loader:
        pictures = batch.float() / 255
        picture, mean, log_variance = model(pictures)
        error = (picture - pictures).square().sum() / len(batch)
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum() / len(batch)
        optimizer.zero_grad()
        (error + kl).backward()
        optimizer.step()
    return time.perf_counter() - began


def _race(title: str, sides: dict[str, Callable[[], float]], rounds: int, unit: str, peer: str) -> Table:
    """Every side once a round, in turn: medians, and the median of the ratios to the peer round by round."""
    found: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds):
        for side, run in sides.items():
            found[side].append(run())
            print(f"round {number + 1}: {side}: {found[side][-1]:,.0f} {unit}", flush=True)
    table = Table(title, ["", f"{unit}, median of {rounds}", "beside the peer, median of the ratios"])
    for side, speeds in found.items():
        ratios = [speed / other for speed, other in zip(speeds, found[peer], strict=True)]
        table.add(side, f"{median(speeds):,.0f}", "1" if side == peer else f"{median(ratios):.2f}")
    return table
