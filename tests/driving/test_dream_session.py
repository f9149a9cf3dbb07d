"""Driving in a dream: it waits for the driver, answers keys, goes back, and keeps what was driven as dreamt."""

import threading
import time
from typing import get_args

import numpy as np
import pytest
import torch

from ewm_studio.acting.planning import PlanningPolicy
from ewm_studio.data.recordings import Recording
from ewm_studio.dreams.branches import Place
from ewm_studio.driving import commands
from ewm_studio.driving import dream_commands as asked
from ewm_studio.driving.dream_beginning import DreamBeginning, FromNowhere, FromTrack, load_start
from ewm_studio.driving.dream_drive import DreamDrive
from ewm_studio.driving.dream_session import DreamSession
from ewm_studio.driving.dream_snapshot import LANES, DreamSaved, FanDrawn, ModelSwapped
from ewm_studio.driving.live_planner import LIVE
from ewm_studio.driving.moves import actions_of
from ewm_studio.driving.schemes import scheme_of
from ewm_studio.driving.snapshot import EpisodeKept
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.errors import UserError
from ewm_studio.settings import EnvSettings, PlannerSettings
from tests.support.dreamers import dreamer, saved

WAIT = 120.0


@pytest.fixture(autouse=True)
def no_window(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture(scope="module")
def agent():
    return dreamer(pixels=True, action_repeat=2)


@pytest.fixture
def drive(agent):
    made = DreamDrive(agent, load_start(agent, FromTrack(3, 4)), name="small")
    yield made
    made.close()


@pytest.fixture
def session(agent, tmp_path):
    """A session that waits for its driver."""
    made = DreamSession(DreamBeginning(saved(agent, tmp_path / "m.safetensors"), "small", FromTrack(3, 4)))
    made.start()
    try:
        until(made, lambda: made.snapshot.state == "paused")
        yield made
    finally:
        made.stop()
        assert made.join()
    assert made.failure is None


def until(session, true):
    end = time.monotonic() + WAIT
    while not true():
        assert session.failure is None
        assert time.monotonic() < end
        time.sleep(0.005)


def told(session, kind):
    """The next event of a kind."""
    found = []

    def there():
        found.extend(event for event in session.drain() if isinstance(event, kind))
        return found

    until(session, there)
    return found[0]


def test_every_command_has_its_answer():
    assert set(DreamSession.answers) == set(get_args(asked.DreamCommand))


def test_the_dream_begins_when_the_driver_is_ready_and_answers_keys(session):
    assert session.snapshot.steps == 0
    assert session.snapshot.dream.shape == (16, 16, 3)
    assert session.snapshot.real.ndim == 3
    session.ask(commands.Press("right"))
    until(session, lambda: session.snapshot.steps >= 6)
    shown = session.snapshot
    assert shown.driver == "person"
    assert shown.action == 1
    assert shown.held == ("right",)
    assert shown.key_to_picture > 0
    assert len(session.decisions.lateness) >= 6
    assert {len(shown.path.lane(name)) for name in LANES} == {shown.steps}
    assert shown.dreamt_return == pytest.approx(shown.path.lane("reward").sum())
    assert np.nansum(shown.path.lane("real_reward")) > 0
    session.ask(commands.LetGo())
    until(session, lambda: session.snapshot.state in ("paused", "ended"))


def test_it_steps_goes_back_and_lets_others_drive(session):
    session.ask(asked.Step())
    until(session, lambda: session.snapshot.steps == 1 and session.snapshot.state == "paused")
    first = session.snapshot.dream
    for _ in range(3):
        before = session.snapshot.steps
        session.ask(asked.Step())
        until(session, lambda before=before: session.snapshot.steps == before + 1)
        until(session, lambda: session.snapshot.state == "paused")
    session.ask(asked.Rewind(3))
    until(session, lambda: session.snapshot.steps == 1)
    assert (session.snapshot.dream == first).all()
    session.ask(asked.LetDrive("controller"))
    until(session, lambda: session.snapshot.steps >= 3)
    session.ask(commands.Pause())
    until(session, lambda: session.snapshot.state == "paused")
    assert [info.driver for info in session.snapshot.branches] == ["person", "controller"]
    session.ask(asked.GoTo(0, 4))
    until(session, lambda: session.snapshot.place == Place(0, 4))
    session.ask(asked.LetDrive("recorded"))
    assert "nothing is recorded" in str(told(session, UserError))
    session.ask(asked.SetTemperature(0.0))
    session.ask(asked.Fork(seed=9))
    session.ask(asked.NameBranch(2, "cold"))
    until(session, lambda: session.snapshot.branches[-1].name == "cold")
    assert session.snapshot.temperature == 0.0


def test_fans_swaps_recordings_and_trees_come_as_events(session, tmp_path):
    other = saved(dreamer(pixels=True, action_repeat=2, weights=8), tmp_path / "other.safetensors")
    for _ in range(2):
        before = session.snapshot.steps
        session.ask(asked.Step())
        until(session, lambda before=before: session.snapshot.steps == before + 1)
        until(session, lambda: session.snapshot.state == "paused")
    session.ask(asked.DrawFan("turns", 3, 4))
    fans = told(session, FanDrawn).fans
    assert [fan.words for fan in fans] == ["left", "right"]
    assert fans[0].pictures.shape[:2] == (4, 3)
    session.ask(asked.KeepRecording(tmp_path / "kept"))
    kept = told(session, EpisodeKept)
    assert kept.length == 2
    session.ask(asked.SwapModel(other, "other", "m"))
    assert told(session, ModelSwapped).name == "other"
    until(session, lambda: session.snapshot.model == "other")
    session.ask(asked.SwapModel(tmp_path / "none.safetensors", "none", "m"))
    assert "nothing by that name" in str(told(session, UserError))
    session.ask(asked.SaveDream(tmp_path / "dream"))
    assert told(session, DreamSaved).folder == str(tmp_path / "dream")
    recording = Recording(tmp_path / "kept")
    assert recording.dreamt
    assert recording.meta["action_repeat"] == 2
    assert recording.episode(0).obs.shape == (3, 16, 16, 3)


def test_what_cannot_be_dreamt_ends_the_session_with_the_reason(tmp_path):
    path = saved(dreamer(memory="NoMemory"), tmp_path / "m.safetensors")
    session = DreamSession(DreamBeginning(path, "none", FromNowhere(0)))
    session.start()
    assert session.join()
    assert isinstance(session.failure, UserError)
    assert "predicts nothing" in str(session.failure)
    assert session.snapshot.state == "over"


def test_a_person_a_controller_and_a_planner_decide_in_turn(drive):
    drive.controls.press("right")
    assert drive.step().action == 1
    assert drive.tree.last.driver == "person"
    drive.hand_over("planner")
    assert drive.step().driver == "planner"
    assert drive.plan.shape[1:] == (16, 16, 3)
    drive.hand_over("controller")
    assert drive.step().driver == "controller"
    assert drive.plan is None
    assert drive.trusted_until is None


@pytest.fixture
def live(agent):
    """A drive whose planner is waited for by nobody, and an event that lets it imagine."""
    made = DreamDrive(agent, load_start(agent, FromTrack(3, 4)), live=True, temperature=0.0)
    may, model = threading.Event(), made.agent.model
    may.set()
    imagine = model.imagine

    def imagine_when_it_may(*asked):
        if threading.current_thread() is not threading.main_thread():
            assert may.wait(WAIT)
        return imagine(*asked)

    model.imagine = imagine_when_it_may
    yield made, may
    may.set()
    made.close()
    del model.imagine


def step_when_planned(drive):
    end = time.monotonic() + WAIT
    while (step := drive.step()) is None:
        assert drive.looking_ahead
        assert time.monotonic() < end
        time.sleep(0.001)
    return step


def test_a_dream_goes_on_by_its_plan_while_the_next_one_is_made(live):
    drive, may = live
    drive.hand_over("planner")
    assert drive.step() is None  # nothing is planned yet
    end = time.monotonic() + WAIT
    while not drive._live_planner()._made.done():
        assert time.monotonic() < end
        time.sleep(0.001)
    may.clear()  # from now on no plan comes
    steps = [drive.step() for _ in range(LIVE.horizon + 2)]
    assert [step is not None for step in steps] == [True] * LIVE.horizon + [False, False]
    assert drive.looking_ahead
    may.set()
    assert step_when_planned(drive).driver == "planner"


def test_a_plan_is_of_the_place_that_it_was_made_at(live):
    drive, may = live
    drive.hand_over("planner")
    for _ in range(3):
        step_when_planned(drive)
    assert drive.plan is not None
    assert drive.plan.shape[1:] == (16, 16, 3)
    for elsewhere in (lambda: drive.rewind(2), lambda: drive.tree.edit({0: 1.5})):
        elsewhere()
        assert drive.plan is None
        may.clear()
        assert drive.step() is None
        may.set()
        step_when_planned(drive)


def test_a_planner_stops_looking_where_its_time_is_over(agent):
    world = agent.model
    belief = load_start(agent, FromTrack(3, 4)).belief
    for budget, rounds in ((None, 3), (0.0, 1), (WAIT, 3)):
        policy = PlanningPolicy(world, PlannerSettings(candidates=8, elites=2, horizon=2, rounds=3), budget=budget)
        policy.begin(1)
        drawn, draw = [], policy.proposal.draw
        policy.proposal.draw = lambda *asked, drawn=drawn, draw=draw: drawn.append(1) or draw(*asked)
        policy.act(belief)
        assert len(drawn) == rounds


def test_the_same_start_is_driven_by_the_controller_beside(agent):
    drive = DreamDrive(agent, load_start(agent, FromTrack(3, 4)), seed=2)
    alone = DreamDrive(agent, load_start(agent, FromTrack(3, 4)), seed=2)
    try:
        drive.set_rival(True)
        assert (drive.rival_picture() == drive.picture()).all()  # the same start
        alone.hand_over("controller")
        drive.controls.press("left")
        for _ in range(5):
            drive.step()
            alone.step()
            assert torch.equal(drive.rival.z(drive.tree.place.step), alone.tree.belief.z[0])
            assert (drive.rival_picture() == alone.picture()).all()
        assert drive.rival.dreamt_return(5) == pytest.approx(sum(step.reward for step in alone.tree.path()))
        assert [step.driver for step in drive.tree.path()] == ["person"] * 5
        drive.rewind(3)
        assert torch.equal(drive.rival.z(2), alone.tree.start.z.new_tensor(alone.tree.path()[1].z))
        drive.set_rival(False)
        assert drive.rival_picture() is None
    finally:
        drive.close()
        alone.close()


def test_a_rival_of_numbers_is_drawn_by_the_environment():
    agent = dreamer("CartPole-v1")
    drive = DreamDrive(agent, load_start(agent, FromTrack(3, 2)))
    drive.set_rival(True)
    for _ in range(2):
        drive.tree.step(drive.agent.model.action_space.sample())
    assert drive.rival_picture().shape == drive.picture().shape
    drive.close()


def test_pictures_between_lead_from_one_latent_to_the_next(drive):
    assert drive.between(0.5) is None
    drive.controls.press("left")
    before = drive.picture()
    drive.step()
    assert (drive.between(0.0) == before).all()
    assert (drive.between(1.0) == drive.picture()).all()


@pytest.mark.parametrize("id", ["CartPole-v1", "MountainCar-v0", "Pendulum-v1", "Acrobot-v1"])
def test_a_dream_of_numbers_is_drawn_by_its_environment(id):
    agent = dreamer(id)
    drive = DreamDrive(agent, load_start(agent, FromTrack(3, 2)))
    real = drive.start.picture
    drawn = drive.picture()
    assert drawn.shape == real.shape
    assert np.abs(drawn.astype(int) - real).mean() < 1.0  # the same but for an edge or a torque's arrow
    drive.tree.step(drive.agent.model.action_space.sample())
    assert not (drive.picture() == drawn).all()
    drive.close()


def test_a_dream_of_other_numbers_is_drawn_as_lines():
    agent = dreamer("LunarLander-v3")
    drive = DreamDrive(agent, load_start(agent, FromTrack(3, 2)))
    first = drive.picture()
    for _ in range(3):
        drive.tree.step(0)
    assert first.shape == drive.picture().shape == (160, 240, 3)
    assert not (drive.picture() == first).all()
    drive.close()


def test_moves_in_words_are_actions():
    with_pedals = EnvSettings(id="CarRacing-v3")
    env = make_prepared_env(with_pedals, window=False)
    scheme, space = scheme_of(env), env.action_space
    found = actions_of("left, gas*2 ,left+gas,straight", scheme, space)
    np.testing.assert_allclose(found, [[-1, 0, 0], [0, 1, 0], [0, 1, 0], [-1, 1, 0], [0, 0, 0]])
    with pytest.raises(UserError, match="no move 'lft'"):
        actions_of("lft", scheme, space)
    with pytest.raises(UserError, match="how many times"):
        actions_of("left*0", scheme, space)
    env.close()
    choices = make_prepared_env(EnvSettings(id="MountainCar-v0"), window=False)
    scheme = scheme_of(choices)
    assert actions_of("left,right,none,2", scheme, choices.action_space) == [0, 2, 1, 2]
    with pytest.raises(UserError, match="no move '7'"):
        actions_of("7", scheme, choices.action_space)
    choices.close()
