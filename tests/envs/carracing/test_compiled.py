"""The compiled drawing of CarRacing paints what pygame paints, and where it would not, pygame paints."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.box2d.car_racing import PLAYFIELD, CarRacing

from ewm_studio.envs.carracing import compiled, view
from ewm_studio.envs.carracing.environment import FastCarRacing


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def by_pygame(env: FastCarRacing, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The frame as it is drawn without the compiled functions."""
    with monkeypatch.context() as patch:
        patch.setattr(view.get_canvas(), "painter", None)
        return env.frame()


def place(env: Any, rng: np.random.Generator) -> None:
    """Anywhere, at any speed and zoom; half the time on the track."""
    x, y = env.track[rng.integers(len(env.track))][2:4]
    if rng.random() < 0.5:
        x, y = rng.uniform(-PLAYFIELD, PLAYFIELD, 2)
    env.t = float(rng.choice([0.0, 0.1, 0.5, 0.98, 1.0, 20.0]))
    angle = float(rng.choice([rng.uniform(-7, 7), 0.0, np.pi / 2, np.pi, 0.785398]))
    for part in env.car.drawlist:
        part.position = (float(x) + rng.uniform(-2, 2), float(y) + rng.uniform(-2, 2))
        part.angle = angle + rng.uniform(-0.5, 0.5) * (rng.random() < 0.5)
        part.linearVelocity = rng.uniform(-60, 60, 2).tolist()
        part.angularVelocity = float(rng.normal(0, 6))
    for wheel in env.car.wheels:
        wheel.phase, wheel.omega = float(rng.uniform(-50, 50)), float(rng.normal(0, 150))
    env._shown_reward = float(rng.uniform(-200, 1000))


@pytest.mark.parametrize("seed", range(4))
def test_any_place_and_turn_is_painted_as_pygame_does(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 pictures on each of 4 tracks, two of them of random colors."""
    env = FastCarRacing(domain_randomize=seed % 2 == 1)
    env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    for number in range(100):
        place(env, rng)
        np.testing.assert_array_equal(env.frame(), by_pygame(env, monkeypatch), err_msg=str(number))


def test_frames_without_the_compiler_are_the_stock_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view.get_canvas(), "painter", None)
    stock, fast = CarRacing(), FastCarRacing()
    np.testing.assert_array_equal(stock.reset(seed=3)[0], fast.reset(seed=3)[0])
    rng = np.random.default_rng(3)
    for _ in range(60):
        action = rng.uniform([-1, 0, 0], [1, 1, 0.3]).astype(np.float32)
        np.testing.assert_array_equal(stock.step(action)[0], fast.step(action)[0])


def test_a_tile_that_changes_color_is_seen_to(monkeypatch: pytest.MonkeyPatch) -> None:
    env = FastCarRacing()
    env.reset(seed=1)
    env.t = 5.0
    before = env.frame()
    for tile in env.road[:6]:
        tile.color[:] = (200, 30, 60)
    after = env.frame()
    assert (before != after).any()
    np.testing.assert_array_equal(after, by_pygame(env, monkeypatch))


def test_what_paints_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = compiled.load_kernel()
    assert kernel is not None
    assert view.get_canvas().painter is not None

    def one_off(*args: Any) -> None:
        kernel.__dict__["paint_car"](*args)
        args[0][700, 300] = 1

    class Other:
        cells, paint_track, shrink_rows = kernel.cells, kernel.paint_track, kernel.shrink_rows
        paint_car = staticmethod(one_off)

    assert not compiled.agrees(Other)


def test_without_numba_pygame_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert compiled.load_kernel() is None
