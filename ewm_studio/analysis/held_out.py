"""Figures on experience that was kept aside: how well vision reconstructs and memory predicts."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Generator, Tensor

from ewm_studio.models.base import MemoryModel, SequenceBatch, Tag, VisionModel
from ewm_studio.training.optimize import Averages


@torch.no_grad()
def vision_figures(
    vision: VisionModel, batches: Iterable[Tensor], generator: Generator | None = None
) -> dict[str, float]:
    """Held-out losses by name, the squared error a pixel (0 to 1), and the effective rank of the latents.

    For a codebook also the share of its codes that these frames use.

    Args:
        vision: the model.
        batches: observations (N, ...) on the model's device.
        generator: draws what the losses draw.
    """
    averages, latents, usage = Averages(), [], None
    vision.eval()
    for obs in batches:
        z = vision.encode(obs)
        latents.append(z.flatten(1))
        averages.add({f"vision/held_out_{k}": float(v) for k, v in vision.loss(obs, generator).items()})
        if Tag.RECONSTRUCTS in vision.tags:
            target = obs.float() / 255 if obs.dtype == torch.uint8 else obs
            averages.add({"vision/held_out_mse": float((vision.decode(z) - target).square().mean())})
        counts = vision.diagnostics(obs).get("usage")
        if counts is not None:
            usage = counts if usage is None else usage + counts
    figures = averages.take()
    if latents:
        figures["vision/effective_rank"] = effective_rank(torch.cat(latents))
    if usage is not None:
        figures["vision/codes_used"] = float((usage > 0).mean())
    return figures


def effective_rank(z: Tensor) -> float:
    """exp of the entropy of the normalised singular values of centred latents (N, Z) (Roy & Vetterli 2007)."""
    singular = torch.linalg.svdvals((z - z.mean(0)).double())
    share = singular / singular.sum().clamp_min(1e-12)
    return float(torch.exp(-(share * share.clamp_min(1e-12).log()).sum()))


@torch.no_grad()
def memory_figures(memory: MemoryModel, untrained: MemoryModel, batches: Iterable[SequenceBatch]) -> dict[str, float]:
    """Held-out losses, and the squared error of the one-step prediction of z beside two baselines.

    Errors are divided by the variance of z, so that 1 is what the mean latent would give. `persistence` is "the next
    latent equals this one", `untrained` the same memory with fresh weights.
    """
    averages, errors = Averages(), {"prediction": 0.0, "persistence": 0.0, "untrained": 0.0}
    sums, squares, count = torch.zeros(0), torch.zeros(0), 0
    memory.eval()
    untrained.eval()
    for batch in batches:
        state = memory.initial_state(batch.z.shape[1])
        averages.add({f"memory/held_out_{k}": float(v) for k, v in memory.loss(batch, state).items()})
        z, target, valid = batch.z[:-1], batch.z[1:], batch.valid
        guesses = {"persistence": z}
        for name, model in (("prediction", memory), ("untrained", untrained)):
            h, _ = model.sequence(z, batch.action, batch.is_first, model.initial_state(z.shape[1]))
            guesses[name] = model.predict(h).mean
        for name, guess in guesses.items():
            errors[name] += float((guess - target)[valid].square().sum())
        real = target[valid].double()
        sums, squares = (
            (real.sum(0), real.square().sum(0))
            if count == 0
            else (
                sums + real.sum(0),
                squares + real.square().sum(0),
            )
        )
        count += real.shape[0]
    figures = averages.take()
    if count:
        variance = float((squares / count - (sums / count) ** 2).sum())  # summed over the latent's dimensions
        figures |= {f"memory/held_out_{n}_error": e / count / max(variance, 1e-12) for n, e in errors.items()}
    return figures
