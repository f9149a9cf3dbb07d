"""Settings that stood elsewhere in earlier versions are read from there, and written where they stand now."""

import json
import tomllib
from pathlib import Path

import pytest

from ewm_studio.errors import UserError
from ewm_studio.jobs.launch import build_experiment
from ewm_studio.settings import Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.settings.experiment import MOVED
from ewm_studio.settings.paths import all_fields, parse_assignment, read_value
from ewm_studio.workspace import Workspace

MADE = Path(__file__).parents[1] / "data" / "0.1.0" / "workspace"
VALUES = {
    "pretrain.recording": "laps",
    "pretrain.frames": 77,
    "pretrain.random_share": 0.25,
    "pretrain.manual_mode_delay": 0.5,
    "pretrain.skip_start": 3,
    "pretrain.held_out": 0.2,
    "pretrain.memory_limit": 9,
}
NAMES = pytest.mark.parametrize(("old", "value"), VALUES.items())


def value_at(experiment: Experiment, path: str):
    section, _, name = path.partition(".")
    return getattr(getattr(experiment, section), name)


def test_the_table_is_whole():
    assert set(MOVED) == set(VALUES)
    for old, new in MOVED.items():
        assert old not in all_fields()
        assert new in all_fields()


@NAMES
def test_files_name_it_as_before(old, value, tmp_path):
    section, _, name = old.partition(".")
    path = tmp_path / "e.toml"
    path.write_text(f"[{section}]\nepochs = 5\n{name} = {value!r}\n")
    found = Experiment.from_toml(path)
    assert value_at(found, MOVED[old]) == value
    assert found.pretrain.epochs == 5
    written = tomllib.loads(found.to_toml())
    assert name not in written[section]
    assert value_at(Experiment.from_dict(written), MOVED[old]) == value


@NAMES
def test_set_names_it_as_before(old, value):
    assert parse_assignment(f"{old}={value}") == (MOVED[old], value)
    assert read_value(old, str(value)) == value
    assert value_at(Experiment().with_values((old, value)), MOVED[old]) == value


@NAMES
def test_a_draft_names_it_as_before(old, value):
    section, _, name = old.partition(".")
    document = ExperimentDocument()
    assert document.restore_draft(f'{{"{section}": {{"{name}": {json.dumps(value)}}}}}')
    assert document.path is None
    assert value_at(document.experiment, MOVED[old]) == value
    heard: list[str] = []
    document.reset(all_fields()[MOVED[old]])
    document.subscribe(heard.append)
    document.set(old, value)
    assert value_at(document.experiment, MOVED[old]) == value
    assert heard == [MOVED[old]]


def test_a_bad_value_is_refused_under_the_name_that_was_given():
    with pytest.raises(UserError, match=r"^--set pretrain\.frames: should be greater than or equal to 16"):
        parse_assignment("pretrain.frames=3")


def test_every_layer_is_read_before_it_is_laid_over_another(tmp_path):
    """An old name in an upper layer holds over the new one in a lower, and the other way round."""
    workspace = Workspace(tmp_path / "ws")
    run = workspace.create_run("CartPole-v1", "pretrain", Experiment().with_values(("data.frames", 50)).to_toml())
    run.finish("stopped")
    config = tmp_path / "old.toml"
    config.write_text("[pretrain]\nframes = 60\n")
    assert build_experiment(workspace, resume=run.name, config=config).experiment.data.frames == 60
    asked = {"pretrain.frames": 70}
    assert build_experiment(workspace, resume=run.name, config=config, overrides=asked).experiment.data.frames == 70
    asked = {"data.frames": 80}
    assert build_experiment(workspace, config=config, overrides=asked).experiment.data.frames == 80
    workspace.close()


def test_at_both_places_the_present_one_holds():
    given = {"pretrain": {"frames": 60}, "data": {"frames": 50}}
    assert Experiment.from_dict(given).data.frames == 50
    assert given == {"pretrain": {"frames": 60}, "data": {"frames": 50}}


def test_what_version_0_1_0_wrote_is_read():
    found = Experiment.from_toml(MADE / "runs" / "2026-11-27-CarRacing-v3-1" / "experiment.toml")
    assert (found.data.recording, found.data.memory_limit) == ("laps", 512)
    assert (found.data.frames, found.env.action_repeat) == (20_000, 2)  # it wrote 10,000 decisions
    assert found.data.skip_start == "auto"
    assert found.data.manual_mode_delay is None
