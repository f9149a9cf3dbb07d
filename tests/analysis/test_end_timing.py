"""How near dreamt ends are to true ones, on a world whose ends are known."""

import numpy as np
import pytest
import torch

from ewm_studio.analysis.end_timing import AFTER, BEFORE, end_timing
from ewm_studio.data.experience import Experience
from ewm_studio.data.frames import FrameStore
from ewm_studio.models.base import Imagined, MemoryModel
from ewm_studio.models.randomness import make_generator
from ewm_studio.settings import ComponentSettings


class Counts(MemoryModel):
    """Dreams that one is added at every step, and that it is over at `limit`."""

    hidden_dim = 1

    def __init__(self, limit, chance=1.0):
        super().__init__(ComponentSettings(), 1, 1)
        self.limit, self.chance, self.begun = limit, chance, None

    def initial_state(self, batch):
        return {"n": torch.zeros(batch, 1)}

    def step(self, z, action, state, generator=None):
        return z, state

    def sequence(self, z, action, is_first, state, generator=None):
        self.begun = is_first
        return z, state

    def loss(self, batch, state, generator=None):
        return {}

    def imagine(self, z, action, state, temperature=1.0, generator=None):
        end = (z[:, 0] + 1 >= self.limit).float() * self.chance
        return Imagined(z + 1, z, state, z[:, 0], end)


@pytest.fixture
def counted(tmp_path):
    """Episodes that count from 0 and end for good at 40, but for one that is cut at 50; and their latents."""
    with FrameStore((1,), np.float32, 2**20, tmp_path) as store:
        experience = Experience(store)
        for length, ended in ((40, True), (40, True), (50, False)):
            obs = np.arange(length + 1, dtype=np.float32)[:, None]
            experience.add_episode(obs, np.zeros(length, np.int64), np.zeros(length, np.float32), ended)
        yield experience, torch.from_numpy(np.asarray(store.read(np.arange(len(store)))))


def timing(memory, counted):
    experience, latents = counted
    return end_timing(memory, experience, latents, lambda action: action[..., None].float(), make_generator(0))


def test_a_memory_that_knows_the_end_is_never_late(counted):
    found = timing(Counts(40), counted)
    assert found["share"] == 1.0
    assert set(found["late"].values()) == {0.0}
    assert found["ends"] == {str(before): 2 for before in BEFORE}  # the episode that was cut has no end


@pytest.mark.parametrize(("limit", "late", "share"), [(42, 2, 1.0), (43, 3, 0.0), (38, -2, 1.0)])
def test_it_says_how_late_and_what_is_near_enough(limit, late, share, counted):
    found = timing(Counts(limit), counted)
    assert set(found["late"].values()) == {late}
    assert found["share"] == share


def test_an_end_that_is_never_dreamt_is_later_than_any(counted):
    assert set(timing(Counts(1000), counted)["late"].values()) == {AFTER + 1}


def test_a_chance_of_a_half_a_step_adds_up(counted):
    """A third a step passes a half with the second step at which it may be over."""
    assert set(timing(Counts(40, chance=0.34), counted)["late"].values()) == {1}


def test_the_state_begins_where_the_episode_does(counted):
    memory = Counts(40)
    timing(memory, counted)
    # 32 steps before the end, 24 steps of context would reach 16 steps behind the beginning.
    assert memory.begun.nonzero()[:, 0].tolist() == [16, 16]


def test_nothing_is_said_where_nothing_ended(counted):
    experience, latents = counted
    cut = Experience(experience.store, experience.episodes[2:])
    assert timing(Counts(40), (cut, latents)) == {}
