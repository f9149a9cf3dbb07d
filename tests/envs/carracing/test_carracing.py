"""The fast CarRacing is the stock one, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pygame
import pytest
from gymnasium.envs.box2d.car_racing import PLAYFIELD, CarRacing

from ewm_studio.envs.carracing import known as carracing_known
from ewm_studio.envs.carracing.environment import FastCarRacing
from ewm_studio.envs.factory import env_notes, make_env, make_prepared_env
from ewm_studio.events import Message
from ewm_studio.jobs import record
from ewm_studio.settings import EnvSettings
from ewm_studio.workspace import Workspace
from tests.support.jobs import experiment
from tests.support.track_driver import drive

Driver = Callable[[Any, np.random.Generator], Any]
Moment = Callable[[Any], bool]

IF_GYMNASIUM_CHANGED = (
    f"Gymnasium {gym.__version__} has a CarRacing that is not among carracing_known.KNOWN (digest "
    f"{carracing_known.source_digest()}), so users get the stock one. Read what changed in car_racing.py and "
    "car_dynamics.py, follow it in ewm_studio/envs/carracing*.py, and add the digest once all tests of this file pass."
)


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


class StockCarRacing(CarRacing):
    """The stock environment, which need not draw on the way to the frames that are compared."""

    draw = True

    def _render(self, mode: str) -> Any:
        return super()._render(mode) if self.draw or mode != "state_pixels" else None


def wander(_: Any, rng: np.random.Generator) -> np.ndarray:
    """Random, with hard braking and spinning wheels."""
    return rng.uniform([-1, 0, 0], [1, 1, 1.0 if rng.random() < 0.1 else 0.4]).astype(np.float32)


def skilled(env: Any, _: np.random.Generator) -> np.ndarray:
    return drive(env)


def leave(env: Any, _: np.random.Generator) -> np.ndarray:
    """Off the road and over the nearest edge of the playfield, which lies towards greater x."""
    return np.array([np.clip(env.car.hull.angle + np.pi / 2, -0.3, 0.3), 0.3, 0], np.float32)


def press_keys(_: Any, rng: np.random.Generator) -> int:
    return int(rng.choice(5, p=[0.1, 0.2, 0.2, 0.4, 0.1]))


def at_once(_: Any) -> bool:
    return True


def at_speed(env: Any) -> bool:
    return env.t > 6


def near_lap_end(env: Any) -> bool:
    return len(env.track) - env.tile_visited_count < 12


def near_edge(env: Any) -> bool:
    return max(map(abs, env.car.hull.position)) > PLAYFIELD - 25


@dataclass(frozen=True)
class Drive:
    """A track, who drives it, from which moment on frames are compared, and what must be among them."""

    seed: int
    driver: Driver
    start: Moment = at_once
    made: dict[str, Any] = field(default_factory=dict)
    resets: tuple[Any, ...] = (None,)  # options of the resets, in turn
    ends: bool | None = None  # what `lap_finished` says at the end of an episode that must be seen

    def __str__(self) -> str:
        return f"{self.seed}-{self.driver.__name__}-{self.start.__name__}"


RANDOM_COLORS = {"domain_randomize": True}
# A reset that keeps colors comes after one that draws them: those of a new environment have no seed.
CHANGED, KEPT = {"randomize": True}, {"randomize": False}
DRIVES = [
    Drive(1, wander),
    Drive(2, wander, at_speed),
    Drive(3, wander, at_speed, {"render_mode": "rgb_array"}),
    Drive(4, wander, at_speed, RANDOM_COLORS, (None, KEPT)),
    Drive(5, skilled),
    Drive(6, skilled, at_speed),
    Drive(7, skilled, at_speed),
    Drive(8, skilled, at_speed, {"render_mode": "rgb_array"}),
    Drive(9, skilled, at_once, RANDOM_COLORS, (CHANGED, KEPT, KEPT)),
    Drive(10, skilled, at_speed, RANDOM_COLORS, (None, CHANGED)),
    Drive(11, skilled, at_speed, {**RANDOM_COLORS, "render_mode": "rgb_array"}),
    Drive(12, skilled, near_lap_end, ends=True),
    Drive(13, skilled, near_lap_end, {"lap_complete_percent": 0.5}, ends=True),
    Drive(14, skilled, near_lap_end, RANDOM_COLORS, (None, CHANGED), ends=True),
    Drive(15, leave),
    Drive(16, leave, near_edge, ends=False),
    Drive(17, leave, near_edge, {**RANDOM_COLORS, "render_mode": "rgb_array"}, ends=False),
    Drive(18, press_keys, at_once, {"continuous": False}),
    Drive(19, press_keys, at_speed, {"continuous": False}),
    Drive(20, press_keys, at_speed, {"continuous": False, **RANDOM_COLORS}, (None, KEPT)),
]


def compare(plan: Drive, frames: int) -> Iterator[tuple[Any, ...]]:
    """Step the stock and the fast environment alike for `frames` frames, asserting equality; yields what steps gave."""
    stock, fast = StockCarRacing(**plan.made), FastCarRacing(**plan.made)
    rng = np.random.default_rng(plan.seed)
    for episode in range(frames):
        told = {"seed": None if episode else plan.seed, "options": plan.resets[episode % len(plan.resets)]}
        stock.draw = fast.draw = True
        (a, _), (b, _) = stock.reset(**told), fast.reset(**told)
        np.testing.assert_array_equal(a, b)
        while not (episode or plan.start(fast)):  # only the first episode is entered at the moment asked for
            stock.draw = fast.draw = False
            action = plan.driver(fast, rng)
            x, y = stock.step(action), fast.step(action)
            assert x[1:] == y[1:]
            assert not x[2], "the episode ended before its moment"
            assert fast.t < 60, "the moment did not come"
        stock.draw = fast.draw = True
        for step in step_both(stock, fast, plan.driver, rng):
            yield step
            frames -= 1
            if not frames:
                return


def step_both(stock: Any, fast: Any, driver: Driver, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Until the end of the episode, at most 1,000 frames."""
    for t in range(1000):
        action = driver(fast, rng)
        x, y = stock.step(action), fast.step(action)
        assert (x[0] == y[0]).all(), f"frame {t} differs in {(x[0] != y[0]).any(axis=-1).sum()} pixels"
        assert x[1:] == y[1:]
        assert [part.transform.position for part in stock.car.drawlist] == [
            part.transform.position for part in fast.car.drawlist
        ]
        if stock.render_mode and t % 10 == 0:
            np.testing.assert_array_equal(stock.render(), fast.render())
        yield x
        if x[2]:
            return


def check(plan: Drive, frames: int) -> None:
    steps = list(compare(plan, frames))
    assert len(steps) == frames
    if plan.ends is not None:
        assert plan.ends in [info["lap_finished"] for *_, over, _, info in steps if over]


def test_installed_gymnasium_is_one_that_the_fast_class_is_made_for() -> None:
    assert carracing_known.source_digest() in carracing_known.KNOWN, IF_GYMNASIUM_CHANGED


@pytest.mark.parametrize("plan", DRIVES, ids=str)
def test_frames_rewards_and_infos_are_the_stock_ones(plan: Drive) -> None:
    """2,000 frames over 20 tracks."""
    check(plan, 100)


@pytest.mark.slow
@pytest.mark.parametrize("plan", DRIVES, ids=str)
def test_many_more_frames_are_the_stock_ones(plan: Drive) -> None:
    check(plan, 700)


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
    stock, fast = CarRacing(), FastCarRacing()
    for env in (stock, fast):
        env.reset(seed=5)
    pygame.quit()
    if again:
        pygame.font.init()
    for score in (12.0, 345.6, -7.0):
        stock.reward = fast.reward = score
        np.testing.assert_array_equal(stock._render("state_pixels"), fast._render("state_pixels"))


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


def test_an_unknown_gymnasium_keeps_its_own_class_and_the_log_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EnvSettings(id="CarRacing-v3")
    assert env_notes(settings) == []
    monkeypatch.setattr(carracing_known, "KNOWN", {"another": "0.0.1"})
    assert type(make_env("CarRacing-v3").unwrapped) is CarRacing
    [note] = env_notes(settings)
    assert "0.0.1" in note
    assert gym.__version__ in note
    assert env_notes(settings.model_copy(update={"fast": False})) == []
    assert env_notes(EnvSettings(id="CartPole-v1")) == []


def test_a_job_says_that_the_stock_class_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for known, notes in ((carracing_known.KNOWN, 0), ({"another": "0.0.1"}, 1)):
        monkeypatch.setattr(carracing_known, "KNOWN", known)
        plan = experiment(env={"id": "CarRacing-v3"}, data={"frames": 16, "recording": f"with-{notes}"})
        warnings = [e for e in record(plan, Workspace(tmp_path)) if isinstance(e, Message) and e.level == "warning"]
        assert len(warnings) == notes


def test_a_window_shows_the_stock_picture() -> None:
    stock, fast = CarRacing(render_mode="human"), FastCarRacing(render_mode="human")
    seen = []
    for env in (stock, fast):
        env.reset(seed=5)
        for _ in range(3):
            env.step(np.array([0.2, 1, 0], np.float32))
        seen.append(pygame.surfarray.array3d(env.screen))
    np.testing.assert_array_equal(*seen)
    assert np.ptp(seen[0]) > 0
    stock.close()


def test_threads_draw_side_by_side() -> None:
    """As a window does that drives in one thread and trains in another."""

    def frames(seed: int) -> np.ndarray:
        env, rng = FastCarRacing(), np.random.default_rng(seed)
        env.reset(seed=seed)
        return np.array([env.step(wander(env, rng))[0] for _ in range(150)])

    alone = [frames(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        np.testing.assert_array_equal(list(threads.map(frames, range(4))), alone)


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
    fast = make_prepared_env(EnvSettings(**settings))
    slow = make_prepared_env(EnvSettings(**settings, fast=False))
    np.testing.assert_array_equal(fast.reset(seed=0)[0], slow.reset(seed=0)[0])
    rng = np.random.default_rng(0)
    for _ in range(5):
        action = wander(None, rng)
        x, y = fast.step(action), slow.step(action)
        np.testing.assert_array_equal(x[0], y[0])
        assert x[1:] == y[1:]
    assert drawn == 6  # one reset, five decisions
