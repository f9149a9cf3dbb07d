"""Episodes played in several processes: the same as one by one, and nothing hangs or dies in silence."""

import threading

import numpy as np
import pytest
import torch

from ewm_studio.acting.agent import Agent
from ewm_studio.acting.play import Player, play
from ewm_studio.envs.preprocess import Preprocessor
from ewm_studio.envs.probe import spaces_of
from ewm_studio.errors import JobError, UserError
from ewm_studio.events import EpisodeFinished, JobControl, RunStarted
from ewm_studio.jobs import infer, train
from ewm_studio.jobs.infer_job import spread
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.replays import load_replay
from tests.support.jobs import experiment, finish

TROUBLE = "tests.support.trouble_envs:Trouble-v0"


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws")


def fresh_agent(settings) -> Agent:
    spaces = spaces_of(settings.env)
    torch.manual_seed(0)
    model = AgentModel(choose_parts(settings, spaces.observation, spaces.action), spaces.observation, spaces.action)
    return Agent(model, Preprocessor(spaces.raw_observation, settings.env), settings.env, {})


def test_episodes_are_the_same_whichever_process_plays_them(workspace):
    driving = experiment(
        env={"id": "CarRacing-v3", "batch_size": 2, "image_size": 32, "action_repeat": 8, "max_episode_steps": 80},
        vision={"name": "ConvVAE"},
        memory={"name": "History"},
        train={"epochs": 1},
    )
    trained = finish(train(driving, workspace))
    asked = driving.with_values(
        ("start.load_path", trained["run"]), ("infer.episodes", 5), ("infer.greedy", False), ("run.seed", 7)
    )
    alone, spread_out = (finish(infer(asked.with_values(("env.workers", n)), workspace)) for n in (0, 2))
    timed = {"seconds", "steps_per_second"}
    assert {k: v for k, v in alone.items() if k not in timed} == {k: v for k, v in spread_out.items() if k not in timed}
    assert [e["seed"] for e in alone["episodes"]] == [7, 8, 9, 10, 11]
    rewards = [e["reward"] for e in alone["episodes"]]
    assert len(set(rewards)) > 1
    assert alone["median"] == np.median(rewards)
    assert alone["laps_finished"] == 0.0
    assert "worst" not in alone  # five episodes have no worst five


def test_a_planner_plays_in_place_of_the_controller_the_same_in_whichever_process(workspace):
    balancing = experiment(
        env={"max_episode_steps": 12}, memory={"name": "MDNRNN", "hidden_dim": 8, "mixtures": 2}, train={"epochs": 1}
    )
    trained = finish(train(balancing, workspace))
    asked = balancing.with_values(
        ("start.load_path", trained["run"]),
        ("infer.episodes", 3),
        ("infer.policy", "planner"),
        ("planner.candidates", 4),
        ("planner.elites", 2),
        ("planner.horizon", 3),
    )
    alone, spread_out = (finish(infer(asked.with_values(("env.workers", n)), workspace)) for n in (0, 2))
    assert alone["episodes"] == spread_out["episodes"]
    begun = next(event for event in infer(asked, workspace) if isinstance(event, RunStarted))
    assert begun.summary.endswith("planned")
    sampled = finish(infer(asked.with_values(("infer.greedy", False)), workspace))
    assert [e["seed"] for e in sampled["episodes"]] == [e["seed"] for e in alone["episodes"]]
    kept = {e.manner: e for e in workspace.run(trained["run"]).evaluations()}
    assert kept.keys() == {"planned", "planned, sampled"}
    one, other = ([load_replay(e.path).action.tolist() for e in kept[how].episodes()] for how in kept)
    assert one != other


def test_a_planner_needs_a_memory_that_predicts(workspace):
    trained = finish(train(experiment(train={"epochs": 1}), workspace))
    asked = experiment().with_values(("start.load_path", trained["run"]), ("infer.policy", "planner"))
    with pytest.raises(UserError, match="NoMemory predicts nothing"):
        finish(infer(asked, workspace))


def test_the_worst_episodes_are_named(workspace):
    trained = finish(train(experiment(), workspace))
    played = finish(infer(experiment(start={"load_path": trained["run"]}, infer={"episodes": 12}), workspace))
    by_seed = {str(e["seed"]): e["reward"] for e in played["episodes"]}
    assert list(played["worst"].values()) == sorted(by_seed.values())[:5]
    assert all(by_seed[seed] == reward for seed, reward in played["worst"].items())


def test_playing_in_processes_ends_when_asked_to_stop(workspace):
    settings = experiment(memory={"name": "LSTMMemory"})
    trained = finish(train(settings, workspace))
    asked = settings.with_values(("start.load_path", trained["run"]), ("env.workers", 2), ("infer.episodes", 100_000))
    control, seeds = JobControl(), []
    for event in infer(asked, workspace, control):
        if isinstance(event, EpisodeFinished):
            seeds.append(event.seed)
            if len(seeds) == 5:
                control.stop()
    assert event.result["stopped_by"] == "stop"
    assert seeds == list(range(5))
    assert "laps_finished" not in event.result  # CartPole has none


@pytest.mark.parametrize(("action", "said"), [(1, "the bolt is loose"), (3, "a process that played .* died")])
def test_what_goes_wrong_in_a_process_is_one_clear_line(action, said):
    settings = experiment(env={"id": TROUBLE, "workers": 2})
    agent = fresh_agent(settings)
    with torch.no_grad():
        agent.model.controller.policy.layers[-1].bias[action] = 100.0
    with pytest.raises(JobError, match=said) as error:
        list(play(agent, settings.env, 0, 4, True, JobControl()))
    assert "\n" not in str(error.value)


def test_stopping_does_not_wait_for_an_episode_that_has_no_end():
    settings = experiment(env={"id": TROUBLE, "workers": 2})
    agent, control = fresh_agent(settings), JobControl()
    with torch.no_grad():
        agent.model.controller.policy.layers[-1].bias[0] = 100.0  # the harmless action, for ever
    threading.Timer(1.0, control.stop).start()
    assert list(play(agent, settings.env, 0, 4, True, control)) == []


@pytest.mark.parametrize("finished", [True, False])
def test_a_lap_is_finished_when_the_environment_says_so(finished):
    settings = experiment(env={"id": "CarRacing-v3", "image_size": 16, "max_episode_steps": 30})
    player = Player(fresh_agent(settings), settings.env, greedy=True)
    plain = player.env.reset_blind

    def reset(**given):
        made = plain(**given)
        player.env.unwrapped.new_lap = finished  # as if the last tile had just been visited
        return made

    player.env.reset_blind = reset
    played = player.episode(3, lambda: False)
    player.close()
    assert played.replay.lap_finished is finished
    assert played.replay.terminated is finished


def test_spread_of_no_scores_has_no_figures():
    assert spread([]) == {"mean": None, "std": None, "median": None, "min": None, "max": None}
    assert spread([1.0, 2.0, 6.0])["median"] == 2.0
