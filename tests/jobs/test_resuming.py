"""A run that is gone on with: every setting is kept with it or refused by name, and what it chose stays chosen."""

from pathlib import Path

import pytest
import torch

from ewm_studio.cli import main
from ewm_studio.errors import UserError
from ewm_studio.events import Message
from ewm_studio.jobs import pretrain, train
from ewm_studio.jobs.resuming import computed_on, differences, is_fixed
from ewm_studio.settings import Experiment
from ewm_studio.settings.experiment import COMPONENTS
from ewm_studio.settings.fields import Field
from ewm_studio.settings.paths import all_fields
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.jobs import experiment, finish, train_until

# Where a value of the right type is not enough.
VALUES = {
    "env.id": "Acrobot-v1",
    "env.kwargs": {"sutton_barto_reward": True},
    "run.device": "cpu",
    "start.load_path": "elsewhere.safetensors",
    "start.patch_load_path": "elsewhere.safetensors",
    "start.patch": "v",
    "train.total_steps": 24,
    "train.collect_on": "ray://127.0.0.1:10001",
    "vision.name": "ConvVAE",
    "memory.name": "MDNRNN",
    "controller.name": "LinearController",
    "data.manual_mode_delay": 0.5,
    "env.workers": 1,
    "dream.vision_rounds": "1",
    "world_model.dropout": 0.1,
    "warm_up.recording": "laps",
    "data.recording": "laps",
    "ppo.rollout_steps": 5,
    "ppo.batch_size": 8,
    "infer.episodes": 3,
    "world_model.frame_buffer": 64,
}
FIELDS = all_fields()
SMALL = {
    "env": {"batch_size": 2, "workers": 0},
    "ppo": {"rollout_steps": 4, "epochs": 1},
    "memory": {"name": "LSTMMemory", "hidden_dim": 4},
    "run": {"keep_checkpoints": 1000, "save_freq": 1},
    "data": {"frames": 60},
    "pretrain": {"epochs": 1},
}
JOBS = {"train": train, "pretrain": pretrain}


def other_value(field: Field, now):
    """A sound value of a setting that is not the present one."""
    if field.path in VALUES:
        return VALUES[field.path]
    if field.kind == "switch":
        return not now
    if field.choices and not field.auto:
        return next(word for word in field.choices if word != now)
    if field.kind == "text":
        return "something"
    low = field.low.value if field.low else 0
    value = now + 1 if isinstance(now, int) else (low + 1 if now is None or isinstance(now, str) else now / 2 or 0.25)
    field.check(value, field.path)
    return value


@pytest.fixture(scope="module", params=JOBS)
def stopped(request, tmp_path_factory):
    """A job's kind, a workspace, a run of it, and the settings of the run."""
    workspace = Workspace(tmp_path_factory.mktemp("ws"))
    small = experiment(**SMALL, train={"epochs": 2, "total_steps": None, "patience": 50})
    run = finish(JOBS[request.param](small, workspace))["run"]
    return request.param, workspace, run


def settings_of(workspace: Workspace, run: str) -> Experiment:
    return Experiment.from_toml(workspace.run(run).folder / "experiment.toml")


@pytest.mark.parametrize("path", FIELDS)
def test_every_setting_is_kept_or_refused_by_name(stopped, path, tmp_path):
    kind, workspace, run = stopped
    field = FIELDS[path]
    before = settings_of(workspace, run)
    now = getattr(getattr(before, field.section), field.name)
    value = str(tmp_path / "model.safetensors") if path == "start.save_path" else other_value(field, now)
    assert value != now
    # An end that is always reached.
    ends = {"train": ("train.epochs", 3), "pretrain": ("pretrain.epochs", 2)}
    asked = before.with_values(*([ends[kind]] if ends[kind][0] != path else []), (path, value))
    if is_fixed(field.section, field.name):
        with pytest.raises(UserError, match=f"^{path} .*cannot change when a run is resumed: {run} has"):
            next(JOBS[kind](asked, workspace, resume=run))
        assert settings_of(workspace, run) == before
        return
    finish(JOBS[kind](asked, workspace, resume=run))
    kept = settings_of(workspace, run)
    assert getattr(getattr(kept, field.section), field.name) == value
    asked = asked.model_copy(update={"versions": kept.versions})
    if path == "world_model.dropout":  # the parts say it too
        asked = asked.model_copy(update={kind: getattr(kept, kind) for kind in COMPONENTS})
    assert kept == asked


def test_a_components_own_settings_cannot_change(stopped):
    kind, workspace, run = stopped
    before = settings_of(workspace, run)
    with pytest.raises(UserError, match=r"memory\.hidden_dim cannot change"):
        next(JOBS[kind](before.with_values(("memory.hidden_dim", 5)), workspace, resume=run))


def test_the_next_resume_goes_on_from_what_was_changed(tmp_path, capsys):
    workspace = Workspace(tmp_path / "ws")
    run = finish(train(experiment(train={"epochs": 1}), workspace))["run"]
    place = ("--workspace", str(workspace.path), "--json")
    assert main(["train", "--resume", run, "--epochs", "2", "--ppo-lr", "0.004", *place]) == 0
    assert main(["train", "--resume", run, "--epochs", "3", *place]) == 0
    assert settings_of(workspace, run).ppo.lr == 0.004
    for flag, value in (("--env", "Acrobot-v1"), ("--memory", "LSTMMemory"), ("--seed", "7"), ("--batch-size", "3")):
        capsys.readouterr()
        assert main(["train", "--resume", run, flag, value, *place]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert flag in line
        assert value in line
    assert main(["pretrain", "--resume", run, *place]) == 2
    assert "train --resume" in capsys.readouterr().err


def test_what_is_left_to_be_chosen_is_as_it_was(tmp_path):
    """A script that resumes by the experiment that it began with."""
    workspace = Workspace(tmp_path / "ws")
    asked = experiment(
        env={"batch_size": "auto", "workers": "auto"}, train={"epochs": 1}, memory={"name": "lstmmemory"}
    )
    run = finish(train(asked, workspace))["run"]
    kept = settings_of(workspace, run)
    assert "auto" not in (kept.env.batch_size, kept.env.workers, kept.run.threads)
    again = finish(train(asked.with_values(("train.epochs", 2)), workspace, resume=run))
    assert again["epochs"] == 2
    assert settings_of(workspace, run).env == kept.env


def test_where_a_run_came_from_is_not_forgotten(tmp_path):
    workspace = Workspace(tmp_path / "ws")
    first = finish(train(experiment(train={"epochs": 1}), workspace))["run"]
    asked = experiment(train={"epochs": 1}, start={"load_path": first})
    run = finish(train(asked, workspace))["run"]
    finish(train(asked.with_values(("train.epochs", 2)), workspace, resume=run))
    assert settings_of(workspace, run).start.load_path == first


def weights(result):
    return load_model(Path(result["checkpoint"]))[0]


@pytest.mark.parametrize("fewer", [1, 3])
def test_another_number_of_cores_resumes_bit_for_bit(tmp_path, monkeypatch, fewer):
    asked = experiment(
        env={"id": "CartPole-v1", "pixels": True, "image_size": 16, "workers": "auto", "batch_size": 4},
        memory={"name": "LSTMMemory", "hidden_dim": 8},
        train={"epochs": 2},
    )
    before = torch.get_num_threads()
    try:
        use_cores(monkeypatch, 2)
        whole = finish(train(asked, Workspace(tmp_path / "whole")))
        workspace = Workspace(tmp_path / "parted")
        run = train_until(asked, workspace, 1)["run"]
        use_cores(monkeypatch, fewer)
        torch.set_num_threads(fewer)
        own = settings_of(workspace, run)
        assert (own.env.workers, own.run.threads) == (2, 2)
        events = list(train(own, workspace, resume=run))
    finally:
        torch.set_num_threads(before)
    a, b = weights(whole), weights(events[-1].result)
    assert all(torch.equal(a[name], b[name]) for name in a | b)
    assert not [e for e in events if isinstance(e, Message) and "bit for bit" in e.text]


def use_cores(monkeypatch, count):
    for module in ("ewm_studio.models.device", "ewm_studio.envs.vector.sizing"):
        monkeypatch.setattr(f"{module}.cores", lambda: count)


def test_what_makes_a_run_another_is_said_before():
    cpu, own = torch.device("cpu"), Experiment()
    alike = own.with_values(("run.threads", 1))
    now = computed_on(cpu)
    assert differences(now, cpu, alike, pictures=True) == []
    assert differences(None, cpu, own, pictures=False) == []  # of 0.1.0: auto was one thread
    (said,) = differences(now | {"processor": "AVX9"}, cpu, alike, pictures=True)
    assert "AVX9" in said.text
    (said,) = differences(None, cpu, own, pictures=True)
    assert "threads" in said.text
