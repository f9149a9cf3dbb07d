"""`--env-arg`, and modules of the present folder, from the command line to every file and back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ewm_studio.cli import main
from ewm_studio.jobs.launch import build_experiment
from ewm_studio.settings.arguments import arguments_text, read_argument, read_arguments
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import read_metadata
from ewm_studio.workspace.replays import load_replay
from tests.support import ROOT

SMALL = ["--set", "ppo.rollout_steps=16", "--total-steps", "32", "--batch-size", "2", "--device", "cpu", "--json"]
FOUND_HERE = """
import gymnasium, numpy as np
class My(gymnasium.Env):
    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32), gymnasium.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None): return np.zeros(2, np.float32), {}
    def step(self, action): return np.zeros(2, np.float32), 1.0, True, False, {}
gymnasium.register("My-v0", entry_point=My)
"""


def test_arguments_are_kept_with_the_model_the_run_and_the_replay_and_used_again(tmp_path: Path, capsys) -> None:
    place = ["--workspace", str(tmp_path / "ws")]
    lake = ["--env", "FrozenLake-v1", "--env-arg", "is_slippery=false", "--env-arg", "map_name=8x8"]
    wanted = {"is_slippery": False, "map_name": "8x8"}
    assert main(["train", *lake, *SMALL, *place]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert read_metadata(trained["checkpoint"])["env"]["kwargs"] == wanted
    assert main(["infer", "--load-path", trained["run"], "--episodes", "1", "--json", *place]) == 0
    (replay,) = (tmp_path / "ws").rglob("*.replay")
    assert load_replay(replay).env.kwargs == wanted
    workspace = Workspace(tmp_path / "ws")
    assert build_experiment(workspace, resume=trained["run"]).experiment.env.kwargs == wanted
    more = {"start.load_path": trained["run"], "env.kwargs": {"success_rate": 0.5}}
    assert build_experiment(workspace, overrides=more).experiment.env.kwargs == {**wanted, "success_rate": 0.5}
    other = {"start.load_path": trained["run"], "env.id": "CartPole-v1"}
    assert build_experiment(workspace, overrides=other).experiment.env.kwargs == {}
    workspace.close()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("slippery=false", "takes no argument 'slippery'; it takes desc, map_name, is_slippery"),
        ("is_slippery", "wants name=value"),
        ("render_mode=human", "--render-mode"),
    ],
)
def test_a_wrong_argument_is_one_line(tmp_path: Path, capsys, word: str, said: str) -> None:
    words = ["train", "--env", "FrozenLake-v1", "--env-arg", word, "--workspace", str(tmp_path / "ws")]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "ws" / "runs").exists()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("3", 3),
        ("1e-3", 0.001),
        ("8x8", "8x8"),
        ('"3"', "3"),
        ("[1, 2]", [1, 2]),
        ('{"a": 1}', {"a": 1}),
    ],
)
def test_values_are_read_as_literals_and_read_back(text: str, value: object) -> None:
    assert read_argument(f"name={text}", "--env-arg") == ("name", value)
    for other in ([True, "x"], "a, b = c", "{"):
        both = {"name": value, "other": other}
        assert read_arguments(arguments_text(both), "form") == both


def test_the_form_takes_them_and_another_environment_drops_them() -> None:
    document = ExperimentDocument()
    document.set("env.kwargs", {"sutton_barto_reward": True})
    assert "--env-arg sutton_barto_reward=true" in document.command_line()
    document.set("env.id", "FrozenLake-v1")
    assert document.experiment.env.kwargs == {}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_module_of_the_present_folder_is_found(tmp_path: Path, workers: int) -> None:
    """Started as an installed command is, whose folder is not the present one."""
    (tmp_path / "found_here.py").write_text(FOUND_HERE)
    script = tmp_path / "elsewhere" / "command.py"
    script.parent.mkdir()
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom ewm_studio.cli import main\n"
        "if __name__ == '__main__': sys.exit(main())\n"
    )
    words = ["train", "--env", "found_here:My-v0", *SMALL, "--set", f"env.workers={workers}", "--workspace", "ws"]
    done = subprocess.run(
        [sys.executable, str(script), *words], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["episodes"] == 32
