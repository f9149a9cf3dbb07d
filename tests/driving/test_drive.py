"""Driving and recording: what is recorded is what happened, whoever drove; nothing finished is ever lost."""

import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import gymnasium as gym
import numpy as np
import pytest

from ewm_studio.acting.agent import load_agent
from ewm_studio.acting.copilot import load_copilot
from ewm_studio.data.episode_file import open_episode
from ewm_studio.data.library import Library
from ewm_studio.data.recordings import Recording
from ewm_studio.driving import commands
from ewm_studio.driving.decisions import Decisions
from ewm_studio.driving.drive import Drive
from ewm_studio.driving.session import DriveSession
from ewm_studio.driving.snapshot import EpisodeKept, EpisodeTakenBack, ModelOnBoard
from ewm_studio.driving.step_clock import StepClock
from ewm_studio.errors import UserError
from ewm_studio.jobs import train
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from tests.support import jobs

WAIT = 60.0


@pytest.fixture(autouse=True)
def no_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def experiment(id, seed=0, **sections):
    return Experiment.from_dict({"env": {"id": id}, "run": {"seed": seed}, **sections})


@pytest.fixture
def drive(request):
    made = Drive(experiment(request.param, 7))
    yield made
    made.close()


def assert_replays(recording, number=0):
    """The recorded actions, on a fresh stock environment with the same seed, give what was recorded."""
    episode, path = recording.episode(number), recording.episodes[number].path
    stock = gym.make(recording.env_id)
    with open_episode(path) as file:
        meta = file.meta
    assert meta["first_step"] == 0
    obs, _ = stock.reset(seed=meta["seed"])
    np.testing.assert_array_equal(obs, episode.obs[0])
    for t, action in enumerate(episode.action):
        obs, reward, terminated, truncated, _ = stock.step(action)
        np.testing.assert_array_equal(obs, episode.obs[t + 1])
        assert reward == episode.reward[t]
    stock.close()
    return episode, terminated, truncated


@pytest.mark.parametrize("drive", ["CarRacing-v3"], indirect=True)
def test_a_recording_replays_on_the_stock_environment(drive, tmp_path):
    drive.record(tmp_path / "laps")
    for keys in (("up",), ("up", "left"), ("down",)):
        drive.begin()
        applied = []
        for key in keys:
            drive.controls.press(key)
        for t in range(60):
            if t == 30:
                drive.controls.release(keys[-1])
            assert drive.step()
            applied.append(drive.action)
        drive.keep()
        drive.controls.clear()
        recording = Recording(tmp_path / "laps")
        episode, _, _ = assert_replays(recording, len(recording) - 1)
        np.testing.assert_array_equal(episode.action, applied)
        assert episode.manual.all()
        assert episode.truncated[-1]


@pytest.mark.parametrize("drive", ["CartPole-v1"], indirect=True)
def test_an_end_of_its_own_is_recorded_as_such(drive, tmp_path):
    drive.record(tmp_path / "r")
    drive.begin()
    drive.controls.press("right")
    while not drive.over:
        drive.step()
    kept = drive.keep()
    assert (kept.reward, kept.length, kept.recording) == (drive.reward, drive.steps, "r")
    episode, terminated, _ = assert_replays(Recording(tmp_path / "r"))
    assert terminated
    assert episode.terminated[-1]
    assert (episode.action == 1).all()


@pytest.mark.parametrize("drive", ["CarRacing-v3"], indirect=True)
def test_the_car_turns_the_way_of_the_key(drive):
    angles = {}
    for key in ("left", "right"):
        drive.begin(another=False)
        drive.controls.press("up")
        for _ in range(50):
            drive.step()
        drive.controls.release("up")
        before = drive._env.unwrapped.car.hull.angle
        drive.controls.press(key)
        for _ in range(25):
            drive.step()
        angles[key] = drive._env.unwrapped.car.hull.angle - before
        drive.controls.clear()
    assert angles["left"] > 0.1
    assert angles["right"] < -0.1


@pytest.mark.parametrize("drive", ["CartPole-v1"], indirect=True)
def test_discarding_and_restarting_write_nothing_and_seeds_go_on(drive, tmp_path):
    drive.record(tmp_path / "r")
    seeds, firsts = [], []
    for another in (True, False, True):
        drive.begin(another)
        seeds.append(drive._seed)
        firsts.append(drive._obs)
        drive.step()
    assert seeds == [7, 7, 8]
    np.testing.assert_array_equal(firsts[0], firsts[1])
    assert not list((tmp_path / "r").glob("*.h5"))
    drive.keep()
    later = Drive(experiment("CartPole-v1", 7))
    later.record(tmp_path / "r")
    later.begin()
    assert later._seed == 8  # one is there, so the next track is another one
    later.close()


@pytest.mark.parametrize("drive", ["CartPole-v1"], indirect=True)
def test_a_recording_of_another_environment_is_refused(drive, tmp_path):
    drive.record(tmp_path / "r")
    drive.begin()
    drive.step()
    drive.keep()
    other = Drive(experiment("Acrobot-v1"))
    with pytest.raises(UserError, match="give the new recording another name"):
        other.record(tmp_path / "r")
    assert other.recorder is None
    other.close()


def test_decisions_merge_frames_as_a_reader_of_the_recording_does():
    told = []
    group = Decisions(3, lambda d: told.append((d.obs, d.action.tolist(), d.is_first, d.reward, d.terminated)))
    for episode in range(2):
        group.begin()
        for t in range(5):
            ends = t == 4
            group.frame(
                f"{episode}-{t}", np.array([t], np.float32), float(t), ends and episode == 0, ends and episode == 1
            )
    assert told == [
        ("0-0", [1], True, 3.0, False),
        ("0-3", [3.5], False, 7.0, True),
        ("1-0", [1], True, 3.0, False),
        ("1-3", [3.5], False, 7.0, False),
    ]


def test_a_late_step_is_caught_up_with_and_a_long_rest_is_not():
    now = [0.0]
    clock = StepClock(0.02, lambda: now[0])
    clock.tick()
    now[0] = 0.05  # due at 0.02
    clock.tick()
    assert clock.lateness[-1] == pytest.approx(0.03)
    assert clock.wait == pytest.approx(-0.01)  # the step of 0.04 is due
    clock.tick()
    assert clock.wait == pytest.approx(0.01)
    now[0] = 5.0
    clock.tick()
    assert clock.wait == pytest.approx(0.02)


# A model on board


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of pole balancing with a memory, hardly trained."""
    workspace = Workspace(tmp_path_factory.mktemp("ws"))
    made = jobs.experiment(
        memory={"name": "LSTMMemory", "hidden_dim": 8}, train={"epochs": 1}, env={"action_repeat": 2, "batch_size": 4}
    )
    result = jobs.finish(train(made, workspace))
    yield result["checkpoint"]
    workspace.close()


@pytest.mark.parametrize("drive", ["CartPole-v1"], indirect=True)
def test_takeovers_are_marked_and_the_memory_sees_every_action(drive, tmp_path, model):
    copilot = load_copilot(model, "m")
    remembered = []
    real = copilot.remember
    copilot.remember = lambda action: (remembered.append(int(action)), real(action))
    drive.take_along(copilot)
    drive.record(tmp_path / "r")
    drive.begin()
    drivers = []
    for t in range(8):
        if t == 2:
            drive.hand_over()
        if t == 5:
            drive.controls.press("left")
            drive.take_over()
        drive.step()
        drivers.append(drive.driver)
        if drive.over:
            break
    drive.keep()
    episode = Recording(tmp_path / "r").episode(0)
    assert episode.manual.tolist() == [d == "person" for d in drivers] == [1, 1, 0, 0, 0, 1, 1, 1]
    assert remembered == episode.action[1::2].tolist()  # the last action of every two frames, whoever drove
    assert (episode.action[5:] == 0).all()


@pytest.mark.parametrize("drive", ["CartPole-v1"], indirect=True)
def test_a_model_that_drives_alone_does_what_the_model_does(drive, model, tmp_path):
    """Step for step as `infer` would play it: the memory along with the episode."""
    copilot = load_copilot(model, "m")
    drive.take_along(copilot)
    drive.record(tmp_path / "r")
    drive.begin()
    drive.hand_over()
    while not drive.over and drive.steps < 60:
        drive.step()
    drive.keep()
    episode = Recording(tmp_path / "r").episode(0)
    agent = load_agent(model)
    state, expected = agent.initial_state(), []
    for t in range(0, len(episode.action), 2):
        action, state = agent.act(episode.obs[t][None], state)
        expected += [int(action[0])] * 2
    assert episode.action.tolist() == expected[: len(episode.action)]
    assert not episode.manual.any()


def test_a_model_of_another_environment_is_refused(model):
    drive = Drive(experiment("Acrobot-v1"))
    try:
        with pytest.raises(UserError, match="choose a model that was trained on it"):
            drive.take_along(load_copilot(model, "m"))
    finally:
        drive.close()


# In a thread of its own


@pytest.fixture
def session():
    """Makes sessions; all are ended."""
    made = []

    def make(id="CartPole-v1", start=True, **kwargs):
        made.append(DriveSession(experiment(id, 3), **kwargs))
        if start:
            made[-1].start()
            wait_for(lambda: made[-1].snapshot.state == "paused")
        return made[-1]

    yield make
    for one in made:
        one.stop()
        assert one.join()


def wait_for(condition):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_finished_episode_is_on_disk_at_once_and_may_be_taken_back(session, tmp_path):
    one = session(start=False)
    one.ask(commands.Record(tmp_path / "r"))
    one.start()
    wait_for(lambda: one.snapshot.state == "paused")
    one.ask(commands.Press("left"))
    wait_for(lambda: one.snapshot.state == "ended")
    (kept,) = one.drain()
    assert isinstance(kept, EpisodeKept)
    assert len(Recording(tmp_path / "r")) == 1
    one.ask(commands.Discard())
    wait_for(lambda: one.snapshot.episode == 2)
    (gone,) = one.drain()
    assert isinstance(gone, EpisodeTakenBack)
    assert not list((tmp_path / "r").glob("*.h5"))


def test_every_recorded_episode_waits_for_its_first_key(session, tmp_path):
    one = session("MountainCar-v0")
    one.ask(commands.Press("left"))
    wait_for(lambda: one.snapshot.steps > 3)
    one.ask(commands.Restart())
    wait_for(lambda: one.snapshot.steps < 3)
    wait_for(lambda: one.snapshot.steps > 3)  # nothing is recorded: it goes on
    one.ask(commands.Record(tmp_path / "r"))
    for again in (commands.Restart(), commands.Keep(), commands.Discard()):
        wait_for(lambda: one.snapshot.episode_recorded > 3 and one.snapshot.state == "driving")
        one.ask(again)
        wait_for(lambda: one.snapshot.state == "paused" and one.snapshot.steps == 0)
        one.ask(commands.Press("left"))
    wait_for(lambda: one.snapshot.episode_recorded > 3)
    assert len(Recording(tmp_path / "r")) == 1


def test_an_episode_is_cut_while_another_is_recorded(session, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    workspace.make()
    folder, one = workspace.recordings_folder / "r", session("MountainCar-v0")
    one.ask(commands.Record(folder))
    one.ask(commands.Press("left"))
    wait_for(lambda: one.snapshot.episode_recorded > 9)
    one.ask(commands.Keep())
    one.ask(commands.Press("left"))
    wait_for(lambda: one.snapshot.episode == 2 and one.snapshot.episode_recorded > 3)
    library = Library(workspace)
    binned = library.cut(folder / "000001.h5", 2, 7)
    one.stop()
    assert one.join()
    assert one.failure is None
    recording = Recording(folder)
    assert recording.episodes[0].length == 5
    assert recording.episodes[1].length > 3
    assert library.restore(binned) == folder / "000001.h5"
    workspace.close()


def test_a_pause_is_no_gap_in_the_recording(session, tmp_path):
    one = session("CarRacing-v3")
    one.ask(commands.Record(tmp_path / "r"))
    one.ask(commands.Press("up"))
    wait_for(lambda: one.snapshot.steps > 20)
    one.ask(commands.Press("left"))
    wait_for(lambda: one.snapshot.values[0] < 0)
    one.ask(commands.LetGo())  # as when the window loses the focus
    wait_for(lambda: one.snapshot.state == "paused")
    assert one.snapshot.held == ()
    assert one.snapshot.values == (0, 0, 0)
    steps = one.snapshot.steps
    time.sleep(0.2)
    assert one.snapshot.steps == steps
    one.ask(commands.Resume())
    wait_for(lambda: one.snapshot.steps > steps + 10)
    one.stop()
    assert one.join()
    recording = Recording(tmp_path / "r")
    episode, _, _ = assert_replays(recording)
    assert episode.action[steps].tolist() == [0, 0, 0]  # straight on, from the first step after the rest


def test_recording_off_keeps_what_there_is_and_on_begins_in_the_middle(session, tmp_path):
    one = session("CarRacing-v3")
    one.ask(commands.Press("up"))
    wait_for(lambda: one.snapshot.steps > 5)
    one.ask(commands.Record(tmp_path / "r"))
    wait_for(lambda: one.snapshot.episode_recorded > 5)
    one.ask(commands.Record(None))
    wait_for(lambda: not one.snapshot.recording)
    (kept,) = one.drain()
    assert kept.length > 5
    with open_episode(Path(kept.path)) as file:
        assert file.meta["first_step"] > 5
    one.ask(commands.Record(tmp_path / "other"))  # counted along with the first
    wait_for(lambda: one.snapshot.frames_recorded > kept.length + 3)


def test_a_goal_ends_the_session_with_as_many_frames(session, tmp_path):
    one = session("CarRacing-v3", start=False, goal=30)
    one.ask(commands.Record(tmp_path / "r"))
    one.start()
    wait_for(lambda: one.snapshot.state == "paused")
    one.ask(commands.Press("up"))
    wait_for(lambda: one.snapshot.state == "over")
    assert Recording(tmp_path / "r").step_count == 30


def test_slow_motion_and_a_delay_set_the_pace(session):
    one = session()
    assert one.snapshot.period == pytest.approx(0.02)
    one.ask(commands.SetSpeed(0.25))
    wait_for(lambda: one.snapshot.period == pytest.approx(0.08))
    drive = Drive(experiment("CartPole-v1", data={"manual_mode_delay": 0.5}))
    assert drive.period == 0.5
    drive.close()


def test_what_cannot_be_driven_ends_the_session_with_the_reason(session):
    one = session("BipedalWalker-v3", start=False)
    one.start()
    wait_for(lambda: one.snapshot.state == "over")
    assert isinstance(one.failure, UserError)


def test_decisions_are_told_with_prepared_observations(session):
    told = []
    one = session("CarRacing-v3", on_decision=lambda d: told.append((d.obs.shape, d.action.shape, d.is_first)))
    one.ask(commands.Press("up"))
    wait_for(lambda: len(told) > 3)
    assert told[:3] == [((3, 64, 64), (3,), True), ((3, 64, 64), (3,), False), ((3, 64, 64), (3,), False)]


def test_driving_needs_no_torch(tmp_path):
    code = (
        "import sys, time; from ewm_studio.settings import Experiment\n"
        "from ewm_studio.driving.commands import Press\n"
        "from ewm_studio.driving.session import DriveSession\n"
        "s = DriveSession(Experiment()); s.start()\n"
        "while s.snapshot.state == 'starting': time.sleep(.01)\n"
        "s.ask(Press('left')); time.sleep(.1); s.stop(); s.join()\n"
        "print(s.failure, 'torch' in sys.modules, any('PySide' in n for n in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT, check=True)
    assert done.stdout.split() == ["None", "False", "False"]


def test_a_model_is_loaded_while_the_drive_goes_on_and_may_be_left_behind(session, model):
    one = session("CartPole-v1")
    one.ask(commands.LoadModel(model, "of a run"))
    wait_for(lambda: one.snapshot.copilot == "of a run")
    assert one.drain() == [ModelOnBoard("of a run")]
    one.ask(commands.HandOver())
    wait_for(lambda: one.snapshot.driver == "model" and one.snapshot.steps > 2)
    one.ask(commands.DropModel())
    wait_for(lambda: one.snapshot.copilot == "" and one.snapshot.driver == "person")


def test_of_models_asked_for_in_a_row_the_last_comes_along(session, model, tmp_path):
    one = session("CartPole-v1")
    for name in ("first", "second"):
        one.ask(commands.LoadModel(model, name))
    wait_for(lambda: one.snapshot.copilot == "second")
    one.ask(commands.LoadModel(tmp_path / "missing.safetensors", "third"))
    events = []
    wait_for(lambda: events.extend(one.drain()) or any(isinstance(event, UserError) for event in events))
    assert events[0] == ModelOnBoard("second")
    assert one.snapshot.copilot == "second"
    one.ask(commands.LoadModel(model, "fourth"))
    one.ask(commands.DropModel())  # before it is there
    time.sleep(0.5)
    assert one.snapshot.copilot == ""


def test_every_command_can_travel_and_has_an_answer(tmp_path):
    asked = [
        commands.Press("left"),
        commands.Release("left"),
        commands.LetGo(),
        commands.Pause(),
        commands.Resume(),
        commands.Restart(),
        commands.Keep(),
        commands.Discard(to_bin=True),
        commands.Record(tmp_path),
        commands.SetSpeed(0.5),
        commands.SetKeys({"left": ("i",)}),
        commands.LoadModel(tmp_path / "model.safetensors", "of a run", greedy=False),
        commands.DropModel(),
        commands.HandOver(),
        commands.TakeOver(),
    ]
    for command in asked:
        assert pickle.loads(pickle.dumps(command)) == command
    assert {type(command) for command in asked} == set(get_args(commands.Command)) == set(DriveSession.answers)


def test_keys_that_are_chosen_while_driving_count_at_once(session):
    one = session("CartPole-v1")
    one.ask(commands.SetKeys({"left": ("i",)}))
    wait_for(lambda: one.scheme.keys["left"] == ("i",))
    one.ask(commands.Press("left"))  # means nothing now
    time.sleep(0.1)
    assert one.snapshot.steps == 0
    one.ask(commands.Press("i"))
    wait_for(lambda: one.snapshot.steps > 0)
    assert one.snapshot.action == 0


# Killed

DRIVE_FOR_EVER = """
import sys
import time
from pathlib import Path
from ewm_studio.settings import Experiment
from ewm_studio.driving.commands import Press, Record, Release, Resume
from ewm_studio.driving.session import DriveSession
session = DriveSession(Experiment.from_dict({"pretrain": {"manual_mode_delay": 0.001}}))
session.ask(Record(Path(sys.argv[1])))
session.start()
finished = 0
while True:
    for command in (Press("left"), Release("left"), Resume()):
        session.ask(command)
    time.sleep(0.0005)
    for kept in session.drain():
        finished += 1
        print(finished, flush=True)
"""


def killed_after(seconds, folder):
    """Kill a session that records; the number of episodes it had said to be safe."""
    process = subprocess.Popen([sys.executable, "-c", DRIVE_FOR_EVER, str(folder)], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    said = [1, *map(int, process.stdout.read().split())]
    process.wait()
    return said[-1]


def check_killed(seed, tmp_path):
    said = killed_after(np.random.default_rng(seed).uniform(0, 0.6), tmp_path / "r")
    recording = Recording(tmp_path / "r")
    assert recording.damaged == []
    assert len(recording) in (said, said + 1)  # one may have been safe and not been spoken of yet
    for number in range(len(recording)):
        assert recording.episode(number).terminated[-1]


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_costs_the_unfinished_episode_alone(seed, tmp_path):
    check_killed(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 23))
def test_a_kill_at_any_instant_costs_the_unfinished_episode_alone(seed, tmp_path):
    check_killed(seed, tmp_path)
