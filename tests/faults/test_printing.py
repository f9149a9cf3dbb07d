"""A standard output that takes nothing, and packages that misbehave when imported: every command tells in one line."""

import json

import pytest

from tests.support.installed import MISDEEDS, distribution
from tests.support.stops import Nursery

SHORT = ("--batch-size", "2", "--rollout-steps", "8", "--epochs", "1", "--set", "env.workers=0")
GATHER = ("--frames", "40", "--batch-size", "2", "--set", "env.workers=0")
MEMORY = ("--memory", "LSTMMemory", "--set", "memory.hidden_dim=4")


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    made = Nursery(tmp_path_factory.mktemp("printing"))
    yield made
    made.close()


def commands(model: str) -> list[tuple[str, ...]]:
    """One of every kind of command."""
    return [
        ("train", *SHORT),
        ("pretrain", *GATHER, *MEMORY, "--epochs", "1"),
        ("infer", "--load-path", model, "--episodes", "1"),
        ("record", *GATHER),
        *((name,) for name in ("components", "envs", "runs", "models", "recordings")),
    ]


def test_a_full_stdout_is_told_by_every_command(nursery, tally, tmp_path):
    trained = nursery.run("train", *SHORT, "--json", "--workspace", str(tmp_path / "ws"))
    assert trained.code == 0, trained.err
    for argv in commands(trained.result["checkpoint"]):
        for as_json in ((), ("--json",)):
            ended = nursery.run(*argv, *as_json, out="/dev/full", EWM_WORKSPACE=str(tmp_path / "ws"))
            told = ended.err.splitlines()[-1:] and "No space left" in ended.err.splitlines()[-1]
            held = ended.code == 1 and told and "Traceback" not in ended.err
            tally.count("a full standard output", held, f"{argv} {as_json}: {ended.code} {ended.err[-300:]}")


def test_packages_that_misbehave_when_imported_are_named(nursery, tally, tmp_path):
    for name, source in MISDEEDS.items():
        place = tmp_path / name
        entries = f"[ewm_studio.components]\n{name} = {name}:Part\n[ewm_studio.jobs]\n{name} = {name}:KIND\n"
        distribution(place, name, source, entries)
        for argv in (("components",), ("train", *SHORT)):
            ended = nursery.run(*argv, "--json", path=(str(place),), EWM_WORKSPACE=str(tmp_path / "ws"))
            try:
                sound = bool(json.loads(ended.out))
            except json.JSONDecodeError:
                sound = False
            held = sound and ended.code == 0 and f"'{name}'" in ended.err and "Traceback" not in ended.err
            tally.count("a package that misbehaves when imported", held, f"{name} {argv}: {ended}")
