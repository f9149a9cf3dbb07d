"""Damaged, foreign and cut-off files through the command line: one line, exit code 2, and nothing is written."""

import json
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ewm_studio import cli
from ewm_studio.jobs import train
from ewm_studio.workspace import Workspace
from ewm_studio.workspace import models as model_files
from ewm_studio.workspace.models import load_model
from tests.support.jobs import experiment, finish
from tests.support.warm import WarmProcesses

SMALL = ("--batch-size", "2", "--rollout-steps", "8", "--ppo-epochs", "1", "--set", "env.workers=0")
ENDLESS = ("--save-freq", "1", "--epochs", "none", "--total-steps", "100000000")
MEMORY = {"name": "LSTMMemory", "hidden_dim": 8}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A workspace with one run of two checkpoints."""
    home = tmp_path_factory.mktemp("damage") / "ws"
    workspace = Workspace(home)
    finish(train(experiment(memory=MEMORY, run={"save_freq": 1}), workspace))
    workspace.close()
    return home


@pytest.fixture
def home(trained, tmp_path, monkeypatch) -> Path:
    """A copy of it that a test may damage."""
    home = tmp_path / "ws"
    shutil.copytree(trained, home)
    monkeypatch.setenv("EWM_WORKSPACE", str(home))
    return home


def run_of(home: Path) -> Path:
    (folder,) = (home / "runs").iterdir()
    return folder


def model_of(home: Path) -> Path:
    return max((run_of(home) / "checkpoints").glob("*.safetensors"), key=lambda p: int(p.stem))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def header_end(path: Path) -> int:
    return 8 + int.from_bytes(path.read_bytes()[:8], "little")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def cut_in_the_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: header_end(path) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path, metadata={"format": "pt"})


def noise(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(5000))


def newer(path: Path) -> None:
    tensors, metadata = load_model(path)
    version = model_files.VERSION
    model_files.VERSION = version + 1
    try:
        model_files.save_model(path, tensors, metadata)
    finally:
        model_files.VERSION = version


def other_environment(path: Path) -> None:
    workspace = Workspace(path.parent / "other")
    result = finish(train(experiment(env={"id": "Pendulum-v1"}, memory=MEMORY, train={"epochs": 1}), workspace))
    workspace.close()
    shutil.copy(result["checkpoint"], path)
    shutil.rmtree(path.parent / "other")


def other_component(path: Path) -> None:
    tensors, metadata = load_model(path)
    metadata["parts"]["memory"]["name"] = "MemoryOfTomorrow"
    model_files.save_model(path, tensors, metadata)


def missing_weight(path: Path) -> None:
    tensors, metadata = load_model(path)
    del tensors[sorted(tensors)[0]]
    model_files.save_model(path, tensors, metadata)


DAMAGE = {
    "truncated": truncate,
    "cut in the header": cut_in_the_header,
    "empty": empty,
    "foreign": foreign,
    "noise": noise,
    "newer": newer,
    "other component": other_component,
    "missing weight": missing_weight,
    "other environment": other_environment,
    "first byte": lambda p: flip(p, 0),
    "length": lambda p: flip(p, 6),
    "digest": lambda p: flip(p, 50),
    "description": lambda p: flip(p, header_end(p) // 2),
    "end of the header": lambda p: flip(p, header_end(p) - 30),
    "first tensor": lambda p: flip(p, header_end(p)),
    "middle tensor": lambda p: flip(p, (header_end(p) + p.stat().st_size) // 2),
    "last byte": lambda p: flip(p, p.stat().st_size - 1),
}


def listing(*folders: Path) -> dict[Path, bytes]:
    """Every file and its content, without the database's own side files."""
    files = [p for folder in folders for p in sorted(folder.rglob("*")) if "sqlite" not in p.name]
    return {p: p.read_bytes() if p.is_file() else b"" for p in files}


def refused(capfd, home: Path, *argv: str) -> str:
    """The one line of a command that is refused and leaves everything as it was."""
    before = listing(home, home.parent)
    capfd.readouterr()
    assert cli.main(list(argv)) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    assert "Traceback" not in err
    assert listing(home, home.parent) == before
    return err


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_model_is_refused_everywhere(home, capfd, tmp_path, damage):
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    shutil.copy(model_of(home), good)
    shutil.copy(model_of(home), bad)
    DAMAGE[damage](bad)
    env = ("--env", "CartPole-v1")
    for argv in (
        ("infer", "--load-path", str(bad), *env, "--episodes", "1"),
        ("train", "--load-path", str(bad), *env, *SMALL, "--save-path", str(good)),
        ("train", "--load-path", str(good), "--patch-load-path", str(bad), "--patch", "mc", *SMALL),
        ("infer", "--load-path", str(good), "--patch-load-path", str(bad), "--patch", "c"),
        ("pretrain", "--load-path", str(bad), *env, "--frames", "64"),
        ("record", "--load-path", str(bad), *env, "--frames", "64"),
    ):
        assert str(bad) in refused(capfd, home, *argv), argv


TRAINER_DAMAGE = {n: f for n, f in DAMAGE.items() if n not in ("newer", "other component", "missing weight",
                                                               "other environment")}  # fmt: skip


@pytest.mark.parametrize("damage", TRAINER_DAMAGE)
def test_a_run_with_a_damaged_trainer_state_is_not_resumed(home, capfd, damage):
    trainer = model_of(home).with_suffix(".trainer")
    TRAINER_DAMAGE[damage](trainer)
    line = refused(capfd, home, "train", "--resume", run_of(home).name, "--epochs", "3")
    assert str(trainer) in line


def test_a_run_with_a_damaged_model_is_not_resumed(home, capfd):
    flip(model_of(home), model_of(home).stat().st_size - 1)
    assert str(model_of(home)) in refused(capfd, home, "train", "--resume", run_of(home).name, "--epochs", "3")


def test_a_trainer_state_of_another_checkpoint_is_not_taken(home, capfd):
    first, last = sorted((run_of(home) / "checkpoints").glob("*.trainer"), key=lambda p: int(p.stem))
    shutil.copy(first, last)
    assert "not the state" in refused(capfd, home, "train", "--resume", run_of(home).name, "--epochs", "3")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("--batch-size", "3"), "--batch-size) cannot change when a run is resumed"),
        (("--set", "memory.hidden_dim=9"), "hidden_dim"),
        (("--memory", "NoMemory"), "memory"),
    ],
)
def test_resuming_with_settings_of_another_run_is_refused(home, capfd, change, wanted):
    line = refused(capfd, home, "train", "--resume", run_of(home).name, "--epochs", "3", *change)
    assert wanted.partition("=")[0] in line or "weight" in line


def test_a_run_that_is_being_trained_is_not_resumed(home, capfd):
    workspace = Workspace(home)
    run = workspace.run(run_of(home).name)
    run.resume()
    assert "being trained" in refused(capfd, home, "train", "--resume", run.name, "--epochs", "3")
    assert run.alive
    assert workspace.info(run.name).state == "running"
    run.finish("stopped")
    workspace.close()


def test_infer_of_a_file_makes_no_workspace(home, tmp_path, monkeypatch, capfd):
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("EWM_WORKSPACE", str(elsewhere))
    assert cli.main(["infer", "--load-path", str(model_of(home)), "--episodes", "1", "--json"]) == 0
    assert not elsewhere.exists()


def kill_while_saving(warm: WarmProcesses, home: Path, instants: int, seed: int) -> None:
    """Kill a training that saves every epoch, again and again, and go on from what is left."""
    rng, run = np.random.default_rng(seed), run_of(home).name
    for _ in range(instants):
        before = int(model_of(home).stem)
        process = warm.command("train", "--resume", run, *ENDLESS)
        deadline = time.monotonic() + 60
        while int(model_of(home).stem) == before and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "the training ended by itself"
        workspace = Workspace(home)
        latest = workspace.run(run).latest_checkpoint()
        assert latest is not None
        assert int(latest.stem) > before
        tensors, metadata = load_model(latest)
        assert metadata["counters"]["env_steps"] == int(latest.stem)
        assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())
        workspace.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("instants", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9_at_any_instant_leaves_a_run_that_goes_on(warm, home, instants, capfd):
    kill_while_saving(warm, home, instants, seed=instants)
    steps = int(model_of(home).stem)
    capfd.readouterr()
    argv = ["train", "--resume", run_of(home).name, "--epochs", "none", "--total-steps", str(steps + 64), "--json"]
    assert cli.main(argv) == 0
    assert json.loads(capfd.readouterr().out)["env_steps"] >= steps + 64
