"""Running statistics of what a memory takes in: mean and deviation, and the range that was seen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

UNBOUNDED = torch.finfo(torch.float32).max  # weights in files are finite


class RunningScale(nn.Module):
    """Running mean and deviation of vectors (..., D), forgetting slowly so that drifting latents are followed.

    With `centered=False` the mean stays zero and the deviation is the root mean square. A dimension that has not
    varied has deviation 1.
    """

    mean: Tensor
    variance: Tensor
    scale: Tensor
    count: Tensor

    def __init__(self, dim: int, centered: bool = True, horizon: float = 100_000.0) -> None:
        super().__init__()
        self.centered = centered
        self.horizon = horizon  # samples beyond which older ones fade
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("variance", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))  # the deviation, kept so that acting need not compute it
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def update(self, samples: Tensor) -> None:
        """Take in samples (N, D) by the parallel variance formula of Chan et al. (1979)."""
        if samples.shape[0] == 0:
            return
        n = float(samples.shape[0])
        batch_mean = samples.mean(0) if self.centered else torch.zeros_like(self.mean)
        batch_variance = (samples - batch_mean).square().mean(0)
        share = n / (self.count + n)
        change = batch_mean - self.mean
        self.variance += share * (batch_variance - self.variance) + share * (1 - share) * change.square()
        self.mean += share * change
        self.count.copy_((self.count + n).clamp(max=self.horizon))
        # Relative to the mean, because rounding alone gives a constant of 1000 a little variance.
        varies = self.variance > 1e-10 * self.mean.square() + 1e-30
        self.scale.copy_(torch.where(varies, self.variance.sqrt(), torch.ones_like(self.variance)))

    def normalize(self, x: Tensor) -> Tensor:
        """(..., D) in its own units -> deviations from the mean."""
        return (x - self.mean) / self.scale

    def restore(self, x: Tensor) -> Tensor:
        """The inverse of `normalize`."""
        return x * self.scale + self.mean


class LatentRange(nn.Module):
    """The least and the greatest value of every latent dimension that was seen, so that no dream leaves them.

    Drifting latents are followed: at each update a bound gives way by a thousandth of its distance from the mean.
    """

    SINCE_0_1_0 = ("low", "high")  # models of before load without them, unbounded

    low: Tensor
    high: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("low", torch.full((dim,), -UNBOUNDED))
        self.register_buffer("high", torch.full((dim,), UNBOUNDED))

    @torch.no_grad()
    def update(self, samples: Tensor) -> None:
        """Take in samples (N, D)."""
        if samples.shape[0] == 0:
            return
        low, mean, high = samples.amin(0), samples.mean(0), samples.amax(0)
        unseen = self.low == -UNBOUNDED
        self.low.copy_(torch.where(unseen, low, torch.minimum(low, self.low + 1e-3 * (mean - self.low))))
        self.high.copy_(torch.where(unseen, high, torch.maximum(high, self.high + 1e-3 * (mean - self.high))))

    def bound(self, z: Tensor) -> Tensor:
        """Latents (..., D), each dimension cut off where nothing was seen any more."""
        return torch.minimum(torch.maximum(z, self.low), self.high)


class Calibration(nn.Module):
    """How much wider draws are than the errors that are made: densities with heavy tails fit by likelihood are.

    A dream that draws too widely at every step is soon nowhere; its draws are narrowed by `factor`, so that their
    variance is that of the errors.
    """

    SINCE_0_1_0 = ("factor",)

    factor: Tensor

    def __init__(self, rate: float = 0.01) -> None:
        super().__init__()
        self.rate = rate  # share of a new batch
        self.register_buffer("factor", torch.ones(()))

    @torch.no_grad()
    def update(self, wrong: Tensor, foretold: Tensor) -> None:
        """Take in the mean squared error and the mean variance that was foretold, scalars."""
        now = (wrong / foretold.clamp_min(1e-12)).sqrt().clamp(max=1.0)
        self.factor += self.rate * (now - self.factor)

    def narrowed(self, drawn: Tensor, mean: Tensor) -> Tensor:
        """Draws (..., Z), nearer to their means (..., Z)."""
        return mean + self.factor * (drawn - mean)
