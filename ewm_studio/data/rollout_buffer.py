"""What PPO learns from: T steps of B environments, and the advantages of their actions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS = ("z", "h", "raw", "action", "is_first", "disturbed")


class RolloutBuffer:
    """T steps of B environments, row by row while they are acted, and tensors (T, B, ...) once `finish` is called.

    Rows are only kept while acting and joined in the end, which costs a tenth of writing each into its place; so they
    must not be changed after they were put. Only observations, the bulk, go to their place on the CPU at once. Rows
    may come from inside `torch.inference_mode()`; the tensors may be trained on outside of it.

    Attributes:
        z: latents (T, B, Z).
        h: hidden states (T, B, H) that the controller saw.
        raw: raw actions (T, B, R) as drawn.
        action: the environment's actions (T, B, ...).
        is_first: (T, B) bool; this step is the first of an episode.
        disturbed: (T, B) bool; something else was done than what `raw` says.
        obs: prepared observations (T, B, ...), or None unless `keep_obs`.
        reward: (T, B), with shaping.
        shaping: (T, B), what the rules of training added to `reward`.
        terminated: (T, B) bool; the episode ended for good with this step.
        truncated: (T, B) bool; the episode was cut after this step.
        env_terminated: (T, B) bool; the environment itself ended the episode for good with this step.
        final_value: (T, B) value of the final observation where the episode was truncated, else 0.
        value: (T, B) value estimates of the states acted in, zero until they are written.
        log_prob: (T, B) log-probabilities of `raw`, zero until they are written.
    """

    z: Tensor
    h: Tensor
    raw: Tensor
    action: Tensor
    is_first: Tensor
    disturbed: Tensor
    reward: Tensor
    shaping: Tensor
    terminated: Tensor
    truncated: Tensor
    env_terminated: Tensor
    final_value: Tensor
    value: Tensor
    log_prob: Tensor

    def __init__(self, steps: int, envs: int, keep_obs: bool = False) -> None:
        self.steps, self.envs, self.keep_obs = steps, envs, keep_obs
        self.obs: Tensor | None = None
        self._rows: dict[str, list[Tensor]] = {name: [] for name in ROWS}
        self._rewards: list[NDArray] = []
        self._shapings: list[NDArray] = []
        self._ends: dict[str, NDArray] = {
            "terminated": np.zeros((steps, envs), bool),
            "truncated": np.zeros((steps, envs), bool),
            "env_terminated": np.zeros((steps, envs), bool),
            "final_value": np.zeros((steps, envs), np.float32),
        }

    def put(
        self,
        *,
        z: Tensor,
        h: Tensor,
        raw: Tensor,
        action: Tensor,
        is_first: Tensor,
        disturbed: Tensor,
        reward: NDArray,
        shaping: NDArray,
        obs: Tensor | None,
    ) -> None:
        """Add the next step, each row (B, ...). Arrays are copied; `obs` is stored only if they are kept."""
        t = len(self._rewards)
        for row, tensor in zip(self._rows.values(), (z, h, raw, action, is_first, disturbed), strict=True):
            row.append(tensor)
        self._rewards.append(np.array(reward, np.float32))
        self._shapings.append(np.array(shaping, np.float32))
        if self.keep_obs and obs is not None:
            if self.obs is None:
                with torch.inference_mode(False):  # an inference tensor could not be trained on
                    self.obs = torch.empty(self.steps, *obs.shape, dtype=obs.dtype)
            self.obs[t] = obs

    def end(
        self, terminated: NDArray, truncated: NDArray, env_terminated: NDArray, final_value: dict[int, float]
    ) -> None:
        """Note which episodes (B,) ended with the step put last.

        Args:
            terminated: (B,) bool.
            truncated: (B,) bool.
            env_terminated: (B,) bool, the environment itself ended it for good.
            final_value: by environment, the value of the final observation with the memory that follows the step;
                read only where an episode was truncated and not terminated.
        """
        t = len(self._rewards) - 1
        for name, flags in (("terminated", terminated), ("truncated", truncated), ("env_terminated", env_terminated)):
            self._ends[name][t] = flags
        for i, value in final_value.items():
            if truncated[i] and not terminated[i]:
                self._ends["final_value"][t, i] = value

    def finish(self, device: torch.device | str) -> None:
        """Join the rows; everything but the observations goes to `device`."""
        if len(self._rewards) != self.steps:
            raise ValueError(f"{len(self._rewards)} of {self.steps} steps were put")
        rows_of_numbers = {**self._ends, "reward": np.stack(self._rewards), "shaping": np.stack(self._shapings)}
        with torch.inference_mode(False):
            for name, rows in self._rows.items():
                setattr(self, name, torch.stack(rows).to(device))
            for name, array in rows_of_numbers.items():
                setattr(self, name, torch.from_numpy(array).to(device))
            self.value, self.log_prob = (torch.zeros(self.steps, self.envs, device=device) for _ in range(2))
        self._rows, self._rewards, self._shapings = {}, [], []

    @property
    def ended(self) -> Tensor:
        """(T, B) bool: an episode ended with this step, either way."""
        return self.terminated | self.truncated

    @property
    def true_reward(self) -> Tensor:
        """(T, B) what the environment itself gave, which is what memory learns."""
        return self.reward - self.shaping


_COLUMNS = (
    *(*ROWS, "reward", "shaping"),
    *("terminated", "truncated", "env_terminated", "final_value", "value", "log_prob"),
)


def joined(parts: Sequence[RolloutBuffer], device: torch.device | str) -> RolloutBuffer:
    """Finished buffers of as many steps and of some environments each as one of all, on `device`."""
    whole = RolloutBuffer(parts[0].steps, sum(part.envs for part in parts), parts[0].keep_obs)
    for name in _COLUMNS:
        setattr(whole, name, torch.cat([getattr(part, name) for part in parts], 1).to(device))
    seen = [part.obs for part in parts if part.obs is not None]
    whole.obs = torch.cat(seen, 1) if seen else None
    return whole
