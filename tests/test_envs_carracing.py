"""The fast CarRacing is the stock one, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.box2d.car_racing import CarRacing

from ewm_studio.envs.carracing import FastCarRacing
from ewm_studio.envs.factory import make_env, make_training_env
from ewm_studio.settings import EnvSettings

Driver = Callable[[Any, np.random.Generator], np.ndarray]


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def wander(_: Any, rng: np.random.Generator) -> np.ndarray:
    """Random, with hard braking and spinning wheels."""
    return rng.uniform([-1, 0, 0], [1, 1, 0.5]).astype(np.float32)


def leave(_: Any, rng: np.random.Generator) -> np.ndarray:
    """Full gas straight on, off the road and over the edge of the playfield."""
    return np.array([0, 1, 0], np.float32)


def follow_road(env: Any, rng: np.random.Generator) -> np.ndarray:
    """A simple skilled driver: steers to a point ahead on the road, at a moderate speed."""
    position, track = np.array(env.car.hull.position), np.array([p[2:4] for p in env.track])
    ahead = track[(np.argmin(((track - position) ** 2).sum(axis=1)) + 4) % len(track)] - position
    angle = env.car.hull.angle
    right = ahead[0] * np.cos(angle) + ahead[1] * np.sin(angle)
    forward = -ahead[0] * np.sin(angle) + ahead[1] * np.cos(angle)
    steer = np.clip(1.5 * np.arctan2(right, forward), -1, 1)
    speed = env.car.hull.linearVelocity.length
    return np.array([steer, 0.5 if speed < 32 else 0.0, 0.3 if speed > 45 else 0.0], np.float32)


def both(seed: int, frames: int, driver: Driver, **kwargs: Any) -> Iterator[tuple[Any, ...]]:
    """Step the stock and the fast environment alike, asserting equality; yields what a step gave."""
    stock, fast = (gym.wrappers.TimeLimit(cls(**kwargs), 1000) for cls in (CarRacing, FastCarRacing))
    rng = np.random.default_rng(seed)
    for start in (seed, None):  # the second episode in the same world
        (a, _), (b, _) = stock.reset(seed=start), fast.reset(seed=start)
        np.testing.assert_array_equal(a, b)
        for t in range(frames):
            action = driver(stock.unwrapped, rng)
            x, y = stock.step(action), fast.step(action)
            assert (x[0] == y[0]).all(), f"frame {t} differs in {(x[0] != y[0]).any(axis=-1).sum()} pixels"
            assert x[1:] == y[1:]
            yield x
            if x[2] or x[3]:
                break


@pytest.mark.parametrize(("seed", "driver"), [(1, wander), (2, follow_road), (3, leave)])
def test_frames_rewards_and_infos_are_the_stock_ones(seed: int, driver: Driver) -> None:
    assert len(list(both(seed, 50, driver, domain_randomize=seed == 1))) == 100


def test_discrete_actions_are_the_stock_ones() -> None:
    assert len(list(both(4, 30, lambda _, rng: rng.integers(5), continuous=False))) == 60


def test_over_the_edge_is_the_stock_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Near the edge of the field, where the background ends; with instruments taller than their bar."""
    stock, fast = CarRacing(), FastCarRacing()
    for env in (stock, fast):
        env.reset(seed=5)
        env.t = 1.0
        env.car.hull.position = (332.0, 10.0)
        env.car.hull.angle = 1.2
    for turn, omega in enumerate((0.0, 100.0, 390.0, 450.0, 1200.0)):
        for env in (stock, fast):
            env.car.wheels[turn % 4].omega = omega
        x, y = stock._render("state_pixels"), fast._render("state_pixels")
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("again", [False, True])
def test_pygame_may_be_ended_by_another_environment(again: bool) -> None:
    import pygame

    stock, fast = CarRacing(), FastCarRacing()
    for env in (stock, fast):
        env.reset(seed=5)
    pygame.quit()
    if again:
        pygame.font.init()
    for score in (12.0, 345.6, -7.0):
        stock.reward = fast.reward = score
        np.testing.assert_array_equal(stock._render("state_pixels"), fast._render("state_pixels"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_many_tracks_are_the_stock_ones(seed: int) -> None:
    driver = (wander, follow_road, leave, follow_road)[seed % 4]
    steps = list(both(seed, 1001, driver, domain_randomize=seed % 3 == 2))
    if driver is leave:
        assert any(step[1] == -100 for step in steps) or len(steps) == 2000
    if driver is follow_road:
        assert any(step[2] or step[3] for step in steps)


def test_other_pictures_are_the_stock_ones_and_change_nothing() -> None:
    stock, fast = CarRacing(render_mode="rgb_array"), FastCarRacing(render_mode="rgb_array")
    rng = np.random.default_rng(0)
    for env in (stock, fast):
        env.reset(seed=7)
    fast.draw = False
    for _ in range(12):
        action = wander(None, rng)
        seen = stock.step(action)[0]
        fast.step(action)
        np.testing.assert_array_equal(stock.render(), fast.render())
        np.testing.assert_array_equal(seen, fast.frame())  # the frame is that of the step, whoever looked between


def test_factory_swaps_it_in_and_nothing_else_changes() -> None:
    fast, stock, asked = make_env("CarRacing-v3"), gym.make("CarRacing-v3"), make_env("CarRacing-v3", fast=False)
    assert type(fast.unwrapped) is FastCarRacing
    assert type(asked.unwrapped) is CarRacing
    assert fast.spec == stock.spec
    assert fast.observation_space == stock.observation_space
    assert fast.action_space == stock.action_space
    assert str(fast).replace("FastCarRacing", "CarRacing") == str(stock)


def test_repeats_draw_once_and_see_the_last_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = 0
    frame = FastCarRacing.frame

    def counted(self: FastCarRacing) -> np.ndarray:
        nonlocal drawn
        drawn += 1
        return frame(self)

    monkeypatch.setattr(FastCarRacing, "frame", counted)
    settings = {"id": "CarRacing-v3", "action_repeat": 4, "image_size": 96}
    fast = make_training_env(EnvSettings(**settings))
    slow = make_training_env(EnvSettings(**settings, fast=False))
    np.testing.assert_array_equal(fast.reset(seed=0)[0], slow.reset(seed=0)[0])
    rng = np.random.default_rng(0)
    for _ in range(5):
        action = wander(None, rng)
        x, y = fast.step(action), slow.step(action)
        np.testing.assert_array_equal(x[0], y[0])
        assert x[1:] == y[1:]
    assert drawn == 6  # one reset, five decisions
