"""What earlier versions made opens, loads, resumes, replays and plays as it did there."""

import json
import shutil
import sqlite3
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

import ewm_studio as ewm
from ewm_studio.acting.agent import load_agent
from ewm_studio.analysis.trace import trace
from ewm_studio.data.library import Library
from ewm_studio.jobs import infer, train
from ewm_studio.jobs.launch import build_experiment
from ewm_studio.workspace.models import load_model
from ewm_studio.workspace.replays import load_replay
from tests.support.jobs import finish

MADE = Path(__file__).parent / "data" / "0.1.0"
EXPECTED = json.loads((MADE / "expected.json").read_text())
HALF = EXPECTED["resumed"]["run"]
PRETRAINED = EXPECTED["pretrained"]["run"]
MAKER = "AuthenticAMD"  # of the processor that the expected figures are of


def same_arithmetic() -> bool:
    """Whether sums are rounded here as they were there: by this PyTorch on this kind of processor.

    PyTorch's mathematical library goes other ways on another maker's processor of the same capability.
    """
    made, processor = EXPECTED["made_with"], Path("/proc/cpuinfo")
    return (
        made["torch"].split("+")[0] == metadata.version("torch").split("+")[0]
        and made["capability"] == torch.backends.cpu.get_cpu_capability()
        and processor.is_file()
        and MAKER in processor.read_text()
    )


@pytest.fixture
def workspace(tmp_path):
    shutil.copytree(MADE / "workspace", tmp_path / "workspace")
    opened = ewm.Workspace(tmp_path / "workspace")
    yield opened
    opened.close()


def test_runs_and_their_rows_are_all_there(workspace):
    found = {run.name: [run.state, run.job, run.steps, run.mean_reward, run.title] for run in workspace.runs()}
    assert found == EXPECTED["runs"]
    with sqlite3.connect(workspace.path / "workspace.sqlite") as database:
        for table, rows in (("metrics", EXPECTED["metric_rows"]), ("episodes", EXPECTED["episode_rows"])):
            query = f"SELECT r.name, count(*) FROM {table} m JOIN runs r ON r.id = m.run GROUP BY 1"
            assert dict(database.execute(query)) == rows
    database.close()


def test_a_run_stopped_half_way_is_resumed_to_the_same_weights(workspace):
    experiment = build_experiment(workspace, resume=HALF).experiment
    result = finish(train(experiment, workspace, resume=HALF))
    expected = EXPECTED["resumed"]
    assert result["env_steps"] == expected["steps"]
    weights, _ = load_model(workspace.run(HALF).latest_checkpoint())
    made, _ = load_model(MADE / "resumed.safetensors")
    assert weights.keys() >= made.keys()  # buffers may have come since
    if same_arithmetic():
        assert result["episodes"] == expected["episodes"]
        assert result["mean_reward"] == expected["mean_reward"]
        assert result["losses"] == expected["losses"]
        assert [name for name in made if not torch.equal(weights[name], made[name])] == []
    else:
        for name in made:
            torch.testing.assert_close(weights[name], made[name], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("way", ["greedy", "sampled"])
def test_a_saved_agent_plays_to_the_same_scores(workspace, way):
    chosen = {"start.load_path": HALF, "infer.episodes": 3, "infer.greedy": way == "greedy", "run.seed": 50}
    result = finish(infer(build_experiment(workspace, overrides=chosen).experiment, workspace))
    assert result["episodes"] == EXPECTED["played"][way]


def test_kept_episodes_are_replayed_exactly(workspace):
    paths = sorted((workspace.path / "runs" / HALF / "replays").glob("*/*.replay"))
    assert len(paths) == 6
    played = [e for way in ("greedy", "sampled") for e in EXPECTED["played"][way]]
    for path, expected in zip(paths, played, strict=True):
        replay = load_replay(path)
        assert (replay.seed, float(replay.reward.sum()), replay.frames) == tuple(expected.values())
        seen = trace(load_agent(path.parent / "model.safetensors"), replay)  # refuses what does not repeat itself
        assert len(seen.z) == len(replay.action) + 1


def test_a_pretrained_model_sees_and_acts_as_it_did(workspace):
    path = workspace.resolve_model(PRETRAINED)
    assert path == workspace.run(PRETRAINED).latest_checkpoint()
    agent = ewm.load(path)
    obs = (np.arange(96 * 96 * 3) % 251).astype(np.uint8).reshape(1, 96, 96, 3)
    z = agent.encode(obs)[0]
    state = agent.initial_state(1)
    for _ in range(2):
        action, state = agent.act(obs, state, greedy=True)
    if same_arithmetic():
        assert z.tolist() == EXPECTED["pretrained"]["z"]
        assert action[0].tolist() == EXPECTED["pretrained"]["action"]
    np.testing.assert_allclose(z, EXPECTED["pretrained"]["z"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(action[0], EXPECTED["pretrained"]["action"], rtol=1e-4, atol=1e-5)


def test_a_recording_is_read(workspace):
    library = Library(workspace)
    (info,) = library.recordings()
    assert (info.name, info.frames) == ("laps", 80)
