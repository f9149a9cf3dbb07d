"""A study while it is made: what a person picks becomes a file that says the same, and what a file says stays."""

import pytest

from ewm_studio.errors import UserError
from ewm_studio.resources import study_presets
from ewm_studio.settings import Experiment
from ewm_studio.settings.cells import cells_of
from ewm_studio.settings.layers import over
from ewm_studio.settings.study import Study, seeds_of, seeds_text
from ewm_studio.settings.study_draft import (
    given_settings,
    kept_axes,
    picked_parts,
    values_typed,
    varied_settings,
    with_choices,
)
from ewm_studio.settings.study_file import read_study

NONE = {"memory": {"name": "NoMemory"}}
LSTM = {"memory": {"name": "LSTMMemory", "frozen": True}}


def written(tmp_path, study):
    path = tmp_path / "made.study.toml"
    path.write_text(study.to_toml())
    return read_study(path)


def test_picked_parts_are_an_axis_and_one_alone_holds_for_all(tmp_path):
    base = Experiment().with_values(("env.id", "Acrobot-v1"), ("train.total_steps", None), ("train.epochs", 5))
    study = with_choices(
        Study(experiment=given_settings(base)),
        {
            "memory": {"none": NONE, "untrained": LSTM},
            "controller": {"l": {"controller": {"name": "LinearController"}}},
        },
        {"ppo.lr": [0.001, 0.0003]},
        seeds={"reported": [0, 1, 2]},
        budget={"frames": 1000},
    )
    file = written(tmp_path, study)
    assert file.study == study
    assert [cell.options for cell in file.cells] == [
        {"ppo.lr": lr, "memory": memory} for lr in ("0.001", "0.0003") for memory in ("none", "untrained")
    ]
    for plan in file.plans():
        assert plan.experiment.env.id == "Acrobot-v1"
        assert plan.experiment.controller.name == "LinearController"
        assert plan.experiment.train.total_steps == 1000
    assert picked_parts(file.study, "x") == {"memory": {"none": NONE, "untrained": LSTM}}
    assert varied_settings(file.study) == {"ppo.lr": [0.001, 0.0003]}


def test_a_base_keeps_every_setting_that_is_no_default(tmp_path):
    base = Experiment().with_values(
        ("memory.name", "LSTMMemory"), ("memory.hidden_dim", 24), ("env.kwargs", {"sutton_barto_reward": True})
    )
    base = base.with_values(("train.total_steps", None), ("train.minutes", 2.0))
    file = written(tmp_path, Study(experiment=given_settings(base)))
    (plan,) = file.check()
    run = plan.experiment.run.model_copy(update={"threads": base.run.threads})
    env = plan.experiment.env.model_copy(update={"workers": base.env.workers})
    assert plan.experiment.model_copy(update={"run": run, "env": env}) == base


@pytest.mark.parametrize("path", study_presets(), ids=lambda path: path.stem)
def test_what_a_ready_made_study_says_stays_as_it_is(path):
    file = read_study(path)
    again = with_choices(file.study, picked_parts(file.study, "x"), varied_settings(file.study))
    assert again == file.study


def test_axes_that_only_a_file_can_give_stay():
    study = Study(
        vary={"speed": {"slow": {"ppo": {"lr": 0.1}}, "fast": {"ppo": {"lr": 0.2}}}, "memory": {"none": NONE}}
    )
    assert list(kept_axes(study)) == ["speed"]
    again = with_choices(study, {"memory": {"none": NONE, "LSTM": LSTM}}, {})
    assert set(again.vary) == {"speed", "memory"}
    listed = Study(cells=[{"name": "a", "memory.name": "NoMemory"}, {"name": "b", "memory.name": "LSTMMemory"}])
    assert with_choices(listed, {"memory": {"none": NONE, "LSTM": LSTM}}, {"ppo.lr": [1, 2]}) == listed


@pytest.mark.parametrize(
    ("vary", "cells"),
    [
        ({"memory.hidden_dim": [64, 128], "ppo.lr": [1e-3, 1e-4]}, 4),
        ({"memory": {"name": ["NoMemory", "LSTMMemory"], "lr": [1e-3, 1e-4]}}, 4),
        ({"vision": {"latent_dim": [16, 32]}, "controller": {"l": {"controller": {"name": "LinearController"}}}}, 2),
        ({"ppo.lr": [1e-3, 1e-4], "ppo": {"short": {"ppo": {"epochs": 2}}, "long": {"ppo": {"epochs": 9}}}}, 4),
        ({"env": {"easy": {"env": {"idle_limit": 5}}}, "env.action_repeat": [1, 2], "memory": {"none": NONE}}, 2),
    ],
)
def test_whatever_a_file_varies_is_in_what_the_form_saves(vary, cells):
    study = Study(vary=vary)
    again = with_choices(study, picked_parts(study, "x"), varied_settings(study))
    found = [over(again.experiment, cell.values) for cell in cells_of(again, "x")]  # an option alone holds for all
    assert len(found) == cells
    assert sorted(map(_sorted, found)) == sorted(_sorted(cell.values) for cell in cells_of(study, "x"))


def _sorted(values):
    return str(sorted((section, sorted(group.items())) for section, group in values.items()))


@pytest.mark.parametrize(
    ("path", "text", "values"),
    [
        ("ppo.lr", "1e-3, 0.0003", [0.001, 0.0003]),
        ("env.batch_size", "4, 8", [4, 8]),
        ("ppo.normalize_advantage", "on, off", [True, False]),
        ("memory.hidden_dim", "32, 64", [32, 64]),
    ],
)
def test_values_are_read_as_a_person_writes_them(path, text, values):
    assert values_typed(path, text) == values


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("ppo.lrr", "1, 2", r"no setting 'ppo\.lrr'; did you mean ppo\.lr"),
        ("ppo.lr", "1e-3", "two values or more"),
        ("ppo.lr", "1e-3, 0.001", "all different"),
        ("ppo.lr", "small, large", "should be a number"),
        ("ppo.normalize_advantage", "on, maybe", "should be on or off"),
        ("run.seed", "1, 2", "the study's own"),
    ],
)
def test_values_that_are_none_are_refused_in_one_line(path, text, complaint):
    with pytest.raises(UserError, match=complaint) as refused:
        values_typed(path, text)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("seeds", [[0, 1, 2], [7], [0, 1, 5, 6, 9]])
def test_seeds_are_written_as_they_are_read(seeds):
    assert seeds_of(seeds_text(seeds)) == seeds
