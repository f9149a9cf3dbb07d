"""A file's module is imported on the command line only where the person said so."""

import io
import sys

import pytest
from rich.console import Console

import ewm_studio as ewm
from ewm_studio.cli import main
from ewm_studio.errors import Untrusted
from ewm_studio.settings import Experiment
from ewm_studio.terminal.menu import Menu
from ewm_studio.workspace import Workspace
from tests.support.canary import Canary

SHORT = ("--total-steps", "64", "--rollout-steps", "32", "--batch-size", "2", "--set", "env.workers=0")


@pytest.fixture
def canary(nothing_trusted, tmp_path, monkeypatch):
    return Canary(tmp_path / "elsewhere", monkeypatch)


@pytest.fixture
def config(canary, tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text(f'[env]\nid = "{canary.id}"\n')
    return path


def test_an_experiment_from_elsewhere(canary, config, tmp_path, capsys):
    place = ("--workspace", str(tmp_path / "ws"))
    for command in ("train", "pretrain", "infer", "record"):
        assert main([command, "--config", str(config), *place]) == 2
        line = capsys.readouterr().err.strip()
        assert str(canary.file) in line
        assert "--trust-env" in line
        assert "\n" not in line
    assert not canary.ran
    assert main(["train", "--config", str(config), *SHORT, *place, "--trust-env"]) == 0
    assert canary.ran


def test_a_run_that_was_typed_here_is_resumed_by_one_command(canary, tmp_path, monkeypatch, capsys):
    place = ("--workspace", str(tmp_path / "ws"))
    assert main(["train", "--env", canary.id, *SHORT, *place]) == 0
    (run,) = (tmp_path / "ws" / "runs").iterdir()
    monkeypatch.delitem(sys.modules, canary.module)
    assert main(["train", "--resume", run.name, "--total-steps", "128", *place]) == 0
    # The same folder elsewhere, where nobody typed anything.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another person"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "another person"))
    monkeypatch.delitem(sys.modules, canary.module)
    capsys.readouterr()
    commands = (["train", "--resume", run.name], ["infer", "--load-path", run.name], ["card", run.name, "--out", "x"])
    for words in commands:
        assert main([*words, *place]) == 2
        assert "names the module" in capsys.readouterr().err


def test_a_program_that_reads_a_file_is_asked_too(canary, config, tmp_path):
    experiment = Experiment.from_toml(config)
    changed = experiment.with_values(("train.total_steps", 64), ("env.workers", 0), ("env.batch_size", 2))
    for asked in (experiment, changed, changed.model_copy(), changed.model_copy(update={"versions": {}})):
        with pytest.raises(Untrusted):
            list(ewm.train(asked, Workspace(tmp_path / "ws")))
    assert not canary.ran
    typed = changed.with_values(("env.id", canary.id))
    assert typed == changed
    list(ewm.train(typed, Workspace(tmp_path / "ws")))
    assert canary.ran


@pytest.mark.parametrize(("answer", "runs"), [("n", False), ("y", True)])
def test_the_menu_asks(canary, config, tmp_path, monkeypatch, answer, runs):
    menu = Menu(Workspace(tmp_path / "ws"), str(config), Console(file=io.StringIO()))
    said = []
    monkeypatch.setattr(menu.prompt, "ask", lambda prompt: said.append(prompt) or answer)
    monkeypatch.setattr("ewm_studio.terminal.menu.run_job", lambda *_: (_ for _ in ()).throw(EOFError))
    try:
        menu.job("train")
    except EOFError:
        assert runs
    assert canary.ran is runs
    assert str(canary.file) in said[0]
