"""Experience: episodes found among interleaved frames, fair splits, passes that visit everything exactly once."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ewm_studio.data.experience import Experience, StoredSequences
from ewm_studio.data.frames import FrameStore
from ewm_studio.errors import UserError
from ewm_studio.models.actions import ActionEncoding
from ewm_studio.models.registry import check_settings, component
from ewm_studio.training.sequences import to_sequence_batch

LONGEST = 1000  # a frame's number is 1000 x its episode + its time


def store(folder: Path) -> FrameStore:
    return FrameStore((1,), np.float32, 2**16, folder)


def made(folder: Path, lengths: list[int], terminated: bool = True) -> Experience:
    """Episodes whose frames, actions and rewards tell where they belong."""
    experience = Experience(store(folder))
    for number, length in enumerate(lengths):
        frame = LONGEST * number + np.arange(length + 1, dtype=np.float32)
        experience.add_episode(frame[:, None], frame[:-1].astype(np.int64), frame[:-1] / 8, terminated)
    return experience


class Envs:
    """B environments that count: an observation is 1000 x the episode's number + its time."""

    def __init__(self, envs: int, rng: np.random.Generator) -> None:
        self.envs, self.rng, self.episodes = envs, rng, 0
        self.now = np.array([self._reset() for _ in range(envs)], np.float32)[:, None]

    def _reset(self) -> float:
        self.episodes += 1
        return LONGEST * (self.episodes - 1)

    def step(self) -> tuple:
        terminated, truncated = (self.rng.random(self.envs) < 0.1 for _ in range(2))
        action, reward = self.now[:, 0].astype(np.int64), self.now[:, 0] / 8
        self.now += 1
        final = {b: self.now[b].copy() for b in np.flatnonzero(terminated | truncated).tolist()}
        for b in final:
            self.now[b] = self._reset()
        return action, reward, terminated, truncated, self.now, final


@pytest.mark.parametrize("envs", [1, 3, 8])
def test_episodes_are_found_among_interleaved_frames(tmp_path, envs):
    world = Envs(envs, np.random.default_rng(envs))
    experience = Experience(store(tmp_path))
    experience.begin(world.now)
    ended, died, steps = set(), set(), 200
    for _ in range(steps):
        before = world.now[:, 0] // LONGEST
        step = world.step()
        ended |= {int(before[b]) for b in step[5]}
        died |= {int(before[b]) for b in np.flatnonzero(step[2])}
        experience.add(*step)
        step[0][:] = -1  # environments may reuse their arrays
    assert experience.frame_count == len(experience.store)
    assert experience.episode_count == len(ended)
    experience.finish()
    assert experience.step_count == steps * envs
    for episode in experience.episodes:
        frames = experience.store.read(episode.frames)[:, 0]
        number = int(frames[0]) // LONGEST
        np.testing.assert_array_equal(frames, LONGEST * number + np.arange(len(episode) + 1))
        np.testing.assert_array_equal(episode.action, frames[:-1])
        np.testing.assert_array_equal(episode.reward, frames[:-1] / 8)
        assert episode.terminated == (number in died)


def test_an_episode_that_just_began_is_none(tmp_path):
    experience = Experience(store(tmp_path))
    experience.begin(np.zeros((2, 1), np.float32))
    experience.finish()
    assert experience.episode_count == experience.frame_count == 0
    assert list(experience.frame_batches(np.random.default_rng(0), 4)) == []
    assert list(experience.sequence_batches(np.random.default_rng(0), 4, 8)) == []


def test_an_episode_whose_parts_do_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="3 observations, 3 actions"):
        Experience(store(tmp_path)).add_episode(np.zeros((3, 1), np.float32), np.zeros(3), np.zeros(3), True)


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=12), batch_size=st.integers(1, 70))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pass_shows_every_frame_once(tmp_path, lengths, batch_size):
    experience = made(tmp_path, lengths)
    batches = list(experience.frame_batches(np.random.default_rng(0), batch_size))
    seen = np.concatenate(batches)[:, 0]
    expected = np.concatenate([LONGEST * i + np.arange(n + 1) for i, n in enumerate(lengths)])
    np.testing.assert_array_equal(np.sort(seen), expected)
    sizes = [len(b) for b in batches]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1


def check_sequences(sequences: StoredSequences, values: np.ndarray, length: int) -> list[int]:
    """The meaning of every field at every step; gives the transitions it holds, by the number of their frame."""
    steps, rows = sequences.mask.shape
    assert steps <= length
    assert sequences.frames.shape == (steps + 1, rows)
    found = []
    for b in range(rows):
        frame = values[sequences.frames[:, b]]
        for t in range(steps):
            first = frame[t] % LONGEST == 0
            if not sequences.mask[t, b]:
                assert not sequences.valid[t, b]
                assert not sequences.terminated[t, b]
                assert sequences.reward[t, b] == 0
                continue
            assert sequences.is_first[t, b] == first
            assert sequences.valid[t, b]
            assert frame[t + 1] == frame[t] + 1  # the very successor, the final observation included
            assert sequences.action[t, b] == frame[t]
            assert sequences.reward[t, b] == frame[t] / 8
            # Where time does not go on from the step before, a start must say so.
            assert t == 0 or first or frame[t - 1] == frame[t] - 1
            found.append(int(frame[t]))
    return found


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    batch_size=st.integers(1, 9),
    length=st.integers(2, 40),
    seed=st.integers(0, 1000),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_pass_shows_every_transition_once(tmp_path, lengths, batch_size, length, seed):
    experience = made(tmp_path, lengths)
    values = experience.store.read(np.arange(len(experience.store)))[:, 0]
    found, ends = [], []
    for sequences in experience.sequence_batches(np.random.default_rng(seed), batch_size, length):
        assert 0 < sequences.mask.shape[1] <= batch_size
        assert sequences.mask.any(axis=0).all()
        found += check_sequences(sequences, values, length)
        ends += values[sequences.frames[:-1][sequences.terminated]].tolist()
    assert sorted(found) == [LONGEST * i + t for i, n in enumerate(lengths) for t in range(n)]
    assert sorted(ends) == [LONGEST * i + n - 1 for i, n in enumerate(lengths)]


def test_cut_episodes_do_not_count_as_terminated(tmp_path):
    experience = made(tmp_path, [5, 9], terminated=False)
    assert not any(s.terminated.any() for s in experience.sequence_batches(np.random.default_rng(0), 2, 4))


def test_short_episodes_waste_little(tmp_path):
    """Episodes of 20 steps in rows of 64: padding a row each would leave two thirds empty."""
    experience = made(tmp_path, [20] * 60)
    masks = [s.mask for s in experience.sequence_batches(np.random.default_rng(0), 4, 64)]
    assert sum(m.sum() for m in masks) / sum(m.size for m in masks) > 0.9


def test_one_seed_one_order(tmp_path):
    experience = made(tmp_path, [30, 20, 10, 40])

    def order(seed: int) -> list[list[int]]:
        passes = experience.sequence_batches(np.random.default_rng(seed), 2, 8)
        return [s.frames.tolist() for s in passes]

    assert order(1) == order(1)
    assert order(1) != order(2)


@pytest.mark.parametrize(("episodes", "share", "aside"), [(2, 0.01, 1), (2, 0.5, 1), (10, 0.1, 1), (10, 0.3, 3)])
def test_split_by_whole_episodes(tmp_path, episodes, share, aside):
    experience = made(tmp_path, [7] * episodes)
    train, held_out = experience.split(share, np.random.default_rng(0))
    assert (train.episode_count, held_out.episode_count) == (episodes - aside, aside)
    frames = [set(np.concatenate([e.frames for e in part.episodes]).tolist()) for part in (train, held_out)]
    assert not frames[0] & frames[1]
    assert frames[0] | frames[1] == set(range(8 * episodes))
    assert train.frame_count == len(frames[0])
    again = experience.split(share, np.random.default_rng(0))[1]
    assert [e.frames[0] for e in again.episodes] == [e.frames[0] for e in held_out.episodes]


@pytest.mark.parametrize("steps", [3, 4, 100])
def test_a_single_episode_is_split_in_time(tmp_path, steps):
    train, held_out = made(tmp_path, [steps]).split(0.1, np.random.default_rng(0))
    early, late = train.episodes[0], held_out.episodes[0]
    assert early.frames[0] == 0
    assert late.frames[-1] == steps
    assert early.frames[-1] + 1 == late.frames[0]  # nothing on both sides, nothing but one transition lost
    assert len(early) >= 1
    assert len(late) == max(1, round(0.1 * steps) - 1)
    assert not early.terminated
    assert late.terminated


def test_too_little_to_split(tmp_path):
    for lengths in ([], [2]):
        with pytest.raises(UserError, match="too few"):
            made(tmp_path, lengths).split(0.1, np.random.default_rng(0))


def test_sequence_batch_gathers_latents_and_encodes_actions(tmp_path):
    """Also in padding an action must be one that the encoding knows, such as never 0 where they start at 3."""
    experience = Experience(store(tmp_path))
    for number, length in enumerate([5, 3, 8]):
        frame = LONGEST * number + np.arange(length + 1, dtype=np.float32)
        experience.add_episode(frame[:, None], 3 + np.arange(length) % 2, np.ones(length), True)
    latents = torch.from_numpy(experience.store.read(np.arange(len(experience.store)))).repeat(1, 2)
    encode = ActionEncoding(gym.spaces.Discrete(2, start=3))
    for sequences in experience.sequence_batches(np.random.default_rng(3), 2, 7):
        batch = to_sequence_batch(sequences, latents, encode)
        steps, rows = sequences.mask.shape
        assert batch.z.shape == (steps + 1, rows, 2)
        assert batch.action.shape == (steps, rows, 2)
        assert batch.z.dtype == batch.action.dtype == batch.reward.dtype == torch.float32
        assert batch.is_first.dtype == batch.valid.dtype == batch.mask.dtype == batch.terminated.dtype == torch.bool
        assert (batch.z[1:] - batch.z[:-1])[batch.valid].eq(1).all()
        torch.testing.assert_close(batch.z, latents[sequences.frames])
        assert batch.action.sum(-1).eq(1).all()


@pytest.mark.parametrize("name", ["LSTMMemory", "MDNRNN", "TemporalTransformer", "RSSM"])
def test_memory_in_packed_rows_is_memory_of_each_episode_alone(tmp_path, name):
    """Several episodes in a row, padding between them: h of each is what a fresh memory gives."""
    torch.manual_seed(0)
    lengths = [4, 7, 3, 6]
    experience = made(tmp_path, lengths)
    cls = component("memory", name)
    memory = cls(check_settings("memory", cls, {}), 5, 2).eval()
    latents = torch.randn(len(experience.store), 5)
    actions = torch.randn(LONGEST * len(lengths), 2)
    (sequences,) = experience.sequence_batches(np.random.default_rng(0), 4, 100)
    with torch.no_grad():
        batch = to_sequence_batch(sequences, latents, lambda action: actions[action])
        packed, _ = memory.sequence(batch.z[:-1], batch.action, batch.is_first, memory.initial_state(1))
        alone = {}
        for number, episode in enumerate(experience.episodes):
            state = memory.initial_state(1)
            for t in range(len(episode)):
                h, state = memory.step(latents[episode.frames[t]][None], actions[LONGEST * number + t][None], state)
                alone[int(episode.frames[t])] = h[0]
    for t in np.flatnonzero(sequences.mask[:, 0]):
        torch.testing.assert_close(packed[t, 0], alone[int(sequences.frames[t, 0])], rtol=1e-4, atol=1e-5)
