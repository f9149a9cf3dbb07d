"""Keys held become actions: ramps, taps, turns, other keys, sticks."""

import gymnasium as gym
import numpy as np
import pytest

from ewm_studio.driving.controls import Controls
from ewm_studio.driving.gamepad import Gamepad
from ewm_studio.driving.schemes import scheme_of, speed_of, steps_per_second
from ewm_studio.envs.factory import make_env
from ewm_studio.errors import UserError

STEP = 0.02


def controls(id: str) -> Controls:
    env = make_env(id, render_mode="rgb_array")
    try:
        return Controls(env.action_space, scheme_of(env))
    finally:
        env.close()


def held(made: Controls, steps: int) -> list:
    return [made.action(STEP) for _ in range(steps)]


def test_the_wheel_turns_with_time_and_goes_back():
    car = controls("CarRacing-v3")
    car.press("left")
    steer = [action[0] for action in held(car, 20)]
    assert steer[0] == pytest.approx(-4 * STEP)
    assert np.all(np.diff(steer) <= 0)
    assert steer[-1] == -1
    car.release("left")
    car.press("d")
    steer = [action[0] for action in held(car, 40)]
    assert np.all(np.diff(steer) >= 0)
    assert steer[-1] == 1
    car.release("d")
    assert held(car, 20)[-1].tolist() == [0, 0, 0]


def test_both_ways_at_once_is_straight_on():
    car = controls("CarRacing-v3")
    car.press("left")
    car.press("right")
    assert held(car, 10)[-1][0] == 0


def test_the_brake_locks_the_wheels_only_if_it_is_held_on():
    car = controls("CarRacing-v3")
    car.press("down")
    brake = [action[2] for action in held(car, 80)]
    second = round(1 / STEP)
    assert max(brake[: second - 1]) == pytest.approx(0.8)
    assert brake[-1] == 1
    car.release("down")
    held(car, 20)
    car.press("down")
    assert max(action[2] for action in held(car, 40)) < 0.9


def test_actions_lie_in_the_space_and_have_its_type():
    rng = np.random.default_rng(0)
    for id in ("CarRacing-v3", "CartPole-v1", "LunarLander-v3", "Pendulum-v1", "Acrobot-v1", "MountainCar-v0"):
        env = make_env(id, render_mode="rgb_array")
        made = Controls(env.action_space, scheme_of(env))
        for _ in range(200):
            key = str(rng.choice(["left", "right", "up", "down"]))
            made.press(key) if rng.random() < 0.5 else made.release(key)
            assert env.action_space.contains(made.action(STEP)), id
        env.close()


def test_a_tap_shorter_than_a_step_counts_once():
    lander = controls("LunarLander-v3")
    lander.press("up")
    lander.release("up")
    assert held(lander, 3) == [2, 0, 0]


def test_the_key_pressed_last_wins_and_gives_way_again():
    pole = controls("CartPole-v1")
    pole.press("left")
    assert held(pole, 2) == [0, 0]
    pole.press("d")
    assert held(pole, 2) == [1, 1]
    pole.release("d")
    assert held(pole, 2) == [0, 0]


def test_without_a_key_a_pole_is_pushed_both_ways_in_turn_and_a_lake_waits():
    assert held(controls("CartPole-v1"), 4) == [0, 1, 0, 1]
    assert held(controls("FrozenLake-v1"), 2) == [None, None]
    assert held(controls("MountainCar-v0"), 2) == [1, 1]


def test_clearing_lets_everything_go_at_once():
    car = controls("CarRacing-v3")
    car.press("left")
    car.press("up")
    held(car, 30)
    car.clear()
    assert car.held == ()
    assert car.values == (0, 0, 0)
    assert held(car, 1)[0].tolist() == [0, 0, 0]


def test_other_keys_may_be_chosen():
    made = controls("LunarLander-v3")
    made.use({"main engine": ("i", "k")})
    assert not made.press("up")
    assert made.press("k")
    assert made.action(STEP) == 2
    made.clear()
    assert made.press("left")  # not named, so kept
    assert made.action(STEP) == 3


def test_unknown_discrete_actions_have_number_keys():
    class Nameless(gym.Env):
        action_space = gym.spaces.Discrete(12, start=3)

    scheme = scheme_of(Nameless())
    assert scheme.actions["action 0"] == 3
    assert scheme.keys["action 9"] == ("9",)
    assert scheme.keys["action 11"] == ()
    assert scheme.rest == ()


@pytest.mark.parametrize("id", ["BipedalWalker-v3"])
def test_what_keys_cannot_drive_is_refused_in_one_line(id):
    env = make_env(id, render_mode="rgb_array")
    with pytest.raises(UserError, match="cannot be driven by keys: it takes 4 numbers"):
        scheme_of(env)
    env.close()


def test_pace_and_speed():
    car, pole = make_env("CarRacing-v3", render_mode="rgb_array"), make_env("CartPole-v1", render_mode="rgb_array")
    car.reset(seed=0)
    assert (steps_per_second(car), steps_per_second(pole)) == (50, 50)
    assert speed_of(pole) is None
    for _ in range(60):
        car.step(np.array([0, 1, 0], np.float32))
    assert 20 < speed_of(car) < 400
    car.close()
    pole.close()


class FakePad:
    """What pygame's joystick offers, with values set by hand."""

    def __init__(self):
        self.axes, self.hat = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], (0, 0)

    def get_init(self):
        return True

    def get_numaxes(self):
        return len(self.axes)

    def get_axis(self, number):
        return self.axes[number]

    def get_numhats(self):
        return 1

    def get_hat(self, _):
        return self.hat


@pytest.fixture
def pad(monkeypatch):
    from ewm_studio.driving import gamepad

    fake = FakePad()
    monkeypatch.setattr(gamepad, "_first_pad", lambda: fake)
    monkeypatch.setattr(Gamepad, "_attached", lambda self: True)
    return fake


def test_a_stick_steers_as_far_as_it_is_pushed(pad):
    car, reader = controls("CarRacing-v3"), Gamepad()
    assert reader.poll(car) == []
    pad.axes[0] = -0.6
    assert reader.poll(car) == ["left"]
    assert -0.6 < held(car, 30)[-1][0] < -0.4
    pad.axes[0] = 0.1  # not quite at rest
    assert reader.poll(car) == []
    assert car.held == ()


def test_a_trigger_at_rest_is_no_gas_and_the_cross_drives(pad):
    car, reader = controls("CarRacing-v3"), Gamepad()
    assert reader.poll(car) == []  # triggers say 0 before they are first touched
    pad.axes[5] = -1.0
    reader.poll(car)
    assert car.held == ()
    pad.axes[5] = 1.0
    assert reader.poll(car) == ["up"]
    pad.axes[5], pad.hat = -1.0, (1, -1)
    assert reader.poll(car) == ["right", "down"]
    assert set(car.held) == {"right", "down"}
