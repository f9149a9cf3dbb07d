"""Spaces, preparation of observations, and making environments."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from ewm_studio.envs import NO_VELOCITY_ID
from ewm_studio.envs.factory import describe_env, env_ids, make_env, make_prepared_env
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.spaces import describe, space_from_json, space_to_json
from ewm_studio.errors import UserError
from ewm_studio.settings import EnvSettings

SPACES = [
    spaces.Box(0, 255, (96, 96, 3), np.uint8),
    spaces.Box(-np.inf, np.inf, (4,), np.float32),
    spaces.Box(np.array([-1, -np.inf, 0.1], np.float32), np.array([1, 2, np.inf], np.float32)),
    spaces.Box(-1.5, 0.1, (2, 3), np.float64),
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([3, 2, 5], start=np.array([0, 1, -2])),
    spaces.MultiDiscrete([[3, 2], [4, 5]]),
    spaces.MultiBinary(4),
    spaces.MultiBinary([2, 3]),
    spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (2,), np.float32)]),
    spaces.Dict({"b": spaces.Discrete(2), "a": spaces.Dict({"x": spaces.Box(-1, 1, (2, 2), np.float32)})}),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_space_survives_json(space: gym.Space) -> None:
    text = json.dumps(space_to_json(space), allow_nan=False)
    back = space_from_json(json.loads(text))
    assert back == space
    assert type(back) is type(space)
    assert back.dtype == space.dtype


def test_uniform_bounds_are_one_number() -> None:
    assert len(json.dumps(space_to_json(SPACES[0]))) < 120


@pytest.mark.parametrize("bad", [{}, {"type": "Text"}, {"type": "Box", "shape": [2]}, {"type": "Discrete", "n": "x"}])
def test_bad_description_of_a_space(bad: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="description of a space"):
        space_from_json(bad)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (SPACES[0], "96x96 RGB"),
        (spaces.Box(0, 255, (1, 64, 32), np.uint8), "32x64 gray"),
        (SPACES[1], "4 numbers"),
        (spaces.Discrete(2), "2 choices"),
        (spaces.Box(-1, 1, (3,), np.float32), "3 numbers in -1..1"),
        (spaces.Box(np.array([-1, 0, 0]), np.array([1, 1, 1]), dtype=np.float32), "steer, gas, brake"),
        (spaces.Box(0, 1, (1,), np.float32), "1 number in 0..1"),
    ],
)
def test_words_for_spaces(space: gym.Space, words: str) -> None:
    assert describe(space) == words


def prepared(space: gym.Space, **settings: Any) -> Preprocessor:
    return Preprocessor(space, EnvSettings(**settings))


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_batch_equals_rows(space: gym.Space) -> None:
    space.seed(0)
    prepare = prepared(space, image_size=16)
    raw = [space.sample() for _ in range(5)]
    batched = gym.vector.utils.concatenate(space, raw, gym.vector.utils.create_empty_array(space, 5))
    rows = np.stack([prepare(one) for one in raw])
    batch = prepare.batch(batched)
    assert batch.dtype == prepare.space.dtype
    np.testing.assert_array_equal(batch, rows)
    assert all(prepare.space.contains(row) for row in rows)
    assert len(prepare.space.shape) in (1, 3)


def test_one_hot_counts_from_the_start() -> None:
    prepare = prepared(spaces.Discrete(3, start=-1))
    assert prepare(np.int64(-1)).tolist() == [1, 0, 0]
    assert prepare(1).tolist() == [0, 0, 1]
    prepare(0)[:] = 7  # nobody can spoil the table
    assert prepare(0).tolist() == [0, 1, 0]


def test_picture_is_cropped_before_it_is_resized() -> None:
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[84:] = 255  # CarRacing's instruments
    space = SPACES[0]
    assert prepared(space, crop_bottom=12)(picture).max() == 0
    assert prepared(space)(picture).max() == 255
    with pytest.raises(UserError, match=r"crop.*96x96"):
        prepared(space, crop_top=90, crop_bottom=6)


def test_picture_channels_stay_in_place_and_gray_is_luma() -> None:
    picture = np.zeros((40, 30, 3), np.uint8)
    picture[:, :15, 0] = 200  # red on the left
    out = prepared(spaces.Box(0, 255, (40, 30, 3), np.uint8), image_size=16)(picture)
    assert out.shape == (3, 16, 16)
    assert (out[0, :, :6] == 200).all()
    assert (out[0, :, 10:] == 0).all()
    assert (out[1:] == 0).all()
    gray = prepared(spaces.Box(0, 255, (40, 30, 3), np.uint8), image_size=16, grayscale=True)(picture)
    assert gray.shape == (1, 16, 16)
    assert abs(int(gray[0, 0, 0]) - 0.299 * 200) <= 1


def test_resizing_averages_rather_than_skips() -> None:
    stripes = np.zeros((128, 128), np.uint8)
    stripes[:, ::2] = 200
    out = prepared(spaces.Box(0, 255, (128, 128), np.uint8), image_size=32)(stripes)
    assert out.shape == (1, 32, 32)
    assert np.ptp(out[0, :, 2:-2].astype(int)) <= 2
    assert abs(out[0, 5, 5].astype(int) - 100) <= 1


def test_same_size_keeps_every_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    out = prepared(spaces.Box(0, 255, (64, 64, 3), np.uint8))(picture)
    np.testing.assert_array_equal(out, picture.transpose(2, 0, 1))


def test_unusable_observation_space() -> None:
    with pytest.raises(UserError, match="cannot be made a vector"):
        prepared(spaces.Sequence(spaces.Discrete(2)))


def test_cartpole_without_velocities_is_cartpole_seen_through_two_numbers() -> None:
    blind, full = make_env(NO_VELOCITY_ID), make_env("CartPole-v1")
    a, b = blind.reset(seed=3)[0], full.reset(seed=3)[0]
    steps = 0
    while True:
        np.testing.assert_array_equal(a, b[[0, 2]])
        (a, *rest_a), (b, *rest_b) = blind.step(steps % 2), full.step(steps % 2)
        assert rest_a == rest_b
        steps += 1
        if rest_a[1]:
            break
    assert blind.observation_space.shape == (2,)
    assert blind.spec is not None
    assert (blind.spec.max_episode_steps, blind.spec.reward_threshold) == (500, 475)


@pytest.mark.parametrize(
    ("id", "said"),
    [
        ("CartPol-v1", "CartPole-v1"),
        ("CarRacing-v2", "CarRacing-v3"),
        ("no_such_module:Env-v0", "no_such_module"),
        ("a:b:c-v0", "a:b"),
        ("", "registered"),
        ("not an id", "registered"),
    ],
)
def test_unknown_environment_is_one_clear_line(id: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        make_env(id)
    assert "\n" not in str(caught.value)


class Odd(gym.Env):
    """An environment nobody can steer, or render."""

    action_space = spaces.Text(3)
    observation_space = spaces.Discrete(2)


class Broken(gym.Env):
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        raise RuntimeError("no licence found")


def test_unusable_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    gym.register("OddEnv-v0", entry_point=Odd, disable_env_checker=True)
    gym.register("BrokenEnv-v0", entry_point=Broken)
    try:
        with pytest.raises(UserError, match="actions of the space"):
            make_env("OddEnv-v0")
        with pytest.raises(UserError, match="cannot render"):
            make_env("OddEnv-v0", pixels=True)
        with pytest.raises(UserError, match="no licence found"):
            make_env("BrokenEnv-v0")
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "EWM_STUDIO_NO_DISPLAY"):
            monkeypatch.setenv(name, "")  # so that what is set below is undone
            monkeypatch.delenv(name)
        if sys.platform.startswith("linux"):
            with pytest.raises(UserError, match="display"):
                make_env("CartPole-v1", render_mode="human")
            make_env("CartPole-v1", pixels=True).reset()  # pictures need none
            with pytest.raises(UserError, match="display"):
                make_env("CartPole-v1", render_mode="human")
    finally:
        del gym.registry["OddEnv-v0"], gym.registry["BrokenEnv-v0"]


def test_module_id_imports_the_module() -> None:
    assert make_env("ewm_studio.envs:ewm_studio/CartPoleNoVel-v1").observation_space.shape == (2,)


def test_pixels_are_what_render_gives() -> None:
    env = make_env("CartPole-v1", pixels=True)
    assert env.observation_space == spaces.Box(0, 255, (400, 600, 3), np.uint8)
    obs, _ = env.reset(seed=0)
    np.testing.assert_array_equal(obs, env.render())
    training = make_prepared_env(EnvSettings(pixels=True, action_repeat=2))
    assert training.reset(seed=0)[0].shape == (3, 64, 64)
    assert training.step(0)[0].shape == (3, 64, 64)


def test_episode_limit_can_be_set() -> None:
    env = make_env("Pendulum-v1", max_episode_steps=3)
    env.reset(seed=0)
    assert [env.step(np.zeros(1, np.float32))[3] for _ in range(3)] == [False, False, True]


def test_action_repeat_sums_rewards_and_stops_with_the_episode() -> None:
    env, plain = make_prepared_env(EnvSettings(action_repeat=4)), make_env("CartPole-v1")
    env.reset(seed=1)
    plain.reset(seed=1)
    over, frames = False, 0
    while not over:
        obs, reward, over, _, info = env.step(1)
        for _ in range(info["frames"]):
            raw, _, ended, _, _ = plain.step(1)
        assert reward == info["frames"]
        np.testing.assert_array_equal(obs, raw)
        frames += info["frames"]
    assert ended
    assert frames % 4 != 0  # it did stop in between


def test_lists_and_words_for_environments() -> None:
    assert {NO_VELOCITY_ID, "CarRacing-v3", "CartPole-v1"} <= set(env_ids())
    assert describe_env("CartPole-v1")["observation"] == "4 numbers"
    assert describe_env("CarRacing-v3")["action"] == "steer, gas, brake"


def test_environments_need_neither_torch_nor_qt() -> None:
    code = (
        "import sys, ewm_studio.envs.vector.workers, ewm_studio.envs.factory as f; f.make_env('CartPole-v1');"
        "print([m for m in ('torch', 'PySide6') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip().endswith("[]")
