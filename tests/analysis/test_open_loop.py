"""What is measured of dreams, on worlds whose answers are known."""

import numpy as np
import pytest
import torch

from ewm_studio.analysis import open_loop
from ewm_studio.analysis.assessment import assess_memory
from ewm_studio.analysis.windows import windows
from ewm_studio.data.experience import Experience
from ewm_studio.data.frames import FrameStore
from ewm_studio.envs.probe import spaces_of
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.models.base import Imagined, SequenceBatch
from ewm_studio.models.randomness import make_generator
from ewm_studio.settings import Experiment


class Ideal(torch.nn.Module):
    """A memory that knows how its world moves: z grows by the action."""

    def __init__(self, error=0.0):
        super().__init__()
        self.error = error

    def initial_state(self, batch):
        return {"n": torch.zeros(batch, 1)}

    def sequence(self, z, action, is_first, state):
        return z, state

    def imagine(self, z, action, state, temperature=1.0, generator=None):
        noise = self.error * torch.randn(z.shape, generator=generator) if temperature else 0.0
        following = z + action + noise
        return Imagined(following, z, state, following[:, 0], torch.zeros(len(z)))


@pytest.fixture
def walks():
    """Windows of a walk on a line, whose reward is where it is."""
    rng = np.random.default_rng(0)
    store = FrameStore((1,), np.dtype(np.float32), 2**20)
    experience = Experience(store)
    for number in range(8):
        action = rng.choice([-1.0, 1.0], (60, 1)).astype(np.float32)
        place = np.concatenate([[[0.0]], np.cumsum(action, 0)]).astype(np.float32)
        experience.add_episode(place, action, place[1:, 0], terminated=number % 2 == 0)
    latents = torch.from_numpy(store.read(np.arange(len(store))))
    yield windows(experience, latents, lambda action: action, horizon=16, context=8)
    store.close()


def test_windows_hold_what_was_played(walks):
    assert (walks.context, walks.horizon) == (8, 16)
    assert walks.count == 8 * len(range(8, 60 - 16 + 1, 6))
    assert torch.equal(walks.z[1:], walks.z[:-1] + walks.action)
    assert torch.equal(walks.reward, walks.z[1:, :, 0])
    assert int(walks.terminated.sum()) == int(walks.terminated[-1].sum()) == 4  # the last windows reach the ends


def test_windows_are_shortened_to_what_is_there(walks):
    store = FrameStore((1,), np.dtype(np.float32), 2**20)
    experience = Experience(store)
    experience.add_episode(np.zeros((10, 1), np.float32), np.zeros((9, 1), np.float32), np.zeros(9, np.float32), True)
    found = windows(experience, torch.zeros(10, 1), lambda action: action, horizon=64)
    assert (found.context, found.horizon) == (3, 6)
    assert int(found.terminated[-1].sum()) == 1
    with pytest.raises(UserError, match="too few"):
        windows(Experience(store), torch.zeros(10, 1), lambda action: action, horizon=64)
    store.close()


def test_a_memory_that_knows_its_world_is_never_wrong(walks):
    dreamt = open_loop.dream(Ideal(), walks, 2)
    errors = open_loop.latent_errors(walks, dreamt, open_loop.beside(Ideal(), Ideal(3.0), walks, 2, make_generator(0)))
    assert errors["mean_of_draws"].max() < 1e-9
    assert open_loop.usable_horizon(errors) == 16
    steps = np.arange(1, 17)
    assert errors["persistence"] * walks.variance == pytest.approx(steps, rel=0.5)  # a walk's own spread
    assert (errors["shuffled_actions"] > 0.5 * errors["persistence"]).all()
    assert open_loop.return_correlations(walks, dreamt)[8] == pytest.approx(1.0)


def test_errors_grow_with_the_noise_of_the_draws(walks):
    dreamt = open_loop.dream(Ideal(0.5), walks, 8, generator=make_generator(0))
    others = open_loop.beside(Ideal(0.5), Ideal(), walks, 8, make_generator(1))
    errors = open_loop.latent_errors(walks, dreamt, others)
    assert errors["draw"] * walks.variance == pytest.approx(0.25 * np.arange(1, 17), rel=0.3)
    assert errors["mean_of_draws"] == pytest.approx(errors["draw"] / 8, rel=0.6)
    assert (errors["best_of_draws"] < errors["mean_of_draws"]).all()


def test_the_area_under_the_curve_counts_pairs_that_are_told_apart():
    assert open_loop.auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75
    assert open_loop.auc(np.array([0.5, 0.5]), np.array([False, True])) == 0.5
    assert np.isnan(open_loop.auc(np.array([0.5, 0.5]), np.array([True, True])))


def test_ranks_share_the_mean_place_of_ties():
    assert open_loop.ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [2.5, 0.0, 2.5, 1.0]
    assert open_loop.rank_correlation(np.arange(5.0), np.arange(5.0) ** 3) == pytest.approx(1.0)


def test_all_figures_of_a_model_are_plain_values(walks):
    experiment = Experiment.from_dict({"memory": {"name": "LSTMMemory", "hidden_dim": 8}})
    spaces = spaces_of(experiment.env)
    model = AgentModel(choose_parts(experiment, spaces.observation, spaces.action), spaces.observation, spaces.action)
    store = FrameStore((4,), np.dtype(np.float32), 2**20)
    experience = Experience(store)
    rng = np.random.default_rng(0)
    for _ in range(4):
        experience.add_episode(
            rng.normal(size=(41, 4)).astype(np.float32), rng.integers(0, 2, 40), np.ones(40, np.float32), True
        )
    latents = torch.from_numpy(store.read(np.arange(len(store))))
    tried = windows(experience, latents, model.action_encoding, 16, context=8)
    model.memory.train()  # takes in the range of the latents
    model.losses(sequences=_sequence(tried))
    found = assess_memory(model.eval(), model.memory, tried, store.read, make_generator(0))
    assert found["horizons"] == [1, 4, 16]
    assert len(found["z_error"]["mean_of_draws"]) == 3
    assert found["stays_in_range"] == 1.0
    assert found["action_ratio"] > 0
    store.close()


def _sequence(tried):
    never, always = torch.zeros_like(tried.terminated), torch.ones_like(tried.terminated)
    return SequenceBatch(tried.z, tried.action, tried.reward, tried.terminated, never, always, always, always)
