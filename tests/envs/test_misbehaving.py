"""What an environment raises or gives wrongly names it, with the step and the value, wherever it runs."""

from __future__ import annotations

import signal
import threading
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.failures import ClosingFailed, environment_at_work
from ewm_studio.envs.single import SingleEnv
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.errors import JobError, UserError
from ewm_studio.settings import EnvSettings
from tests.support.misbehaving_envs import ENDS, RESETS, STEPS, env_id

FAULTS = [*((name, "reset") for name in ENDS), *((name, "step") for name in (*ENDS, *STEPS, *RESETS))]


def play(envs: Any, steps: int = 30) -> None:
    envs.reset()
    for _ in range(steps):
        envs.step(np.zeros(envs.num_envs, np.int64))


def vector(fault: str, place: str = "step", workers: int = 0) -> Any:
    return make_vector(EnvSettings(id=env_id(fault, place), batch_size=2, workers=workers), seed=0)


def single(fault: str, place: str = "step", **settings: Any) -> SingleEnv:
    chosen = EnvSettings(id=env_id(fault, place), **settings)
    return SingleEnv(make_prepared_env(chosen), chosen, seeds=3)


@pytest.mark.parametrize(("fault", "place"), FAULTS)
def test_many_and_one_refuse_the_same_and_name_it(fault: str, place: str) -> None:
    said = {**STEPS, **RESETS}.get(fault, (None, ""))[1]
    makers = [vector, single]
    if not fault.endswith("_obs"):  # what is observed between two decisions is seen by nobody
        makers.append(lambda *which: single(*which, action_repeat=2))
    for make in makers:
        with pytest.raises(JobError, match=rf"{fault}\.{place}-v0.*of the episode of seed \d+") as caught:
            play(make(fault, place))
        assert said in str(caught.value)


@pytest.mark.parametrize("fault", ["exit", "interrupt", "strange", "nan_obs", "old_gym"])
def test_in_a_worker_it_is_the_same_line(fault: str) -> None:
    lines = []
    for workers in (0, 2):
        with pytest.raises(JobError) as caught:
            play(vector(fault, workers=workers))
        lines.append(str(caught.value))
    assert lines[0] == lines[1]


@pytest.mark.parametrize("fault", ["exit0", "interrupt", "strange", "generator"])
def test_a_constructor_cannot_end_the_studio(fault: str) -> None:
    with pytest.raises(JobError, match=rf"{fault}\.init-v0"):
        make_prepared_env(EnvSettings(id=env_id(fault, "init")))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("fault", ["error", "exit", "interrupt"])
def test_what_fails_when_it_is_closed_is_told_after_all_was_done(fault: str, workers: int) -> None:
    envs = vector(fault, "close", workers)
    play(envs)
    with pytest.raises(ClosingFailed, match=rf"{fault}\.close-v0.*when it was closed"):
        envs.close()
    if workers == 0:
        with pytest.raises(ZeroDivisionError):
            raise_while_open(vector(fault, "close"))


def raise_while_open(envs: Any) -> None:
    """What went wrong first is what is told."""
    try:
        raise ZeroDivisionError
    finally:
        envs.close()


def test_the_old_gym_is_called_by_its_name() -> None:
    with pytest.raises(JobError, match=r"no_seed\.step-v0.*as the old Gym had it"):
        play(vector("no_seed"))


def work_until_interrupted(timer: threading.Timer) -> None:
    with environment_at_work("X-v0"):
        timer.start()
        while True:
            sum(range(100))


def test_an_interruption_by_a_signal_is_nobodys_fault() -> None:
    """With Python's own handler, and with one of ours that raises."""

    def ours(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    try:
        for handler in (signal.default_int_handler, ours):
            signal.signal(signal.SIGINT, handler)
            timer = threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,))
            with pytest.raises(KeyboardInterrupt):
                work_until_interrupted(timer)
    finally:
        signal.signal(signal.SIGINT, before)


def test_numbers_of_other_types_are_still_numbers() -> None:
    class Numbers(gym.Env):
        observation_space, action_space = gym.spaces.Box(-1, 1, (1,), np.float64), gym.spaces.Discrete(2)
        given: Any = None

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return [0.5], {}

        def step(self, action: int) -> Any:
            return [0], *self.given, {}

    gym.register("Numbers-v0", entry_point=Numbers)
    try:
        chosen = EnvSettings(id="Numbers-v0")
        for reward in (np.float32(1), np.int64(1), 1, True, np.array(1.0), np.array([1])):
            for flag in (0, np.bool_(False), np.array([False])):
                Numbers.given = (reward, flag, False)
                envs = SingleEnv(make_prepared_env(chosen), chosen, seeds=0)
                envs.reset()
                step = envs.step(np.array([0]))
                assert (step.reward[0], step.terminated[0]) == (1.0, False)
    finally:
        del gym.registry["Numbers-v0"]


def test_arguments_reach_the_constructor_and_unknown_ones_are_refused_by_name() -> None:
    kwargs = {"map_name": "8x8", "is_slippery": False}
    env = make_prepared_env(EnvSettings(id="FrozenLake-v1", kwargs=kwargs))
    assert env.observation_space.shape == (64,)
    env.close()
    with pytest.raises(UserError, match=r"no argument 'slippery'; it takes .*is_slippery"):
        make_prepared_env(EnvSettings(id="FrozenLake-v1", kwargs={"slippery": False}))
    with pytest.raises(UserError, match="render_mode is a setting of its own"):
        EnvSettings(kwargs={"render_mode": "human"})
