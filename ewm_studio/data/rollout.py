"""What PPO learns from: T steps of B environments, and the advantages of their actions."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class RolloutBuffer:
    """Preallocated tensors (T, B, ...) of one rollout.

    `z`, `h`, `raw` and `action` take their shape, type and device from the first `put`; the small ones and the
    observations, which are the bulk, lie on the CPU. All may be filled inside `torch.inference_mode()` and trained on
    outside of it.

    Attributes:
        z: latents (T, B, Z).
        h: hidden states (T, B, H) that the controller saw.
        raw: raw actions (T, B, R) as drawn.
        action: the environment's actions (T, B, ...).
        obs: prepared observations (T, B, ...), or None unless `keep_obs`.
        reward: (T, B).
        terminated: (T, B) bool; the episode ended for good with this step.
        truncated: (T, B) bool; the episode was cut after this step.
        starts: (T, B) bool; this step is the first of an episode.
        value: (T, B) value estimates of the states acted in.
        log_prob: (T, B) log-probabilities of `raw`.
        final_value: (T, B) value of the final observation where the episode was truncated, else 0.
    """

    z: Tensor
    h: Tensor
    raw: Tensor
    action: Tensor

    def __init__(self, steps: int, envs: int, keep_obs: bool = False) -> None:
        self.steps, self.envs, self.keep_obs = steps, envs, keep_obs
        self.obs: Tensor | None = None
        with torch.inference_mode(False):  # an inference tensor could not be trained on
            self.reward, self.value, self.log_prob, self.final_value = (torch.zeros(steps, envs) for _ in range(4))
            self.terminated, self.truncated, self.starts = (
                torch.zeros(steps, envs, dtype=torch.bool) for _ in range(3)
            )

    def to(self, device: torch.device | str) -> RolloutBuffer:
        """Move everything but the observations, once all steps are in; gives the buffer itself."""
        with torch.inference_mode(False):
            for name, value in vars(self).items():
                if isinstance(value, Tensor) and name != "obs":
                    setattr(self, name, value.to(device))
        return self

    @property
    def ended(self) -> Tensor:
        """(T, B) bool: an episode ended with this step, either way."""
        return self.terminated | self.truncated

    def put(
        self,
        t: int,
        *,
        z: Tensor,
        h: Tensor,
        raw: Tensor,
        action: Tensor,
        reward: Tensor | NDArray,
        starts: Tensor | NDArray,
        obs: Tensor | None = None,
        value: Tensor | None = None,
        log_prob: Tensor | None = None,
    ) -> None:
        """Store step t of every environment, each (B, ...).

        `obs` is stored only by a buffer that keeps observations. Values and log-probabilities may be left for later.
        """
        given = {"z": z, "h": h, "raw": raw, "action": action}
        if self.keep_obs:
            if obs is None:
                raise ValueError("this buffer keeps observations: give obs")
            given["obs"] = obs
        if getattr(self, "z", None) is None:
            self._allocate(given)
        for name, tensor in given.items():
            getattr(self, name)[t].copy_(tensor)
        self.reward[t].copy_(torch.as_tensor(reward))
        self.starts[t].copy_(torch.as_tensor(starts))
        if value is not None:
            self.value[t].copy_(value)
        if log_prob is not None:
            self.log_prob[t].copy_(log_prob)

    def _allocate(self, given: dict[str, Tensor]) -> None:
        with torch.inference_mode(False):
            for name, tensor in given.items():
                device = "cpu" if name == "obs" else tensor.device
                setattr(self, name, torch.zeros(self.steps, *tensor.shape, dtype=tensor.dtype, device=device))

    def end(
        self, t: int, terminated: Tensor | NDArray, truncated: Tensor | NDArray, final_value: Tensor | None = None
    ) -> None:
        """Note which episodes (B,) ended with step t.

        Args:
            t: the step, stored already.
            terminated: (B,) bool.
            truncated: (B,) bool.
            final_value: (B,) values of the final observations with the memory state that follows step t; read only
                where an episode was truncated.
        """
        self.terminated[t].copy_(torch.as_tensor(terminated))
        self.truncated[t].copy_(torch.as_tensor(truncated))
        cut = self.truncated[t] & ~self.terminated[t]
        if final_value is not None:
            self.final_value[t].copy_(torch.where(cut, final_value.to(cut.device), 0.0))


def compute_gae(
    rewards: Tensor,
    values: Tensor,
    last_value: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    final_values: Tensor,
    gamma: float,
    lam: float,
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016), equations 11 to 16, on whole episodes and cut ones.

    The step after which an episode ended is masked by that very end. A truncated episode bootstraps from the value of
    its final observation, a terminated one (also where both are set) from 0.

    Args:
        rewards: (T, B).
        values: (T, B) value of the state each action was taken in.
        last_value: (B,) value of the state after the last step.
        terminated: (T, B) bool.
        truncated: (T, B) bool.
        final_values: (T, B) value of the final observation; read only where truncated.
        gamma: discount a step.
        lam: bias against variance; 1 gives discounted returns minus the value, 0 the one-step error.

    Returns:
        Advantages (T, B) and returns (T, B), which are advantages plus values, float32 on the device of `rewards`.
    """
    reward, value, last, final = (
        x.detach().cpu().double().numpy() for x in (rewards, values, last_value, final_values)
    )
    died, cut = (x.detach().cpu().numpy().astype(bool) for x in (terminated, truncated))
    following = np.concatenate([value[1:], last[None]])
    following = np.where(died, 0.0, np.where(cut, final, following))
    advantage = reward + gamma * following - value  # the temporal-difference errors, summed up in place below
    decay = np.where(died | cut, 0.0, gamma * lam)
    for t in range(len(advantage) - 2, -1, -1):
        advantage[t] += decay[t] * advantage[t + 1]
    advantages, returns = (torch.from_numpy(x).float().to(rewards.device) for x in (advantage, advantage + value))
    return advantages, returns
