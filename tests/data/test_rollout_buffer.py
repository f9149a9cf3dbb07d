"""Advantages against a plain oracle and against Stable-Baselines3; the rollout buffer."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.buffers import RolloutBuffer as SB3Buffer
from torch import Tensor, nn

from ewm_studio.data.rollout_buffer import RolloutBuffer
from ewm_studio.training.gae import compute_gae


class Case:
    """A random rollout with ends of both kinds inside."""

    def __init__(self, seed: int, steps: int, envs: int, ends: float) -> None:
        rng = np.random.default_rng(seed)
        self.steps, self.envs = steps, envs
        self.reward, self.value, self.final = (rng.normal(size=(steps, envs)).astype(np.float32) for _ in range(3))
        self.last = rng.normal(size=envs).astype(np.float32)
        self.terminated = rng.random((steps, envs)) < ends
        self.truncated = rng.random((steps, envs)) < ends

    def gae(self, gamma: float, lam: float) -> tuple[np.ndarray, np.ndarray]:
        arrays = (self.reward, self.value, self.last, self.terminated, self.truncated, self.final)
        advantages, returns = compute_gae(*(torch.from_numpy(a) for a in arrays), gamma, lam)
        return advantages.numpy(), returns.numpy()


def oracle(case: Case, gamma: float, lam: float) -> np.ndarray:
    """Advantages by the definition: each environment's row cut into episodes, each episode on its own."""
    out = np.zeros((case.steps, case.envs))
    for b in range(case.envs):
        begin = 0
        while begin < case.steps:
            end = begin
            while end < case.steps - 1 and not (case.terminated[end, b] or case.truncated[end, b]):
                end += 1
            if case.terminated[end, b]:
                after = 0.0
            elif case.truncated[end, b]:
                after = case.final[end, b]
            else:
                after = case.last[b]
            values = [*case.value[begin : end + 1, b].tolist(), float(after)]
            rewards = case.reward[begin : end + 1, b].tolist()
            for t in range(len(rewards)):
                out[begin + t, b] = sum(
                    (gamma * lam) ** (k - t) * (rewards[k] + gamma * values[k + 1] - values[k])
                    for k in range(t, len(rewards))
                )
            begin = end + 1
    return out


cases = st.builds(
    Case, st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 5), st.sampled_from([0.0, 0.05, 0.3, 1.0])
)
shares = st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0])


@given(cases, shares, shares)
@settings(max_examples=60, deadline=None)
def test_advantages_are_those_of_each_episode_alone(case: Case, gamma: float, lam: float):
    advantages, returns = case.gae(gamma, lam)
    np.testing.assert_allclose(advantages, oracle(case, gamma, lam), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(returns, advantages + case.value, rtol=1e-5, atol=1e-5)


@given(cases, shares, shares)
@settings(max_examples=60, deadline=None)
def test_advantages_agree_with_stable_baselines(case: Case, gamma: float, lam: float):
    box = gym.spaces.Box(-1, 1, (1,))
    theirs = SB3Buffer(case.steps, box, box, "cpu", lam, gamma, case.envs)
    ended = case.terminated | case.truncated
    cut = case.truncated & ~case.terminated
    theirs.rewards[:] = case.reward + gamma * np.where(cut, case.final, 0.0)
    theirs.values[:] = case.value
    theirs.episode_starts[1:] = ended[:-1]
    theirs.compute_returns_and_advantage(torch.from_numpy(case.last), ended[-1].astype(np.float32))
    advantages, returns = case.gae(gamma, lam)
    np.testing.assert_allclose(advantages, theirs.advantages, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(returns, theirs.returns, rtol=1e-3, atol=1e-3)


def test_nothing_leaks_across_an_end():
    case = Case(0, 12, 2, 0.0)
    case.terminated[5, 0], case.truncated[5, 1] = True, True
    before, _ = case.gae(0.9, 0.9)
    case.reward[6:] += 100
    case.value[6:] -= 50
    case.last += 7
    after, _ = case.gae(0.9, 0.9)
    np.testing.assert_array_equal(before[:6], after[:6])
    assert not np.allclose(before[6:], after[6:])


def test_the_end_masks_the_step_it_follows_and_no_other():
    """One reward of 1 right after an end and right before: lambda 1, values 0 give plain discounted sums."""
    zeros = torch.zeros(4, 1)
    terminated = torch.tensor([[False], [True], [False], [False]])
    reward = torch.tensor([[0.0], [1.0], [10.0], [0.0]])
    advantages, _ = compute_gae(reward, zeros, torch.zeros(1), terminated, zeros.bool(), zeros, 0.5, 1.0)
    assert advantages.flatten().tolist() == [0.5, 1.0, 10.0, 0.0]


def test_final_values_count_only_where_an_episode_was_cut():
    case = Case(1, 10, 3, 0.2)
    before, _ = case.gae(0.99, 0.95)
    case.final[~(case.truncated & ~case.terminated)] = np.nan
    np.testing.assert_array_equal(before, case.gae(0.99, 0.95)[0])


def put(buffer: RolloutBuffer, t: int, obs: Tensor | None = None) -> None:
    envs = buffer.envs
    buffer.put(
        z=torch.full((envs, 4), float(t)),
        h=torch.zeros(envs, 3),
        raw=torch.ones(envs, 2),
        action=torch.full((envs,), t, dtype=torch.int64),
        reward=np.full(envs, t, np.float32),
        shaping=np.full(envs, -0.5, np.float32),
        is_first=torch.zeros(envs, dtype=torch.bool),
        disturbed=torch.zeros(envs, dtype=torch.bool),
        obs=torch.zeros(envs, 3) if obs is None else obs,
    )


def test_buffer_keeps_what_was_put():
    buffer = RolloutBuffer(3, 2, keep_obs=True)
    for t in range(3):
        put(buffer, t, obs=torch.full((2, 1, 5, 5), t, dtype=torch.uint8))
    buffer.finish("cpu")
    assert buffer.z[:, 0, 0].tolist() == [0, 1, 2]
    assert buffer.z.shape == (3, 2, 4)
    assert buffer.action.dtype == torch.int64
    assert buffer.action[:, 1].tolist() == [0, 1, 2]
    assert buffer.reward[:, 0].tolist() == [0, 1, 2]
    assert buffer.obs is not None
    assert buffer.obs[:, 0, 0, 0, 0].tolist() == [0, 1, 2]
    assert buffer.obs.dtype == torch.uint8
    assert not buffer.ended.any()


def test_rewards_are_copied():
    buffer, reward = RolloutBuffer(2, 1), np.zeros(1, np.float32)
    for t in range(2):
        reward[0] = t + 1
        row = torch.zeros(1, 1)
        no = row.bool()
        buffer.put(z=row, h=row, raw=row, action=row, is_first=no, disturbed=no, reward=reward, shaping=reward, obs=row)
    buffer.finish("cpu")
    assert buffer.reward.flatten().tolist() == buffer.shaping.flatten().tolist() == [1, 2]


def test_buffer_notes_ends_and_bootstrap_values():
    buffer = RolloutBuffer(2, 3)
    put(buffer, 0)
    put(buffer, 1)
    ends = np.array([True, False, False]), np.array([True, True, False]), np.array([False, True, False])
    buffer.end(*ends, {0: 5.0, 1: 6.0, 2: float("nan")})
    buffer.finish("cpu")
    assert buffer.ended.tolist() == [[False] * 3, [True, True, False]]
    assert buffer.final_value[1].tolist() == [0.0, 6.0, 0.0]
    assert buffer.env_terminated.tolist() == [[False] * 3, [False, True, False]]
    assert buffer.true_reward.tolist() == [[0.5] * 3, [1.5] * 3]
    assert buffer.obs is None


def test_a_rollout_is_finished_only_when_it_is_full():
    buffer = RolloutBuffer(2, 1)
    put(buffer, 0)
    with pytest.raises(ValueError, match="1 of 2"):
        buffer.finish("cpu")


def test_what_is_filled_in_inference_mode_can_be_trained_on():
    with torch.inference_mode():
        buffer = RolloutBuffer(2, 2, keep_obs=True)
        for t in range(2):
            put(buffer, t)
        buffer.end(np.array([False, True]), np.array([False, False]), np.array([False, True]), {})
        buffer.finish("cpu")
        buffer.value[0] = torch.ones(2)
    assert not any(v.is_inference() for v in vars(buffer).values() if isinstance(v, Tensor))
    layer = nn.Linear(4, 1)
    layer(buffer.z).sum().backward()
    buffer.z.copy_(torch.ones_like(buffer.z))
    assert layer.weight.grad is not None
