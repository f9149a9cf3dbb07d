"""What observations are taken for: pictures, boards, numbers, choices; and what is none of its space is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from ewm_studio.envs.failures import WrongOutput
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.settings import EnvSettings

RGB = spaces.Box(0, 255, (40, 30, 3), np.uint8)


def prepared(space: Any, **settings: Any) -> Preprocessor:
    return Preprocessor(space, EnvSettings(image_size=16, **settings))


def picture(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 30, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_first_is_the_same_picture(channels: int) -> None:
    last = spaces.Box(0, 255, (40, 30, channels), np.uint8)
    first = spaces.Box(0, 255, (channels, 40, 30), np.uint8)
    seen = prepared(last)(picture(channels))
    assert seen.shape == prepared(first).space.shape == (channels, 16, 16)
    np.testing.assert_array_equal(prepared(first)(picture(channels).transpose(2, 0, 1)), seen)


def test_four_channels_are_resized_each_by_itself() -> None:
    """Pillow would weigh three of them by the fourth."""
    stack = picture(4)
    stack[..., 3] = 0
    seen = prepared(spaces.Box(0, 255, (40, 30, 4), np.uint8))(stack)
    gray = prepared(spaces.Box(0, 255, (40, 30), np.uint8))
    np.testing.assert_array_equal(seen, np.concatenate([gray(stack[..., i]) for i in range(4)]))
    assert seen[:3].any()


def test_a_board_is_scaled_by_its_own_bounds() -> None:
    board = prepared(spaces.Box(1, 3, (8, 8), np.uint8))
    assert board.space == spaces.Box(0, 1, (64,), np.float32)
    fields = np.tile(np.array([1, 2, 3, 3], np.uint8), (8, 2))
    assert board(fields)[:4].tolist() == [0, 0.5, 1, 1]
    assert "board of 8x8 fields" in board.taken_for
    assert prepared(spaces.Box(0, 255, (8, 8), np.uint8)).space.shape == (1, 16, 16)


def test_very_many_choices_are_told_apart_by_few_numbers() -> None:
    many = prepared(spaces.Discrete(200_000, start=5))
    assert many.space.shape == (19,)
    asked = [5, 6, 7, 100_000, 200_003, 200_004]
    found = np.stack([many(number) for number in asked])
    assert len({tuple(row) for row in found.tolist()}) == len(asked)
    assert all(many.space.contains(row) for row in found)
    assert prepared(spaces.Discrete(3))(2).tolist() == [0, 0, 1]


def test_a_dict_with_a_picture_says_that_it_was_flattened_and_what_else_could_be_done() -> None:
    both = prepared(spaces.Dict({"eye": RGB, "speed": spaces.Box(-1, 1, (2,))}))
    assert both.space.shape == (3602,)
    assert "flattened to 3602 numbers; 'eye' is a picture" in both.taken_for
    assert "--pixels" in both.taken_for


def test_what_0_1_0_took_for_numbers_or_pictures_stays_so_for_its_models() -> None:
    for space, shape in (
        (spaces.Box(0, 255, (3, 40, 30), np.uint8), (3600,)),
        (spaces.Box(0, 255, (40, 30, 4), np.uint8), (4800,)),
        (spaces.Box(0, 3, (8, 8), np.uint8), (1, 16, 16)),
        (spaces.Discrete(5000), (5000,)),
    ):
        assert prepared(space, observe="as_0.1.0").space.shape == shape
        assert prepared(space).space.shape != shape
    told = {"id": "CartPole-v1"}
    assert EnvSettings.of_file(told).observe == "as_0.1.0"
    assert EnvSettings.of_file(EnvSettings().describe()) == EnvSettings()


@pytest.mark.parametrize(
    ("space", "raw"),
    [
        (RGB, np.zeros((40, 30, 1), np.uint8)),
        (RGB, np.zeros((40, 30, 3))),
        (RGB, None),
        (spaces.Box(-1, 1, (4,)), np.zeros((1, 4))),
        (spaces.Box(-1, 1, (2, 2)), np.zeros(4)),
        (spaces.Box(-1, 1, (2,)), np.array(["1", "2"])),
        (spaces.Discrete(3), 3),
        (spaces.Discrete(3), -1),
        (spaces.Discrete(3), 1.5),
        (spaces.Discrete(9000), 9000),
        (spaces.MultiDiscrete([2, 3]), np.array([0, 3])),
        (spaces.MultiBinary(2), np.array([0, 2])),
        (spaces.Dict({"a": spaces.Box(-1, 1, (2,))}), {"b": np.zeros(2)}),
        (spaces.Dict({"a": spaces.Box(-1, 1, (2, 2))}), {"a": np.zeros(4)}),
        (spaces.Tuple([spaces.Discrete(2), spaces.Discrete(2)]), (1,)),
    ],
)
def test_what_is_none_of_its_space_is_refused(space: Any, raw: Any) -> None:
    with pytest.raises(WrongOutput):
        prepared(space)(raw)
