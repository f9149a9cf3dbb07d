"""What an environment is like is found by making it once."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from ewm_studio.envs.factory import make_env, settling_frames
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.probe import MEASURE_SECONDS, EnvProbe, spaces_of
from ewm_studio.envs.vector.local import LocalVectorEnvs
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.envs.vector.sizing import choose_batch_size, worker_count
from ewm_studio.envs.vector.workers import WorkerVectorEnvs
from ewm_studio.errors import JobError, UserError
from ewm_studio.machine import cores
from ewm_studio.settings import EnvSettings
from tests.support.counted_envs import COUNTED, NOTED, SLOW


@pytest.fixture(autouse=True)
def _nothing_noted():
    NOTED.clear()


class Bare(gym.Env):
    """Does not say what it gives."""

    action_space = gym.spaces.Discrete(2)


class Brittle(gym.Env):
    action_space = gym.spaces.Discrete(2)
    observation_space = gym.spaces.Box(0, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> Any:
        raise ValueError("the bolt is loose")


@pytest.fixture
def odd_envs():
    gym.register("Bare-v0", entry_point=Bare)
    gym.register("Brittle-v0", entry_point=Brittle)
    yield
    del gym.registry["Bare-v0"], gym.registry["Brittle-v0"]


@pytest.mark.parametrize(
    "asked",
    [
        {"id": "CartPole-v1"},
        {"id": "CartPole-v1", "pixels": True, "image_size": 32},
        {"id": "Blackjack-v1"},
        {"id": "CarRacing-v3", "crop_bottom": 12, "grayscale": True},
        {"id": "CarRacing-v3", "fast": False},
    ],
    ids=str,
)
def test_what_a_probe_says_is_what_the_stock_environment_gives_and_takes(asked: dict[str, Any]) -> None:
    settings = EnvSettings(**asked)
    stock = make_env(settings.id, pixels=settings.pixels, fast=False)
    found = spaces_of(settings)
    assert (found.raw_observation, found.action) == (stock.observation_space, stock.action_space)
    assert found.observation == Preprocessor(stock.observation_space, settings).space
    assert found.settling_frames == settling_frames(stock) == (50 if settings.id == "CarRacing-v3" else 0)
    stock.close()


def test_all_that_is_asked_of_a_probe_takes_one_environment() -> None:
    probe = EnvProbe(EnvSettings(id=COUNTED, batch_size="auto"))
    assert NOTED == []
    assert probe.spaces.observation.shape == (4,)
    assert probe.step_cost == probe.step_cost > 0
    size, sentence = choose_batch_size(probe)
    assert sentence.startswith(f"batch size {size}: a step of {COUNTED} takes {probe.step_cost * 1e3:.3g} ms")
    assert worker_count(probe.settings, size, probe) == 0
    assert NOTED == ["made"]
    probe.close()
    probe.close()
    assert NOTED == ["made", "closed"]
    assert probe.spaces.action.n == 2
    assert probe.step_cost > 0
    assert NOTED == ["made", "closed"]  # what was found stays known


def test_a_closed_probe_finds_out_what_it_was_not_asked_before() -> None:
    probe = EnvProbe(EnvSettings(id=COUNTED))
    assert probe.spaces.observation.shape == (4,)
    probe.close()
    assert probe.step_cost > 0
    probe.close()
    assert NOTED == ["made", "closed"] * 2


def test_what_a_step_costs_is_measured_and_decides() -> None:
    probe = EnvProbe(EnvSettings(id=SLOW))
    assert 2e-3 <= probe.step_cost < MEASURE_SECONDS
    if cores() <= 4:
        assert choose_batch_size(probe)[0] == 8
    assert choose_batch_size(EnvProbe(EnvSettings(id=COUNTED)))[0] == 32
    assert worker_count(probe.settings, 4, probe) == (cores() if cores() > 1 else 0)
    assert worker_count(probe.settings, 1, probe) == 0
    assert worker_count(EnvSettings(id=SLOW, workers=3), 4, probe) == 3
    probe.close()


@pytest.mark.parametrize("batch_size", ["auto", 3])
def test_a_vector_takes_one_environment_besides_its_own(batch_size: int | str) -> None:
    """And that one is gone before its own are made: closing it may take away what they draw with."""
    envs = make_vector(EnvSettings(id=COUNTED, batch_size=batch_size, workers="auto"), 0)
    assert isinstance(envs, LocalVectorEnvs)
    measured = ["made", "closed"] if batch_size == "auto" or cores() > 1 else []
    assert [*measured, *["made"] * envs.num_envs] == NOTED
    envs.close()


def test_a_vector_that_is_told_all_makes_nothing_besides_its_own() -> None:
    envs = make_vector(EnvSettings(id=COUNTED, batch_size=2, workers=0), 0)
    assert NOTED == ["made"] * 2
    envs.close()


def test_what_a_probe_knows_serves_vectors_here_and_in_processes() -> None:
    settings = EnvSettings(id=SLOW, batch_size=2, workers=2)
    probe = EnvProbe(settings)
    assert probe.spaces.observation.shape == (4,)
    spread = make_vector(settings, 5, probe)
    assert isinstance(spread, WorkerVectorEnvs)
    assert NOTED == ["made", "closed"]  # the others are made elsewhere
    alone = make_vector(settings.model_copy(update={"workers": 0}), 5, probe)
    try:
        np.testing.assert_array_equal(spread.reset(), alone.reset())
        assert spread.observation_space == alone.observation_space
        assert NOTED == ["made", "closed", "made", "made"]
    finally:
        spread.close()
        alone.close()


@pytest.mark.usefixtures("odd_envs")
def test_what_cannot_be_used_or_measured_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"'Bare-v0' cannot be used: it has no observation space"):
        spaces_of(EnvSettings(id="Bare-v0"))
    probe = EnvProbe(EnvSettings(id="Brittle-v0"))
    with pytest.raises(JobError, match=r"environment Brittle-v0 failed: ValueError: the bolt is loose"):
        choose_batch_size(probe)
    probe.close()
