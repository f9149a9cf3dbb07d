"""Commands end to end on the real engine, each a short run on CartPole."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ewm_studio import cli
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import read_metadata

SMALL = ("--batch-size", "4", "--rollout-steps", "32", "--ppo-epochs", "2")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A workspace of the test's own."""
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))
    return tmp_path / "ws"


@pytest.fixture
def result_of(capfd):
    """Run a command with `--json`; gives its result."""

    def run(*argv: str, code: int = 0):
        capfd.readouterr()
        assert cli.main([*argv, "--json"]) == code
        out = capfd.readouterr().out
        assert len(out.splitlines()) == 1
        return json.loads(out)

    return run


def test_train_then_infer_then_resume(result_of, home):
    trained = result_of("train", *SMALL, "--total-steps", "512", "--seed", "3")
    assert {"run", "checkpoint", "env_steps", "episodes", "epochs", "mean_reward", "best_mean_reward", "losses"} <= set(
        trained
    )
    assert (trained["env_steps"], trained["stopped_by"]) == (512, "total_steps")
    assert Path(trained["checkpoint"]).is_file()
    assert Experiment.from_toml(home / "runs" / trained["run"] / "experiment.toml").run.seed == 3

    played = result_of("infer", "--load-path", trained["run"], "--episodes", "3", "--seed", "10")
    assert [episode["seed"] for episode in played["episodes"]] == [10, 11, 12]
    assert played["mean"] == pytest.approx(sum(e["reward"] for e in played["episodes"]) / 3)
    assert played == {**result_of("infer", "--load-path", trained["checkpoint"], "--episodes", "3", "--seed", "10"),
                      "seconds": played["seconds"], "steps_per_second": played["steps_per_second"]}  # fmt: skip

    more = result_of("train", "--resume", trained["run"], "--total-steps", "1024")
    assert (more["run"], more["env_steps"]) == (trained["run"], 1024)


def test_a_loaded_model_keeps_its_observations(result_of):
    trained = result_of(
        "train", *SMALL, "--epochs", "1", "--action-repeat", "2", "--env", "ewm_studio/CartPoleNoVel-v1"
    )
    assert result_of("infer", "--load-path", trained["run"], "--episodes", "1")["episodes"]  # neither flag said again
    again = result_of("train", *SMALL, "--epochs", "1", "--load-path", trained["run"])
    assert read_metadata(again["checkpoint"])["env"]["action_repeat"] == 2
    assert read_metadata(again["checkpoint"])["env"]["id"] == "ewm_studio/CartPoleNoVel-v1"


def test_what_holds_in_training_only_stays_out_of_the_model(result_of, home):
    trained = result_of("train", *SMALL, "--epochs", "1", "--set", "env.idle_limit=50", "--action-repeat", "2")
    assert Experiment.from_toml(home / "runs" / trained["run"] / "experiment.toml").env.idle_limit == 50
    described = read_metadata(trained["checkpoint"])["env"]
    assert described["action_repeat"] == 2
    assert not {"idle_limit", "idle_terminates", "round_end", "skip_penalty"} & described.keys()
    again = result_of("train", *SMALL, "--epochs", "1", "--load-path", trained["run"])
    assert Experiment.from_toml(home / "runs" / again["run"] / "experiment.toml").env.idle_limit is None


def test_record_then_pretrain_then_train(result_of, home):
    recorded = result_of("record", "--frames", "200", "--recording", "r1")
    assert recorded["frames"] == 200
    assert (home / "recordings" / "r1").is_dir()
    common = ("pretrain", "--recording", "r1", "--memory", "LSTMMemory", "--set", "memory.hidden_dim=8")
    pretrained = result_of(*common, "--epochs", "1")
    assert pretrained["epochs"] == 1
    assert any(name.startswith("memory/") for name in pretrained["losses"])
    more = result_of("pretrain", "--resume", pretrained["run"], "--epochs", "2")
    assert (more["run"], more["epochs"]) == (pretrained["run"], 2)
    trained = result_of("train", *SMALL, "--epochs", "1", "--load-path", pretrained["run"])
    assert read_metadata(trained["checkpoint"])["parts"]["memory"]["name"] == "LSTMMemory"
    assert read_metadata(trained["checkpoint"])["parts"]["memory"]["settings"]["hidden_dim"] == 8


def test_a_model_of_another_environment_is_refused(result_of, capfd):
    trained = result_of("train", *SMALL, "--epochs", "1")
    assert cli.main(["infer", "--load-path", trained["run"], "--env", "Pendulum-v1"]) == 2
    err = capfd.readouterr().err
    assert len(err.splitlines()) == 1
    assert "CartPole-v1" in err


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["--env", "CartPoel-v1"], "CartPole-v1"),
        (["--memory", "LSTM"], "LSTMMemory"),
        (["--memory", "LSTMMemory", "--set", "memory.hiden=3"], "memory.hiden"),
        (["--vision", "ConvVAE"], "ConvVAE does not fit"),
        (["--controller", "DeepContinuousController"], "DeepDiscreteController"),
        (["--save-path", "no/such/folder/x.safetensors"], "no/such/folder"),
    ],
)
def test_what_only_the_engine_can_know_is_refused_in_one_line(argv, wanted, capsys, home):
    assert cli.main(["train", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert wanted.split(".")[-1] in err
    assert not home.exists()


def start(*argv: str) -> subprocess.Popen[str]:
    """A long training in a process of its own, past its first progress."""
    command = [sys.executable, "-m", "ewm_studio", "train", *SMALL, "--total-steps", "100000000", *argv]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("train:"):
            return process
    raise AssertionError(f"the training did not start: exit {process.wait()}")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_saves_and_ends_with_130(home):
    process = start("--json")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    result = json.loads(out)
    assert result["stopped_by"] == "stop"
    assert read_metadata(result["checkpoint"])["counters"]["env_steps"] == result["env_steps"]
    (info,) = Workspace(home).runs()
    assert info.state == "stopped"
