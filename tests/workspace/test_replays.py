"""Evaluations are kept, listed and refused where damaged; a trace makes the very episode again."""

import dataclasses
import os

import gymnasium as gym
import numpy as np
import pytest
import torch

from ewm_studio.acting.agent import load_agent
from ewm_studio.analysis.trace import trace
from ewm_studio.errors import UserError
from ewm_studio.events import EvaluationKept, Message
from ewm_studio.jobs import infer, train
from ewm_studio.models.belief import Belief
from ewm_studio.settings import EnvSettings
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import read_metadata, save_model
from ewm_studio.workspace.replays import EvaluationWriter, Replay, evaluations_in, load_replay
from tests.support.jobs import experiment, finish

RACING = {
    "env": {"id": "CarRacing-v3", "action_repeat": 4, "image_size": 32, "batch_size": 2, "max_episode_steps": 90},
    "vision": {"name": "ConvVAE", "latent_dim": 8},
    "memory": {"name": "MDNRNN", "hidden_dim": 16},
}


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A workspace with a CartPole and a CarRacing run, each played twice: environment -> run, result of `infer`."""
    workspace = Workspace(tmp_path_factory.mktemp("played") / "workspace")
    found = {}
    for sections in ({"memory": {"name": "LSTMMemory", "hidden_dim": 8}}, RACING):
        settings = experiment(**sections)
        run = finish(train(settings, workspace))["run"]
        asked = settings.with_values(("start.load_path", run), ("infer.episodes", 2), ("run.seed", 7))
        found[settings.env.id] = run, finish(infer(asked, workspace))
    yield workspace, found
    workspace.close()


def only(workspace, run):
    """The one evaluation of a run, and its episodes."""
    (evaluation,) = workspace.run(run).evaluations()
    return evaluation, evaluation.episodes()


def asked_of(run, **values):
    paths = {"episodes": "infer.episodes", "keep": "infer.keep_replays", "seed": "run.seed"}
    return experiment().with_values(("start.load_path", run), *((paths[k], v) for k, v in values.items()))


# What is kept


def test_every_episode_is_kept_beside_its_run(played):
    workspace, found = played
    for env, (run, result) in found.items():
        evaluation, episodes = only(workspace, run)
        assert evaluation.folder.parent == workspace.run(run).folder / "replays"
        assert (evaluation.run, evaluation.env_id, evaluation.greedy) == (run, env, True)
        told = [(e["seed"], e["reward"], e["steps"]) for e in result["episodes"]]
        assert [(e.seed, e.reward, e.frames) for e in episodes] == told
        laps = {e.lap_finished for e in episodes}
        assert laps == ({False} if env == "CarRacing-v3" else {None})  # no car gets round in so few frames
        assert {e.name for e in workspace.evaluations()} >= {evaluation.name}


def test_the_model_stays_when_its_checkpoint_goes(played, tmp_path):
    workspace, found = played
    evaluation, _ = only(workspace, found["CartPole-v1"][0])
    source = evaluation.model.name
    assert evaluation.model_file().samefile(source)  # takes no room
    assert read_metadata(evaluation.model_path)["env"]["id"] == "CartPole-v1"


def test_nothing_is_kept_when_that_is_off(played):
    workspace, found = played
    run = found["CartPole-v1"][0]
    before = len(workspace.evaluations())
    events = list(infer(asked_of(run, keep=False, episodes=1), workspace))
    assert not [e for e in events if isinstance(e, EvaluationKept)]
    assert len(workspace.evaluations()) == before


def test_a_model_of_no_run_and_a_patched_one_are_kept_in_the_workspace(played, tmp_path):
    workspace, found = played
    run = found["CartPole-v1"][0]
    model = tmp_path / "mine.safetensors"
    model.write_bytes(workspace.resolve_model(run).read_bytes())
    elsewhere = Workspace(tmp_path / "other")
    finish(infer(asked_of(str(model), episodes=1), elsewhere))
    assert not elsewhere.path.exists()  # playing a file makes no workspace
    elsewhere.path.mkdir()
    finish(infer(asked_of(str(model), episodes=1), elsewhere))
    patched = asked_of(str(model), episodes=1).with_values(("start.patch_load_path", str(model)), ("start.patch", "c"))
    finish(infer(patched, elsewhere))
    newest, first = elsewhere.evaluations()
    assert newest.folder.parent == first.folder.parent == tmp_path / "other" / "replays"
    assert first.run == ""
    model.unlink()
    weights = load_agent(first.model_file()).model.state_dict()
    again = load_agent(newest.model_file()).model.state_dict()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert "with c of" in newest.model.name
    elsewhere.close()


def test_a_deleted_run_takes_its_replays_along(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    run = finish(train(experiment(), workspace))["run"]
    finish(infer(asked_of(run, episodes=1), workspace))
    assert len(workspace.evaluations()) == 1
    workspace.delete_run(run)
    assert workspace.evaluations() == []
    workspace.restore_run(run)
    assert len(workspace.evaluations()) == 1
    renamed = workspace.rename_run(run, "other")
    trace(load_agent(renamed.evaluations()[0].model_file()), load_replay(renamed.evaluations()[0].episodes()[0].path))
    workspace.close()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_workspace_that_cannot_be_written_is_no_reason_to_fail(played):
    workspace, found = played
    run = found["CartPole-v1"][0]
    folder = workspace.run(run).folder / "replays"
    folder.chmod(0o500)
    try:
        events = list(infer(asked_of(run, episodes=2), workspace))
    finally:
        folder.chmod(0o700)
    assert len([e for e in events if isinstance(e, Message) and "not kept" in e.text]) == 1
    assert len(events[-1].result["episodes"]) == 2


def test_a_file_in_the_way_is_no_reason_to_fail(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    run = finish(train(experiment(), workspace))["run"]
    (workspace.run(run).folder / "replays").write_text("in the way")
    events = list(infer(asked_of(run, episodes=2), workspace))
    assert len([e for e in events if isinstance(e, Message) and "not kept" in e.text]) == 1
    assert len(events[-1].result["episodes"]) == 2
    workspace.close()


# Damage


def test_every_damage_is_one_line(played, tmp_path):
    workspace, found = played
    data = only(workspace, found["CarRacing-v3"][0])[1][0].path.read_bytes()
    copy = tmp_path / "000000.replay"
    for place in (*range(0, len(data), 97), len(data) - 1):
        copy.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(UserError) as raised:
            load_replay(copy)
        assert str(copy) in str(raised.value)
        assert "\n" not in str(raised.value)
    copy.write_bytes(data[:-5])
    with pytest.raises(UserError, match="truncated"):
        load_replay(copy)


def test_damaged_files_are_left_out_of_lists(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    run = finish(train(experiment(), workspace))["run"]
    finish(infer(asked_of(run, episodes=3), workspace))
    _, episodes = only(workspace, run)
    episodes[0].path.write_bytes(b"nothing")
    evaluation, left = only(workspace, run)
    assert [e.seed for e in left] == [1, 2]
    evaluation.model_path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="expected ewm-studio-model"):
        evaluation.model_file()
    for episode in left:
        episode.path.unlink()
    assert workspace.evaluations() == []
    workspace.close()


# The trace


def replay_of(played, env, number=0):
    workspace, found = played
    evaluation, episodes = only(workspace, found[env][0])
    return load_agent(evaluation.model_file()), load_replay(episodes[number].path)


@pytest.mark.parametrize("env", ["CartPole-v1", "CarRacing-v3"])
def test_a_trace_has_the_shapes_it_promises(played, env):
    agent, replay = replay_of(played, env)
    shares = []
    made = trace(agent, replay, shares.append)
    frames, decisions = replay.frames, len(replay.action)
    assert made.frames.shape[0] == frames + 1
    assert made.frames.dtype == np.uint8
    assert made.reward.shape == (frames,)
    assert made.decision_of.shape == (frames + 1,)
    repeat = replay.env.action_repeat
    assert made.decision_of.tolist() == [i // repeat for i in range(frames)] + [decisions]
    assert made.z.shape == (decisions + 1, agent.model.vision.latent_dim)
    assert made.h.shape == (decisions + 1, agent.model.memory.hidden_dim)
    assert made.value.shape == made.entropy.shape == (decisions,)
    assert made.surprise.shape == (decisions + 1,)
    assert made.surprise[0] == 0
    assert np.isfinite(made.surprise).all()
    assert shares == sorted(shares)
    assert shares[-1] == 1
    if env == "CarRacing-v3":
        assert made.action_names == ("steer", "gas", "brake")
        assert made.seen.shape == made.reconstruction.shape == made.prediction.shape == (decisions + 1, 32, 32, 3)
        assert np.array_equal(made.prediction[0], made.reconstruction[0])
        assert not np.array_equal(made.prediction[1:], made.reconstruction[1:])
    else:
        assert made.frames.shape[1:] == (240, 360, 3)
        assert made.seen is None


def test_frames_are_those_of_the_stock_environment(played):
    """Every frame and reward, by playing the actions in the stock CarRacing."""
    agent, replay = replay_of(played, "CarRacing-v3", 1)
    made = trace(agent, replay)
    env = gym.make("CarRacing-v3", max_episode_steps=90)
    obs, _ = env.reset(seed=replay.seed)
    assert np.array_equal(made.frames[0], obs)
    for frame in range(replay.frames):
        obs, reward, _, _, _ = env.step(replay.action[frame // 4])
        assert np.array_equal(made.frames[frame + 1], obs)
        assert made.reward[frame] == reward
    env.close()


@pytest.mark.parametrize("env", ["CartPole-v1", "CarRacing-v3"])
def test_latents_and_hidden_states_are_those_the_agent_acted_on(played, env):
    agent, replay = replay_of(played, env)
    made = trace(agent, replay)
    state, model = agent.initial_state(), agent.model
    settings = replay.env.model_copy(update={"render_mode": "rgb_array"})
    from ewm_studio.envs.factory import make_prepared_env

    with torch.inference_mode():
        player = make_prepared_env(settings)
        obs, _ = player.reset(seed=replay.seed)
        for number in range(len(replay.action)):
            z = model.vision.encode(torch.from_numpy(np.array(obs)[None]))
            assert np.allclose(made.z[number], z[0], atol=1e-5)
            assert np.allclose(made.h[number], state.h[0], atol=1e-4)
            assert np.allclose(made.value[number], model.controller.worth(z, state.h), atol=1e-4)
            if number:
                predicted = model.memory.predict(state.h).mean
                error = (predicted - z).square().sum() / made.z.var(0).sum()
                assert made.surprise[number] == pytest.approx(error.item(), rel=1e-3)
            action = model.controller.act(z, state.h, greedy=True).action
            state = agent.remember(Belief(z, state.h, state.memory), action)
            assert np.array_equal(action[0].numpy(), replay.action[number])
            obs, *_ = player.step(action[0].numpy())
        player.close()


def test_an_environment_that_does_not_repeat_itself_is_told(played):
    agent, replay = replay_of(played, "CarRacing-v3")
    reward = replay.reward.copy()
    reward[5] += 0.5
    with pytest.raises(UserError, match=r"does not repeat itself: at decision 6 of seed 7.*random numbers"):
        trace(agent, dataclasses.replace(replay, reward=reward))
    with pytest.raises(UserError, match=r"played with gymnasium 0\.1, here"):
        trace(agent, dataclasses.replace(replay, reward=reward, versions={"gymnasium": "0.1"}))


def test_who_acted_is_kept_and_nobody_else_acts(tmp_path):
    replay = Replay(EnvSettings(), 3, True, np.arange(9) % 2, np.ones(9), 9, True)
    for acts in ("controller", "planner", "somebody"):
        writer = EvaluationWriter(tmp_path / acts, "a model", "Identity", lambda target: save_model(target, {}, {}))
        path = writer.add(dataclasses.replace(replay, acts=acts))
        if acts == "somebody":
            with pytest.raises(UserError, match="nobody acts who is called 'somebody'"):
                load_replay(path)
            assert evaluations_in(tmp_path / acts) == []
        else:
            assert load_replay(path).acts == acts
            assert evaluations_in(tmp_path / acts)[0].acts == acts


def test_a_model_of_another_environment_is_refused(played):
    agent, _ = replay_of(played, "CartPole-v1")
    _, replay = replay_of(played, "CarRacing-v3")
    with pytest.raises(UserError, match="made for another environment"):
        trace(agent, replay)


def test_without_a_memory_nothing_is_expected(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    run = finish(train(experiment(memory={"name": "NoMemory"}), workspace))["run"]
    finish(infer(asked_of(run, episodes=1), workspace))
    evaluation, episodes = only(workspace, run)
    made = trace(load_agent(evaluation.model_file()), load_replay(episodes[0].path))
    assert np.isnan(made.surprise).all()
    assert made.h.shape == (len(made.z), 0)
    workspace.close()
