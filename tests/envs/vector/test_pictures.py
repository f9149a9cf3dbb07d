"""Pictures of environments that run side by side, on request and without changing them; and seeds given to `reset`."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from ewm_studio.envs.factory import make_env
from ewm_studio.envs.vector import workers
from ewm_studio.envs.vector.base import VectorEnvs
from ewm_studio.envs.vector.group import episode_seed
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.envs.vector.workers import WorkerVectorEnvs
from ewm_studio.errors import JobError, UserError
from ewm_studio.settings import EnvSettings

TROUBLE = "tests.support.trouble_envs:Trouble-v0"


def actions_of(envs: VectorEnvs, steps: int) -> list[np.ndarray]:
    envs.action_space.seed(0)
    return [np.stack([envs.action_space.sample() for _ in range(envs.num_envs)]) for _ in range(steps)]


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize(
    ("id", "given"),
    [
        ("CartPole-v1", {}),
        ("CartPole-v1", {"pixels": True, "action_repeat": 2}),
        ("CarRacing-v3", {"crop_bottom": 12, "grayscale": True}),
        ("CarRacing-v3", {"fast": False}),
    ],
)
def test_a_picture_is_that_of_the_moment_at_full_size(id: str, given: dict[str, Any], count: int) -> None:
    """CarRacing's own observation is one; CartPole's is rendered, though it was made to draw nothing."""
    settings = EnvSettings(id=id, batch_size=3, workers=count, **given)
    envs = make_vector(settings, 4)
    single = make_env(id, render_mode="rgb_array")
    envs.reset()
    obs, _ = single.reset(seed=episode_seed(4, 2, 0))
    try:
        for actions in actions_of(envs, 5):
            picture = envs.render(2)
            expected = obs if id.startswith("CarRacing") else single.render()
            np.testing.assert_array_equal(picture, expected)
            np.testing.assert_array_equal(envs.render(2), picture)
            envs.step(actions)
            for _ in range(settings.action_repeat):
                obs = single.step(actions[2])[0]
    finally:
        envs.close()


@pytest.mark.parametrize("id", ["CartPole-v1", "CarRacing-v3"])
def test_who_looks_changes_nothing(id: str) -> None:
    seen, unseen = (make_vector(EnvSettings(id=id, batch_size=1, workers=0, action_repeat=2), 1) for _ in range(2))
    np.testing.assert_array_equal(seen.reset(), unseen.reset())
    for actions in actions_of(seen, 15):
        seen.render(0)[:] = 0  # the picture is the caller's own
        a, b = seen.step(actions), unseen.step(actions)
        np.testing.assert_array_equal(a.obs, b.obs)
        np.testing.assert_array_equal(a.reward, b.reward)


@pytest.mark.parametrize("count", [0, 2])
def test_an_environment_without_pictures_says_so_and_goes_on(count: int) -> None:
    envs = make_vector(EnvSettings(id=TROUBLE, batch_size=2, workers=count), 0)
    envs.reset()
    try:
        for _ in range(2):
            with pytest.raises(UserError, match="Trouble-v0 draws no pictures"):
                envs.render(1)
            envs.step(np.zeros(2, np.int64))
    finally:
        envs.close()


class Sketch(gym.Env):
    """Its observation is a picture in gray without an axis of channels; what it renders is of no use."""

    observation_space = gym.spaces.Box(0, 255, (8, 10), np.uint8)
    action_space = gym.spaces.Discrete(2)
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.page = np.zeros((8, 10), np.uint8)  # drawn into again and again

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.page[:] = 0
        return self.page, {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.page[action] += 1
        return self.page, 0.0, False, False, {}

    def render(self) -> Any:
        raise RuntimeError("the printer is out of paper")


class Blind(Sketch):
    """Its observation is no picture, and it cannot render one."""

    observation_space = gym.spaces.Box(0, 1, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        return np.zeros(2, np.float32), {}


class Colored(Sketch):
    """The same in color."""

    observation_space = gym.spaces.Box(0, 255, (8, 10, 3), np.uint8)

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode)
        self.page = np.zeros((8, 10, 3), np.uint8)


@pytest.mark.parametrize("kind", [Sketch, Colored])
def test_an_observation_in_any_colors_is_a_picture_of_three_channels_and_stays_as_it_was(kind: type[gym.Env]) -> None:
    gym.register("Sketch-v0", entry_point=kind)
    try:
        envs = make_vector(EnvSettings(id="Sketch-v0", batch_size=1, workers=0), 0)
        envs.reset()
        envs.step(np.array([1]))
        picture = envs.render()
        envs.step(np.array([1]))
        assert picture.shape == (8, 10, 3)
        assert (picture[1] == 1).all()
        assert picture.sum() == 30
    finally:
        del gym.registry["Sketch-v0"]


def test_what_fails_while_it_draws_is_named() -> None:
    gym.register("Blind-v0", entry_point=Blind)
    try:
        envs = make_vector(EnvSettings(id="Blind-v0", batch_size=2, workers=0), 0)
        envs.reset()
        with pytest.raises(JobError, match=r"environment 1 \(Blind-v0\) failed: RuntimeError: the printer"):
            envs.render(1)
    finally:
        del gym.registry["Blind-v0"]


@pytest.mark.parametrize("gone", [False, True])
def test_a_worker_that_has_died_gives_no_picture(gone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    envs = make_vector(EnvSettings(batch_size=2, workers=2), 0)
    assert isinstance(envs, WorkerVectorEnvs)
    envs.reset()
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 5.0)
    worker = envs._workers[1]
    worker._process.kill()
    if gone:  # else it may die in the middle of its answer
        worker._process.join()
    with pytest.raises(JobError, match="environments 1"):
        envs.render(1)
    with pytest.raises(JobError, match="closed"):
        envs.render(0)


@pytest.mark.parametrize("count", [0, 2])
def test_a_seed_given_to_reset_replaces_the_runs_until_the_next(count: int) -> None:
    settings = EnvSettings(batch_size=3, workers=count)
    envs, other = make_vector(settings, 1), make_vector(settings.model_copy(update={"workers": 0}), 9)
    try:
        mine, theirs = envs.reset().copy(), other.reset().copy()
        assert not np.array_equal(mine, theirs)
        np.testing.assert_array_equal(envs.reset(9), theirs)
        for actions in actions_of(envs, 60):
            a, b = envs.step(actions), other.step(actions)
            np.testing.assert_array_equal(a.obs, b.obs)
            assert a.episodes == b.episodes
        np.testing.assert_array_equal(envs.reset(), mine)
    finally:
        envs.close()


@pytest.mark.parametrize("count", [0, 2])
def test_a_state_holds_the_seed_that_was_given(count: int) -> None:
    envs, fork = (make_vector(EnvSettings(batch_size=3, workers=n), 1) for n in (0, count))
    try:
        envs.reset(9)
        actions = actions_of(envs, 90)
        for action in actions[:40]:
            envs.step(action)
        np.testing.assert_array_equal(fork.restore(envs.state()), envs.obs)
        assert fork.state()["seed"] == 9
        for action in actions[40:]:
            np.testing.assert_array_equal(fork.step(action).obs, envs.step(action).obs)
        envs.reset()
        assert "seed" not in envs.state()
        np.testing.assert_array_equal(fork.restore(envs.state()), envs.obs)
    finally:
        fork.close()
