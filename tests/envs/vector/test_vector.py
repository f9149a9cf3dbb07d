"""Environments side by side: no inserted steps, the same for any number of workers, exact continuation, no hangs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from ewm_studio.envs.factory import make_env, make_prepared_env
from ewm_studio.envs.vector import workers
from ewm_studio.envs.vector.base import VectorEnvs
from ewm_studio.envs.vector.group import episode_seed
from ewm_studio.envs.vector.local import LocalVectorEnvs
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.envs.vector.sizing import choose_batch_size
from ewm_studio.envs.vector.workers import WorkerVectorEnvs
from ewm_studio.errors import JobError, UserError
from ewm_studio.settings import EnvSettings
from tests.support import ROOT

BOX2D = ["LunarLander-v3", "BipedalWalker-v3", "CarRacing-v3"]
TROUBLE = "tests.support.trouble_envs:Trouble-v0"


def random_actions(envs: VectorEnvs, steps: int, seed: int = 0) -> list[np.ndarray]:
    envs.action_space.seed(seed)
    return [np.stack([envs.action_space.sample() for _ in range(envs.num_envs)]) for _ in range(steps)]


def trace(envs: VectorEnvs, actions: list[np.ndarray]) -> list[Any]:
    """Everything that some steps give, copied."""
    out: list[Any] = []
    for action in actions:
        s = envs.step(action)
        finals = {i: obs.tolist() for i, obs in sorted(s.final_obs.items())}
        episodes = sorted((e.env, e.reward, e.length, e.seed) for e in s.episodes)
        out.append((s.obs.tolist(), s.reward.tolist(), s.terminated.tolist(), s.truncated.tolist(), finals, episodes))
    return out


def test_steps_are_those_of_single_environments() -> None:
    """Every row follows its own environment; an ended episode's row shows the next one's first observation."""
    envs = make_vector(EnvSettings(batch_size=3, workers=0), seed=7)
    singles = [make_env("CartPole-v1") for _ in range(3)]
    numbers, totals, ended = [0] * 3, [0.0] * 3, 0
    obs = envs.reset().copy()
    for i, env in enumerate(singles):
        np.testing.assert_array_equal(obs[i], env.reset(seed=episode_seed(7, i, 0))[0])
    for actions in random_actions(envs, 200):
        step = envs.step(actions)
        for i, env in enumerate(singles):
            row, reward, terminated, truncated, _ = env.step(actions[i])
            totals[i] += float(reward)
            assert (step.reward[i], step.terminated[i], step.truncated[i]) == (reward, terminated, truncated)
            if terminated or truncated:
                np.testing.assert_array_equal(step.final_obs[i], row)
                episode = next(e for e in step.episodes if e.env == i)
                assert (episode.reward, episode.seed) == (totals[i], episode_seed(7, i, numbers[i]))
                assert episode.length == totals[i]
                numbers[i], totals[i], ended = numbers[i] + 1, 0.0, ended + 1
                row, _ = env.reset(seed=episode_seed(7, i, numbers[i]))
            else:
                assert i not in step.final_obs
            np.testing.assert_array_equal(step.obs[i], row)
    assert ended > 15


def test_truncation_is_told_from_termination_and_length_counts_every_frame() -> None:
    envs = make_vector(EnvSettings(id="Pendulum-v1", batch_size=2, workers=0, max_episode_steps=7, action_repeat=3), 0)
    envs.reset()
    rows = trace(envs, random_actions(envs, 3))
    assert [row[3] for row in rows] == [[False, False], [False, False], [True, True]]
    assert not any(any(row[2]) for row in rows)
    assert [episode[2] for episode in rows[-1][5]] == [7, 7]


def test_seeds_differ_between_environments_episodes_and_runs() -> None:
    seeds = {episode_seed(s, i, k) for s in range(4) for i in range(4) for k in range(4)}
    assert len(seeds) == 64


@pytest.mark.parametrize("id", ["CartPole-v1", "BipedalWalker-v3"])
def test_the_number_of_workers_changes_nothing(id: str) -> None:
    traces = []
    for count in (0, 1, 3):
        envs = make_vector(EnvSettings(id=id, batch_size=4, workers=count, max_episode_steps=25), seed=3)
        assert isinstance(envs, WorkerVectorEnvs if count else LocalVectorEnvs)
        try:
            first = envs.reset().tolist()
            traces.append([first, *trace(envs, random_actions(envs, 60))])
        finally:
            envs.close()
    assert traces[0] == traces[1] == traces[2]


@pytest.mark.parametrize("id", ["CartPole-v1", "Blackjack-v1", "Taxi-v4", *BOX2D])
def test_restored_environments_continue_exactly(id: str) -> None:
    """In fresh objects, after several episodes and in the middle of others."""
    if id not in gym.registry:
        pytest.skip(f"no {id} here")
    settings = EnvSettings(id=id, batch_size=3, workers=0, action_repeat=2, max_episode_steps=30)
    envs = make_vector(settings, seed=1)
    envs.reset()
    actions = random_actions(envs, 60)
    trace(envs, actions[:40])
    state = envs.state()
    plain = json.loads(json.dumps(state, default=lambda array: array.tolist()))  # numbers, strings, arrays: no more
    expected = trace(envs, actions[40:])
    assert any(row[5] for row in expected)
    for saved in (state, plain):
        again = make_vector(settings, seed=1)
        obs = again.restore(saved)
        assert {e["obs"] for e in again.state()["envs"]} == {e["obs"] for e in state["envs"]}
        assert obs.shape[0] == 3
        assert trace(again, actions[40:]) == expected


def test_restoring_works_across_workers_and_twice() -> None:
    local = make_vector(EnvSettings(batch_size=4, workers=0), seed=1)
    local.reset()
    actions = random_actions(local, 90)
    trace(local, actions[:30])
    state = local.state()
    spread = make_vector(EnvSettings(batch_size=4, workers=2), seed=1)
    try:
        spread.restore(state)
        assert trace(spread, actions[30:60]) == trace(local, actions[30:60])
        state = spread.state()
    finally:
        spread.close()
    again = make_vector(EnvSettings(batch_size=4, workers=0), seed=1)
    again.restore(state)
    assert trace(again, actions[60:]) == trace(local, actions[60:])


def test_state_stays_as_long_as_the_running_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ewm_studio.envs.vector.base._LOG_BLOCK", 16)
    envs = make_vector(EnvSettings(batch_size=2, workers=0), seed=0)
    envs.reset()
    trace(envs, random_actions(envs, 700))
    assert len(envs._log) < 200
    state = envs.state()
    again = make_vector(EnvSettings(batch_size=2, workers=0), seed=0)
    again.restore(state)
    more = random_actions(envs, 40, seed=9)
    assert trace(again, more) == trace(envs, more)


def test_what_does_not_repeat_itself_is_refused() -> None:
    envs = make_vector(EnvSettings(batch_size=2, workers=0), seed=0)
    envs.reset()
    trace(envs, random_actions(envs, 5))
    state = envs.state()
    other = make_vector(EnvSettings(batch_size=2, workers=0), seed=1)
    with pytest.raises(JobError, match="does not repeat itself"):
        other.restore(state)
    with pytest.raises(JobError, match="2 environments, the run has 3"):
        make_vector(EnvSettings(batch_size=3, workers=0), seed=0).restore(state)


@pytest.mark.parametrize("id", BOX2D)
def test_a_played_out_environment_is_as_good_as_a_new_one(id: str) -> None:
    """Box2D remembers across resets; prepared environments do not."""
    used = make_prepared_env(EnvSettings(id=id, max_episode_steps=120))
    fresh = make_prepared_env(EnvSettings(id=id, max_episode_steps=120))
    used.action_space.seed(0)
    for seed in (11, 12):
        used.reset(seed=seed)
        for _ in range(60):
            used.step(used.action_space.sample())
    np.testing.assert_array_equal(used.reset(seed=5)[0], fresh.reset(seed=5)[0])
    for _ in range(120):
        action = used.action_space.sample()
        a, b = used.step(action), fresh.step(action)
        np.testing.assert_array_equal(a[0], b[0])
        assert a[1:4] == b[1:4]


@pytest.mark.parametrize("workers_", [0, 2])
def test_an_environment_that_raises(workers_: int) -> None:
    envs = make_vector(EnvSettings(id=TROUBLE, batch_size=3, workers=workers_), seed=0)
    try:
        envs.reset()
        with pytest.raises(JobError, match=r"environment 1 .*ValueError: the bolt is loose"):
            envs.step(np.array([0, 1, 0]))
    finally:
        envs.close()


@pytest.mark.parametrize(
    ("action", "said"), [(2, r"environments 1 to 2\) ended with exit code 7"), (3, r"signal 9"), (4, "did not answer")]
)
def test_a_worker_that_dies_or_hangs(action: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 30.0)
    envs = make_vector(EnvSettings(id=TROUBLE, batch_size=3, workers=2), seed=0)
    assert isinstance(envs, WorkerVectorEnvs)
    pids = [w._process.pid for w in envs._workers]
    envs.reset()
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 1.0)
    with pytest.raises(JobError, match=said if action != 2 else "exit code 7"):
        envs.step(np.array([0, 0, action]))
    assert not any(alive(pid) for pid in pids)
    with pytest.raises(JobError):
        envs.step(np.array([0, 0, 0]))
    envs.close()
    envs.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there a signal ends a process, whatever it wants")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_leaves_workers_to_the_run(number: int) -> None:
    envs = make_vector(EnvSettings(id=TROUBLE, batch_size=2, workers=2), seed=0)
    assert isinstance(envs, WorkerVectorEnvs)
    try:
        envs.reset()
        for worker in envs._workers:
            assert worker._process.pid is not None
            os.kill(worker._process.pid, number)
        envs.step(np.array([0, 0]))
    finally:
        envs.close()


@pytest.mark.parametrize(("id", "pixels"), [("CartPole-v1", False), ("CartPole-v1", True), ("CarRacing-v3", False)])
def test_only_the_first_environment_has_a_window(id: str, pixels: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import pygame

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.delenv("EWM_STUDIO_NO_DISPLAY", raising=False)
    pygame.display.quit()
    shown = EnvSettings(id=id, pixels=pixels, render_mode="human", batch_size=2, workers=2, max_episode_steps=4)
    hidden = shown.model_copy(update={"render_mode": "rgb_array", "workers": 0})
    envs, blind = make_vector(shown, seed=0), make_vector(hidden, seed=0)
    assert isinstance(envs, LocalVectorEnvs)
    try:
        np.testing.assert_array_equal(envs.reset(), blind.reset())
        assert pygame.display.get_surface() is not None
        actions = random_actions(envs, 6)
        assert trace(envs, actions) == trace(blind, actions)
        assert pygame.display.get_surface() is not None
    finally:
        envs.close()


def alive(pid: int | None) -> bool:
    assert pid is not None
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
def test_workers_die_with_a_killed_parent(tmp_path: Path) -> None:
    """Even in the middle of a step that never ends, and from a script without the usual guard."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, numpy as np\n"
        "from ewm_studio.envs.vector.make import make_vector\n"
        "from ewm_studio.settings import EnvSettings\n"
        f"v = make_vector(EnvSettings(id='{TROUBLE}', batch_size=2, workers=2), 0)\n"
        "v.reset()\n"
        "print(*[w._process.pid for w in v._workers], flush=True)\n"
        "v.step(np.array([4, 0]))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=env) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)


class OnlyHere(gym.Env):
    """Registered below from a class that worker processes can import, and once from one that they cannot."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)


def test_environments_of_the_running_script_stay_in_its_process() -> None:
    gym.register("OnlyHere-v0", entry_point=lambda: OnlyHere())
    try:
        with pytest.raises(UserError, match="running script"):
            make_vector(EnvSettings(id="OnlyHere-v0", batch_size=2, workers=2), 0)
    finally:
        del gym.registry["OnlyHere-v0"]


def test_bad_settings_are_refused_before_workers_start() -> None:
    with pytest.raises(UserError, match="crop"):
        make_vector(EnvSettings(id="CarRacing-v3", crop_top=96, batch_size=2, workers=2), 0)


def test_batch_size_is_chosen_with_a_reason() -> None:
    size, sentence = choose_batch_size(EnvSettings())
    assert size in (8, 16, 32)
    assert str(size) in sentence
    assert "CartPole-v1" in sentence
    assert make_vector(EnvSettings(batch_size="auto", workers=0), 0).num_envs in (8, 16, 32)


def test_an_idle_episode_is_cut_in_training_and_never_in_play():
    from ewm_studio.envs.factory import make_prepared_env

    settings = EnvSettings(id="Pendulum-v1", batch_size=2, workers=0, idle_limit=30)  # its reward is never above zero
    envs = make_vector(settings, 0)
    envs.reset()
    for t in range(1, 61):
        step = envs.step(np.zeros((2, 1), np.float32))
        assert step.truncated.all() == (t % 30 == 0)
    envs.close()
    env = make_prepared_env(settings)
    env.reset(seed=0)
    assert not any(env.step(np.zeros(1, np.float32))[3] for _ in range(60))


def test_a_reward_above_zero_starts_the_idle_count_anew():
    envs = make_vector(EnvSettings(id="CartPole-v1", batch_size=1, workers=0, idle_limit=1), 0)
    envs.reset()
    assert not envs.step(np.zeros(1, np.int64)).truncated.any()
    envs.close()


def test_an_idle_end_is_a_failure_where_it_is_asked_for():
    settings = EnvSettings(id="Pendulum-v1", batch_size=2, workers=0, idle_limit=30, idle_terminates=True)
    envs = make_vector(settings, 0)
    envs.reset()
    for t in range(1, 61):
        step = envs.step(np.zeros((2, 1), np.float32))
        assert step.terminated.all() == (t % 30 == 0)
        assert not (step.terminated.any() and t % 30)
    envs.close()
