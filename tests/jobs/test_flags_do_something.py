"""Every flag of `train` and `pretrain` changes what it names, against the same run without: weights, counts, files."""

from functools import cache
from pathlib import Path

import pytest
import torch

from ewm_studio.envs.vector.local import LocalVectorEnvs
from ewm_studio.events import Message, Metrics
from ewm_studio.jobs import pretrain, train
from ewm_studio.terminal.flags import flags_of
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model, read_metadata
from tests.support.jobs import experiment

JOBS = {"train": train, "pretrain": pretrain}
BASE = {
    "memory": {"name": "LSTMMemory", "hidden_dim": 8},
    "train": {"epochs": 4},
    "pretrain": {"epochs": 2},
    "data": {"frames": 120},
    "run": {"threads": 1},
}
# Values that must change the weights of a short run.
TRAIN_WEIGHTS = {
    "env": "MountainCar-v0", "pixels": True, "action-repeat": 2, "vision": "ConvVAE", "memory": "MDNRNN",
    "controller": "LinearController", "epochs": 2, "total-steps": 64, "batch-size": 2, "seed": 1, "lr": 0.1,
    "dropout": 0.9, "rollout-steps": 4, "ppo-lr": 0.1, "ppo-epochs": 1, "ppo-batch-size": 8, "ppo-clip-range": 1e-4,
    "ppo-range-vf": 1e-3, "gamma": 0.5, "gae-lambda": 0.2, "value-coef": 5.0, "entropy-coef": 1.0,
    "max-grad-norm": 1e-3, "train-world-model": False, "world-model-epochs": 3,
    "memory-gradient": "off",
}  # fmt: skip
PRETRAIN_WEIGHTS = {
    "env": "MountainCar-v0", "pixels": True, "action-repeat": 2, "vision": "ConvVAE", "memory": "MDNRNN",
    "batch-size": 2, "seed": 1, "lr": 0.1, "dropout": 0.9, "frames": 64, "epochs": 1,
}  # fmt: skip
# Shown by tests of their own, here or where it is said.
ELSEWHERE = {
    "patience", "device", "save-freq", "log-freq", "tensorboard", "save-path", "load-path", "patch-load-path", "patch",
    "render-mode", "pretrain-vision", "pretrain-memory", "pretrain-mode", "recording",
    "random-share",
    "bursts", "driver",  # tests/jobs/test_pretrain_recordings.py
    "manual-mode-delay",  # the window's
    "controller",  # of pretrain: bypassed, but stored
    "dream",  # tests/jobs/test_dreaming.py
    "learner",  # tests/jobs/test_evolution.py
    "env-arg",  # tests/terminal/test_env_arguments.py
}  # fmt: skip


def chosen(command, **flags):
    """The small experiment with flags of a command set."""
    paths = {flag.flag: flag.path for flag in flags_of(command)}
    settings = experiment(**BASE)
    if flags.get("pixels"):
        settings = settings.with_values(("vision.name", "ConvVAE"), ("env.image_size", 16))
    if flags.get("vision") == "ConvVAE":
        settings = settings.with_values(("env.pixels", True), ("env.image_size", 16))
    for name, value in flags.items():
        if name in ("vision", "memory", "controller"):
            settings = settings.model_copy(update={name: type(settings.memory)(name=value)})
        else:
            settings = settings.with_values((paths[name], value))
    return settings


def run(folder: Path, command: str, settings):
    """Events, result and final weights of a job in a workspace of its own."""
    workspace = Workspace(folder)
    events = list(JOBS[command](settings, workspace))
    result = events[-1].result
    checkpoints = (workspace.run(result["run"]).folder / "checkpoints").glob("*.safetensors")
    weights, _ = load_model(max(checkpoints, key=lambda p: int(p.stem)))
    workspace.close()
    return events, result, weights


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The run without any flag, once a command."""

    @cache
    def get(command):
        return run(tmp_path_factory.mktemp("plain") / "ws", command, chosen(command))[2]

    return get


def same(a, b):
    return a.keys() == b.keys() and all(a[k].shape == b[k].shape and torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("command", JOBS)
def test_every_flag_is_shown_to_do_something(command):
    shown = set(TRAIN_WEIGHTS if command == "train" else PRETRAIN_WEIGHTS) | ELSEWHERE
    assert {flag.flag for flag in flags_of(command)} <= shown


@pytest.mark.parametrize(
    ("command", "flag", "value"),
    [("train", *item) for item in TRAIN_WEIGHTS.items()] + [("pretrain", *item) for item in PRETRAIN_WEIGHTS.items()],
)
def test_flag_changes_the_weights(command, flag, value, plain, tmp_path):
    _, result, weights = run(tmp_path / "ws", command, chosen(command, **{flag: value}))
    assert not same(weights, plain(command))
    counts = {"epochs": ("epochs", value), "total-steps": ("env_steps", value)}
    if flag in counts and not (command == "pretrain" and flag == "frames"):
        name, wanted = counts[flag]
        assert result[name] == wanted
    if flag == "frames":
        assert 64 <= result["env_steps"] < 120


def test_the_same_run_has_the_same_weights(plain, tmp_path):
    """Or the tests above would show nothing."""
    for command in JOBS:
        assert same(run(tmp_path / command, command, chosen(command))[2], plain(command))


def test_lr_and_dropout_belong_to_the_world_model_and_ppo_lr_to_the_controller(plain, tmp_path):
    """With V and M frozen, --lr changes nothing; and a rate of almost nothing leaves the controller as it was."""
    frozen = {"train-world-model": False}
    first = run(tmp_path / "a", "train", chosen("train", **frozen))[2]
    second = run(tmp_path / "b", "train", chosen("train", **frozen, lr=0.1, dropout=0.9))[2]
    assert same(first, second)
    still = run(tmp_path / "c", "train", chosen("train", **frozen, **{"ppo-lr": 1e-30}))[2]
    begin = run(tmp_path / "d", "train", chosen("train", **frozen, **{"total-steps": 4, "ppo-lr": 1e-30}))[2]
    seen = ("scaler", "value_unit")  # of what was seen, not learned
    networks = [k for k in still if k.startswith("controller.") and not any(name in k for name in seen)]
    assert all(torch.allclose(still[k], begin[k], rtol=0, atol=1e-12) for k in networks)


def test_dropout_also_reaches_a_loaded_model(tmp_path):
    _, result, _ = run(tmp_path / "ws", "train", chosen("train"))
    settings = chosen("train", **{"load-path": result["checkpoint"], "dropout": 0.5, "epochs": 1})
    _, again, _ = run(tmp_path / "again", "train", settings)
    assert read_metadata(again["checkpoint"])["parts"]["memory"]["settings"]["dropout"] == 0.5


@pytest.mark.parametrize("command", JOBS)
def test_save_freq_log_freq_save_path_and_tensorboard(command, tmp_path):
    target = tmp_path / "final.safetensors"
    flags = {"save-freq": 1, "log-freq": 3, "save-path": str(target), "tensorboard": True, "epochs": 4}
    events, result, weights = run(tmp_path / "ws", command, chosen(command, **flags))
    saved = [e for e in events if type(e).__name__ == "CheckpointSaved"]
    best_is_earlier = any("is kept as it was" in getattr(e, "text", "") for e in events)
    assert len(saved) == 4 + best_is_earlier
    assert [e.epoch for e in events if isinstance(e, Metrics)] == [3, 4]  # every third, and what is left at the end
    assert result["losses"]
    assert same(load_model(target)[0], weights)
    assert list((tmp_path / "ws" / "runs" / result["run"]).glob("events.*"))
    assert any(isinstance(e, Message) and str(target) in e.text for e in events)


def test_pretrain_vision_and_memory_choose_what_is_trained(tmp_path):
    picture = {"pixels": True, "epochs": 1}
    both = run(tmp_path / "both", "pretrain", chosen("pretrain", **picture))
    for part, other in (("vision", "memory"), ("memory", "vision")):
        events, _, _ = run(tmp_path / part, "pretrain", chosen("pretrain", **picture, **{f"pretrain-{part}": True}))
        names = {n.partition("/")[0] for e in events if isinstance(e, Metrics) for n in e.values}
        assert part in names
        assert other not in names
    names = {n.partition("/")[0] for e in both[0] if isinstance(e, Metrics) for n in e.values}
    assert {"vision", "memory"} <= names


def test_pretrain_patience_ends_early(tmp_path):
    flags = {"epochs": 30, "patience": 2, "lr": 1e-12}
    _, result, _ = run(tmp_path / "ws", "pretrain", chosen("pretrain", **flags))
    assert result["stopped_by"] == "patience"
    assert result["epochs"] < 30


def test_render_mode_human_keeps_the_environments_in_this_process(monkeypatch, tmp_path):
    asked = []
    plain_init = LocalVectorEnvs.__init__

    def noted(self, settings, seed, num_envs):
        asked.append(settings.render_mode)
        plain_init(self, settings.model_copy(update={"render_mode": "rgb_array"}), seed, num_envs)

    monkeypatch.setattr(LocalVectorEnvs, "__init__", noted)
    settings = chosen("train", **{"render-mode": "human", "epochs": 1}).with_values(("env.workers", 2))
    run(tmp_path / "ws", "train", settings)
    assert asked == ["human"]  # in this process, whatever the workers
