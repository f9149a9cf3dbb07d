"""An LSTM that predicts the next latent, and the recurrent trunk it shares with the MDN-RNN.

Hochreiter & Schmidhuber (1997), "Long Short-Term Memory".
"""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ewm_studio.models.base import State
from ewm_studio.models.prediction import PredictiveMemory
from ewm_studio.models.predictive_settings import PredictiveSettings
from ewm_studio.models.residuals import GaussianPrediction, PointPrediction, ResidualPrediction, bounded_log_std
from ewm_studio.settings import setting

RS = TypeVar("RS", bound=PredictiveSettings)


def remember_long(lstm: nn.LSTM, slowest: int) -> None:
    """Let half of the features keep what they hold for 1 to `slowest` steps, by the biases of their forget gates.

    As PyTorch starts them, gates are half open and every feature halves at every step: a thousandth of a cue is left
    after ten, and as little of a gradient gets back to it. The other half stays so, for what changes at every step.
    The spread of time scales is that of Tallec & Ollivier (2018), "Can recurrent neural networks warp time?".
    """
    slow = lstm.hidden_size // 2
    bias: Tensor = lstm.all_weights[0][2]
    with torch.no_grad():
        bias.chunk(4)[1][:slow] = torch.linspace(1, slowest - 1, slow).log()


class RecurrentMemory(PredictiveMemory[RS]):
    """One LSTM layer over [normalized z, its change, action].

    Its state: h and c (B, hidden), the latent before (B, Z), and whether there was one (B, 1).
    """

    def __init__(self, settings: RS, latent_dim: int, action_dim: int, outputs: int, slowest: int) -> None:
        super().__init__(settings, latent_dim, action_dim, outputs)
        self.lstm = nn.LSTM(2 * latent_dim + action_dim, settings.hidden_dim)
        if slowest > 1:
            remember_long(self.lstm, slowest)

    def initial_state(self, batch: int) -> State:
        """Zeros."""
        widths = {"h": self.features, "c": self.features, "previous": self.latent_dim, "seen": 1}
        return {name: torch.zeros(batch, width, device=self.device) for name, width in widths.items()}

    def step(self, z: Tensor, action: Tensor, state: State, generator: Generator | None = None) -> tuple[Tensor, State]:
        """One step: z (B, Z), action (B, A) -> h (B, H) = [LSTM output, normalized z], and the new state."""
        latent, inputs = self.observe(z, action, state["previous"], state["seen"])
        # The fused cell: `nn.LSTM` on one step costs two to four times as much.
        hidden, cell = torch._VF.lstm_cell(inputs, (state["h"], state["c"]), *self.lstm.all_weights[0])
        return torch.cat([hidden, latent], dim=-1), self._state(hidden, cell, z)

    def sequence(
        self, z: Tensor, action: Tensor, is_first: Tensor, state: State, generator: Generator | None = None
    ) -> tuple[Tensor, State]:
        """Many steps: z (T, B, Z), action (T, B, A), is_first (T, B) -> h (T, B, H) and the last state.

        Resets inside cost little: every chunk between two resets becomes a sequence of its own in one packed
        LSTM call.
        """
        latent, inputs = self.observe_sequence(z, action, is_first, state["previous"], state["seen"])
        is_first = is_first.cpu()
        state = self.reset(state, is_first[0].to(z.device))
        if bool(is_first[1:].any()):
            hidden, (last, cell) = packed(self.lstm, inputs, is_first, (state["h"], state["c"]))
        else:
            hidden, (last, cell) = self.lstm(inputs, (state["h"].unsqueeze(0), state["c"].unsqueeze(0)))
            last, cell = last.squeeze(0), cell.squeeze(0)
        return torch.cat([hidden, latent], dim=-1), self._state(last, cell, z[-1])

    @staticmethod
    def _state(hidden: Tensor, cell: Tensor, z: Tensor) -> State:
        return {"h": hidden, "c": cell, "previous": z, "seen": z.new_ones(z.shape[0], 1)}


def packed(
    rnn: nn.LSTM | nn.GRU, inputs: Tensor, is_first: Tensor, state: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One layer over inputs (T, B, I) as packed chunks between resets `is_first` (T, B), on the CPU.

    `state`: (B, hidden) each, at the first step. Gives outputs (T, B, hidden) and the last state.
    """
    layout = PackedLayout(is_first)
    device = inputs.device
    order, first, last = (i.to(device) for i in (layout.order, layout.first, layout.last))
    # Chunks that begin the batch go on from its state, all others from zero.
    begin = [
        torch.zeros(1, layout.count, rnn.hidden_size, device=device).index_copy(1, first, value.unsqueeze(0))
        for value in state
    ]
    chunks = PackedSequence(inputs.flatten(0, 1)[order], layout.batch_sizes)
    out, end = rnn(chunks, tuple(begin) if len(begin) > 1 else begin[0])
    outputs = torch.empty_like(out.data).index_copy(0, order, out.data).view(*inputs.shape[:2], -1)
    return outputs, tuple(value[0, last] for value in (end if len(begin) > 1 else (end,)))


class PackedLayout:
    """How (T, B) steps with resets inside fall into chunks, laid out as a packed sequence (longest chunk first).

    Attributes:
        count: number of chunks N.
        order: (T * B,) flat index t * B + b of every packed row.
        batch_sizes: (longest,) chunks still running at each step of their own time.
        first: (B,) the chunk each column begins with.
        last: (B,) the chunk each column ends with.
    """

    def __init__(self, is_first: Tensor) -> None:
        steps, batch = is_first.shape
        begins = is_first.clone()
        begins[0] = True
        columns = begins.T.reshape(-1)  # column after column: a chunk is a run of neighbours
        chunk = columns.long().cumsum(0) - 1
        begin = columns.nonzero().squeeze(-1)
        age = torch.arange(steps * batch) - begin[chunk]
        length = torch.bincount(chunk)
        rank = torch.empty_like(length)
        rank[length.argsort(descending=True, stable=True)] = torch.arange(len(length))
        packed = (age * len(length) + rank[chunk]).argsort()
        self.count = len(length)
        self.order = (packed % steps) * batch + packed // steps
        self.batch_sizes = torch.bincount(age)
        self.first = rank[chunk.view(batch, steps)[:, 0]]
        self.last = rank[chunk.view(batch, steps)[:, -1]]


class LSTMSettings(PredictiveSettings):
    """Settings of the LSTM memory."""

    head: Literal["gaussian", "deterministic"] = setting(
        "gaussian", "gaussian: predicts mean and spread of the next latent; deterministic: its mean alone."
    )
    slowest: int = setting(
        64,
        "Steps that the slowest features of a fresh memory keep what they hold: cues that matter later. 1: all start "
        "alike, as dreams need it: what lasts longer than a dream's context is other in dreams than for real.",
        unit="steps",
        ge=1,
        le=100_000,
        advanced=True,
        earlier=1,
    )


class LSTMMemory(RecurrentMemory[LSTMSettings]):
    """M that predicts the next latent by one Gaussian, or one point, a dimension."""

    Settings = LSTMSettings
    summary = "LSTM that predicts the next latent, the reward and the end."

    def __init__(self, settings: LSTMSettings, latent_dim: int, action_dim: int) -> None:
        outputs = latent_dim * (2 if settings.head == "gaussian" else 1)
        super().__init__(settings, latent_dim, action_dim, outputs, settings.slowest)

    def residual(
        self, out: Tensor, reward: Tensor, end_logit: Tensor, base: Tensor, scale: Tensor
    ) -> ResidualPrediction:
        """A Gaussian, or a point, for every latent dimension."""
        if self.settings.head == "deterministic":
            return PointPrediction(reward, end_logit, base, scale, out)
        mu, log_std = out.chunk(2, dim=-1)
        return GaussianPrediction(
            reward, end_logit, base, scale, mu, bounded_log_std(log_std, self.settings.log_spread_max)
        )
