"""The README is true: its flags exist, its commands parse, its code runs."""

import re
import shlex
from pathlib import Path

import pytest

from ewm_studio.jobs import train
from ewm_studio.models import registry
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.terminal.flags import known_options
from ewm_studio.terminal.parsers import job_parser
from ewm_studio.workspace import Workspace
from tests.support import ROOT
from tests.support.jobs import experiment, finish

TEXT = (ROOT / "README.md").read_text()
BENCHMARK = r"python -m tests\.benchmarks\.([\w.]+)([^`]*)`"
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.S)


def test_every_flag_it_names_exists():
    others = {"--ui", "--cli", "--version", "--help", "--torch-backend"}  # the last is uv's
    named = set(re.findall(r"--[a-z][a-z-]*", re.sub(BENCHMARK, "", TEXT)))
    assert named <= set(known_options()) | others


def test_every_benchmark_it_names_exists_with_its_flags():
    commands = re.findall(BENCHMARK, TEXT)
    assert len(commands) > 10
    for name, words in commands:
        place = ROOT / "tests" / "benchmarks" / name.replace(".", "/")
        source = (place / "__main__.py" if place.is_dir() else place.with_suffix(".py")).read_text()
        for flag in re.findall(r"--[a-z][a-z-]*", words):
            assert f'"{flag}"' in source


def test_every_component_it_names_exists_and_none_is_missing():
    named = set(re.findall(r"^\|[^|]*\| `(\w+)` \|", TEXT, re.M))
    assert named == {name for kind in COMPONENTS for name in registry.components(kind)}


def test_every_command_parses():
    lines = [shlex.split(line) for line in re.findall(r"uv run ewm-studio ([a-z][^\n`#]*)", TEXT)]
    assert {line[0] for line in lines} >= {"train", "pretrain", "infer"}
    for command, *words in lines:
        job_parser(command).read(words, command)


def test_files_it_shows_are_there():
    for path in re.findall(r"\]\((?!http)([^)]+)\)", TEXT) + re.findall(r"resources/[\w/.-]+\w", TEXT):
        assert (ROOT / path).exists(), path


def test_the_example_component_trains(tmp_path, monkeypatch):
    """The component of "Adding a component", pasted and chosen by its name."""
    names: dict = {"__name__": "pasted"}
    exec(compile(BLOCKS[2], "README.md", "exec"), names)
    found = {**registry.components("vision"), "MyVision": names["MyVision"]}
    plain = registry.components
    monkeypatch.setattr(registry, "components", lambda kind: found if kind == "vision" else plain(kind))
    result = finish(train(experiment(vision={"name": "MyVision", "latent_dim": 3}), Workspace(tmp_path)))
    assert "vision/reconstruction" in result["losses"]


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    short = BLOCKS[0].replace('"CartPole-v1"}', '"CartPole-v1"}, "train": {"total_steps": 1024}')
    exec(compile(short, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert out.startswith("RunStarted")
    assert "Finished" in out.splitlines()[-1]
    (model,) = Path("my-workspace").glob("runs/*/checkpoints/*.safetensors")
    loop = BLOCKS[1].replace("model.safetensors", str(model))
    exec(compile(loop, "README.md", "exec"), {})
    score = float(capsys.readouterr().out)
    import ewm_studio as ewm

    asked = ewm.Experiment.from_dict({"start": {"load_path": str(model)}, "infer": {"episodes": 1}})
    assert finish(ewm.infer(asked, ewm.Workspace("my-workspace")))["mean"] == pytest.approx(score)
