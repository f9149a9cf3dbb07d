"""Packages that misbehave when they are imported: each is named in a line, and everything else works."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ewm_studio import cli
from tests.support.installed import MISDEEDS, distribution

ROOT = Path(__file__).parents[2]
MEMORY = """
from ewm_studio.models.memory.no_memory import NoMemory
class {name}(NoMemory):
    summary = "Of a package."
{name}.__module__ = __name__
"""
KIND = """
from ewm_studio.jobs.kinds import JobKind
KIND = JobKind({name!r}, "Of a package", "x:y", "Of a package.")
"""


def run(place: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own that finds the packages of a folder."""
    environ = {**os.environ, "PYTHONPATH": f"{place}{os.pathsep}{ROOT}", "EWM_WORKSPACE": str(place / "ws")}
    command = [sys.executable, "-m", "ewm_studio", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=120, check=False)


def test_every_misdeed_is_named_and_all_else_works(tmp_path):
    for name, source in MISDEEDS.items():
        entries = f"[ewm_studio.components]\n{name} = {name}:Part\n[ewm_studio.jobs]\n{name} = {name}:KIND\n"
        distribution(tmp_path, name, source, entries)
    listed = run(tmp_path, "components", "--json")
    assert listed.returncode == 0, listed.stderr
    assert {part["name"] for part in json.loads(listed.stdout)} >= {"NoMemory", "ConvVAE", "LinearController"}
    for name in MISDEEDS:
        lines = [line for line in listed.stderr.splitlines() if f"'{name}'" in line]
        assert len(lines) == (2 if name == "prints" else 1), listed.stderr  # it has no Part besides
    assert len(listed.stderr.splitlines()) == len(MISDEEDS) + 1
    helped = run(tmp_path, "--help")
    assert helped.returncode == 0
    assert helped.stdout.startswith("usage:")
    assert "hello" not in helped.stdout
    for name in MISDEEDS:
        assert f"job '{name}'" in helped.stderr
    small = ("--batch-size", "2", "--rollout-steps", "8", "--epochs", "1", "--set", "env.workers=2", "--json")
    trained = run(tmp_path, "train", *small)
    assert trained.returncode == 0, trained.stderr
    assert json.loads(trained.stdout)["epochs"] == 1


@pytest.mark.parametrize("name", ["lstmmemory", "LSTMMemory"])
def test_no_component_takes_anothers_place_by_the_case_of_a_letter(tmp_path, name):
    distribution(tmp_path, "other", MEMORY.format(name=name), f"[ewm_studio.components]\nx = other:{name}\n")
    listed = run(tmp_path, "components", "--json", "--kind", "memory")
    names = [part["name"] for part in json.loads(listed.stdout)]
    assert names.count("LSTMMemory") == 1
    assert "lstmmemory" not in names
    assert "is left out" in listed.stderr
    assert "called LSTMMemory already" in listed.stderr


@pytest.mark.parametrize("name", ["train", "Train", "INFER"])
def test_no_job_takes_anothers_place_by_the_case_of_a_letter(tmp_path, name):
    distribution(tmp_path, "other", KIND.format(name=name), "[ewm_studio.jobs]\nx = other:KIND\n")
    helped = run(tmp_path, "--help")
    assert f"there is a job called {name.lower()} already" in helped.stderr
    assert "Of a package" not in helped.stdout


def test_what_exits_elsewhere_is_named_and_no_success(tmp_path, monkeypatch, capsys):
    (tmp_path / "leaving_early.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(
        "ewm_studio.jobs.launch.build_experiment", lambda *_, **__: importlib.import_module("leaving_early")
    )
    assert cli.main(["train"]) == 1
    assert "leaving_early, when it was imported, called sys.exit(0)" in capsys.readouterr().err
    assert cli.main(["train", "--help"]) == 0
