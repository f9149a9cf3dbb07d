"""What can go wrong while a job runs, said in one line by the engine itself; and components of other packages."""

import errno
import importlib.metadata
import shutil
import sys
import types

import pytest
import torch

from ewm_studio import cli
from ewm_studio.errors import JobError, UserError
from ewm_studio.events import JobControl, Message
from ewm_studio.jobs import infer, pretrain, record, train
from ewm_studio.models import registry
from ewm_studio.models.memory.lstm import LSTMMemory
from ewm_studio.settings.paths import COMPONENTS, SECTIONS, check_value
from ewm_studio.training.adam import FusedAdam
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.installed import forget_components
from tests.support.jobs import experiment, finish


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws")


@pytest.fixture
def fresh_registry():
    """The registry looks anew before and after."""
    forget_components()
    yield
    forget_components()


# Memory, disk, environments


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "--ppo-batch-size"),
        (MemoryError("Unable to allocate 3 TiB"), "--batch-size"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:1] . DefaultCPUAllocator: can't allocate memory"),
            "--batch-size",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "/somewhere"), "free some space"),
    ],
)
@pytest.mark.parametrize("job", [train, pretrain])
def test_lack_of_memory_or_disk_is_one_line(workspace, monkeypatch, error, wanted, job):
    def fail(*_):
        raise error

    monkeypatch.setattr("ewm_studio.training.ppo.ppo_update", fail)
    monkeypatch.setattr("ewm_studio.jobs.pretrain_job.vision_figures", fail)
    monkeypatch.setattr("ewm_studio.jobs.pretrain_job.memory_figures", fail)
    plan = experiment(memory={"name": "LSTMMemory"}, ppo={"memory_gradient": "off"}, data={"frames": 64})
    with pytest.raises(JobError) as caught:
        finish(job(plan, workspace))
    assert wanted in str(caught.value)
    (info,) = workspace.runs()
    assert (info.state, info.error) == ("failed", str(caught.value))


def test_lack_of_memory_before_the_run_leaves_none(workspace, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("ewm_studio.jobs.lifecycle.build_model", fail)
    with pytest.raises(JobError, match="out of GPU memory"):
        finish(train(experiment(), workspace))
    assert workspace.runs() == []


def test_a_failing_environment_is_named_by_infer_and_record(workspace, monkeypatch):
    from gymnasium.envs.classic_control.cartpole import CartPoleEnv

    trained = finish(train(experiment(train={"epochs": 1}), workspace))

    def fail(self, action):
        raise ValueError("the pole broke")

    monkeypatch.setattr(CartPoleEnv, "step", fail)
    for job, start in ((infer, {"load_path": trained["run"]}), (record, {})):
        with pytest.raises(JobError, match=r"CartPole-v1.*failed: ValueError: the pole broke"):
            finish(job(experiment(start=start), workspace))


def test_a_run_that_nobody_pulls_any_more_is_interrupted(workspace):
    events = train(experiment(), workspace)
    next(events)
    events.close()
    (info,) = workspace.runs()
    assert info.state == "interrupted"
    assert not workspace.run(info.name).alive


def test_stopped_before_the_first_step_and_resumed(workspace):
    control = JobControl()
    control.stop()
    whole = experiment(memory={"name": "LSTMMemory"})
    stopped = finish(train(whole, workspace, control))
    assert (stopped["epochs"], stopped["stopped_by"]) == (0, "stop")
    rest = finish(train(whole, workspace, resume=stopped["run"]))
    straight = finish(train(whole, workspace))
    a, b = load_model(rest["checkpoint"])[0], load_model(straight["checkpoint"])[0]
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("after", [1, 8, 25])
def test_pretraining_stops_inside_a_pass_and_goes_on_there(tmp_path, after):
    """Ask to stop at some minibatch of vision or memory: nothing of the pass is done twice or left out."""
    from ewm_studio.training.optimize import ComponentTrainer

    whole = experiment(
        env={"id": "CartPole-v1", "pixels": True, "image_size": 32, "batch_size": 2},
        vision={"name": "ConvVAE", "channels": 4},
        memory={"name": "MDNRNN", "hidden_dim": 8},
        pretrain={"epochs": 2},
        data={"frames": 120},
        world_model={"memory_batch_size": 2},
        run={"threads": 1},
    )
    straight = finish(pretrain(whole, Workspace(tmp_path / "straight")))
    control, steps, plain = JobControl(), 0, ComponentTrainer.step

    def counted(self, losses):
        nonlocal steps
        steps += 1
        if steps == after:
            control.stop()
        return plain(self, losses)

    ComponentTrainer.step = counted
    workspace = Workspace(tmp_path / "halves")
    try:
        half = finish(pretrain(whole, workspace, control))
    finally:
        ComponentTrainer.step = plain
    assert (half["stopped_by"], steps) == ("stop", after)
    rest = finish(pretrain(whole, workspace, resume=half["run"]))
    a, b = load_model(straight["checkpoint"])[0], load_model(rest["checkpoint"])[0]
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_pretraining_stopped_while_gathering_ends_well(workspace):
    control = JobControl()
    control.stop()
    result = finish(pretrain(experiment(memory={"name": "LSTMMemory"}), workspace, control))
    assert result["stopped_by"] == "stop"
    assert workspace.info(result["run"]).state == "stopped"


def test_resuming_does_not_need_what_the_run_was_patched_from(workspace, tmp_path):
    donor = finish(train(experiment(), workspace))
    copy = tmp_path / "donor.safetensors"
    shutil.copy(donor["checkpoint"], copy)
    patched = experiment(start={"load_path": str(copy), "patch_load_path": str(copy), "patch": "c"})
    result = finish(train(patched, workspace))
    copy.unlink()
    more = finish(train(patched.with_values(("train.epochs", 3)), workspace, resume=result["run"]))
    assert more["epochs"] == 3


def test_patience_waits_for_the_first_episode(workspace):
    slow = experiment(env={"id": "Pendulum-v1"}, train={"epochs": 16, "patience": 2}, ppo={"lr": 1e-9})
    assert finish(train(slow, workspace))["epochs"] > 12  # an episode has 200 steps, an epoch 16


# Losses that are not finite


def test_a_step_with_gradients_that_are_not_finite_changes_nothing():
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2)
    optimizer = FusedAdam(module, 0.1)
    for bad in (False, True, False):
        before = [p.detach().clone() for p in module.parameters()]
        moments = [m.clone() for m in (*optimizer._means, *optimizer._squares, *optimizer._steps)]
        optimizer.zero_grad()
        (module(torch.ones(1, 3)).sum() * (float("nan") if bad else 1.0)).backward()
        optimizer.step(optimizer.clip(0.5))
        after = list(module.parameters())
        same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert all(same) if bad else not any(same)
        if bad:
            now = (*optimizer._means, *optimizer._squares, *optimizer._steps)
            assert all(torch.equal(a, b) for a, b in zip(moments, now, strict=True))


@pytest.mark.parametrize("at", [1, 2, 7, 8, 9])  # an update has 2 passes of 2 minibatches
@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_the_loss_that_broke_is_named_and_the_weights_stay_finite(workspace, monkeypatch, at, kind):
    from ewm_studio.models.controller.deep_discrete import DeepDiscreteController

    plain, calls, seen = DeepDiscreteController.value, 0, []

    def broken(self, z, h):
        nonlocal calls
        calls += self.training
        value = plain(self, z, h)
        seen.append(self)
        if self.training and calls == at:
            return value * float("nan") if kind == "loss" else value + (value * 0).abs().sqrt()  # 0 * inf backwards
        return value

    monkeypatch.setattr(DeepDiscreteController, "value", broken)
    with pytest.raises(JobError, match="value_loss" if kind == "loss" else "grad_norm"):
        finish(train(experiment(train={"epochs": 50}, run={"save_freq": 1}), workspace))
    assert all(torch.isfinite(p).all() for p in seen[-1].parameters())
    (info,) = workspace.runs()
    latest = workspace.run(info.name).latest_checkpoint()
    assert (latest is not None) == (at > 4)
    if latest is not None:
        tensors, _ = load_model(latest)
        assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())


def test_a_world_model_gradient_that_is_not_finite_stops_the_run(workspace, monkeypatch):
    plain, calls, seen = LSTMMemory.loss, 0, []

    def broken(self, batch, state, generator=None):
        nonlocal calls
        losses = plain(self, batch, state, generator)
        calls += self.training
        seen.append(self)
        bad = self.training and calls == 5
        return {**losses, "total": losses["total"] + (losses["total"] * 0).abs().sqrt()} if bad else losses

    monkeypatch.setattr(LSTMMemory, "loss", broken)
    with pytest.raises(JobError, match="memory/grad_norm"):
        finish(train(experiment(memory={"name": "LSTMMemory"}, train={"epochs": 50}), workspace))
    assert all(torch.isfinite(p).all() for p in seen[-1].parameters())


# Numbers


def test_every_number_has_a_least_and_a_greatest():
    def bounds(schema):
        found = [schema, *schema.get("anyOf", [])]
        number = [f for f in found if f.get("type") in ("integer", "number")]
        return [
            any(k in f for k in ("minimum", "exclusiveMinimum"))
            and any(k in f for k in ("maximum", "exclusiveMaximum"))
            for f in number
        ]

    models = {n: m for n, m in SECTIONS.items() if n not in COMPONENTS}
    models |= {n: c.Settings for kind in COMPONENTS for n, c in registry.components(kind).items()}
    loose = [
        f"{name}.{field}"
        for name, model in models.items()
        for field, schema in model.model_json_schema().get("properties", {}).items()
        if not all(bounds(schema))
    ]
    assert loose == []


@pytest.mark.parametrize("value", ["1e300", "9" * 40, "-1", "nan", "inf"])
@pytest.mark.parametrize("flag", ["--total-steps", "--epochs", "--save-freq", "--value-coef", "--ppo-range-vf"])
def test_huge_numbers_are_refused_in_one_line(flag, value, capsys):
    assert cli.main(["train", flag, value]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def greatest(path):
    section, _, name = path.partition(".")
    schema = SECTIONS[section].model_json_schema()["properties"][name]
    tried = [schema, *schema.get("anyOf", [])]
    return next(s["maximum"] for s in tried if "maximum" in s)


FAR = [
    "train.total_steps", "train.epochs", "train.patience", "ppo.batch_size", "ppo.value_coef", "ppo.entropy_coef",
    "ppo.max_grad_norm", "ppo.clip_range", "ppo.clip_range_vf", "ppo.target_kl", "world_model.vision_batch_size",
    "world_model.memory_batch_size", "world_model.sequence_length", "world_model.max_grad_norm", "run.save_freq",
    "run.log_freq", "run.keep_checkpoints", "run.seed", "env.max_episode_steps",
]  # fmt: skip


@pytest.mark.parametrize("path", FAR)
def test_the_greatest_accepted_value_trains(workspace, path):
    """Stop after two epochs: no overflow, no traceback."""
    from tests.support.jobs import train_until

    value = check_value(path, greatest(path))
    chosen = experiment(memory={"name": "LSTMMemory"}, train={"epochs": 1000}).with_values((path, value))
    assert train_until(chosen, workspace, 2)["epochs"] == 2


# Components of other packages


class PackagedMemory(LSTMMemory):
    """A memory as another package would bring it."""

    summary = "An LSTM from elsewhere."


class Halfway(registry.MemoryModel):
    """Lacks everything."""


class Taken(LSTMMemory):
    """Has a name that is taken."""


Taken.__name__ = "LSTMMemory"


def entry_points(monkeypatch, **targets):
    """Fake an installed package whose entry points these are."""
    module = types.ModuleType("some_package")
    for name, target in targets.items():
        setattr(module, name, target)
    monkeypatch.setitem(sys.modules, "some_package", module)
    points = [importlib.metadata.EntryPoint(n, f"some_package:{n}", registry.ENTRY_POINTS) for n in targets]
    points.append(importlib.metadata.EntryPoint("Absent", "no_such_package:Absent", registry.ENTRY_POINTS))
    plain = importlib.metadata.entry_points

    def found(**query):
        return points if query.get("group") == registry.ENTRY_POINTS else plain(**query)

    monkeypatch.setattr(importlib.metadata, "entry_points", found)


def test_a_component_of_another_package_trains_and_loads(workspace, monkeypatch, fresh_registry, capsys):
    entry_points(monkeypatch, PackagedMemory=PackagedMemory, Halfway=Halfway, Taken=Taken, Number=3)
    assert registry.components("memory")["PackagedMemory"] is PackagedMemory
    assert registry.components("memory")["LSTMMemory"] is LSTMMemory
    lines = registry.broken_components()
    assert len(lines) == 4
    for words in ("'Absent' of no_such_package:Absent cannot be imported", "'Halfway'", "'Taken'", "'Number'"):
        assert sum(words in line for line in lines) == 1
    assert all("\n" not in line for line in lines)

    chosen = experiment(memory={"name": "PackagedMemory", "hidden_dim": 8})
    events = list(train(chosen, workspace))
    warnings = [e.text for e in events if isinstance(e, Message) and e.level == "warning"]
    assert warnings == lines
    result = events[-1].result
    more = finish(train(chosen.with_values(("train.epochs", 3)), workspace, resume=result["run"]))
    assert more["epochs"] == 3
    played = finish(infer(experiment(start={"load_path": result["checkpoint"]}, infer={"episodes": 1}), workspace))
    assert len(played["episodes"]) == 1

    with pytest.raises(UserError, match="no_such_package"):
        finish(train(experiment(memory={"name": "absent"}), workspace))
    assert cli.main(["components", "--kind", "memory"]) == 0
    out, err = capsys.readouterr()
    assert "PackagedMemory" in out
    assert err.splitlines() == lines


def test_a_model_whose_component_is_not_installed_is_refused(workspace, monkeypatch, fresh_registry):
    with monkeypatch.context() as installed:
        entry_points(installed, PackagedMemory=PackagedMemory)
        trained = finish(train(experiment(memory={"name": "PackagedMemory"}), workspace))
    forget_components()
    with pytest.raises(UserError, match=r"safetensors: no memory component 'PackagedMemory'"):
        finish(infer(experiment(start={"load_path": trained["run"]}), workspace))


# Playing


def test_infer_counts_frames_and_seeds_every_episode(workspace):
    trained = finish(train(experiment(env={"id": "Pendulum-v1", "action_repeat": 3}, train={"epochs": 1}), workspace))

    def played(seed, episodes, greedy):
        asked = experiment(
            env={"id": "Pendulum-v1", "action_repeat": 3},
            start={"load_path": trained["run"]},
            run={"seed": seed},
            infer={"episodes": episodes, "greedy": greedy},
        )
        return finish(infer(asked, workspace))["episodes"]

    greedy, sampled = played(5, 3, True), played(5, 3, False)
    assert [e["seed"] for e in greedy] == [5, 6, 7]
    assert all(e["steps"] == 200 for e in greedy)  # frames, of which the last decision takes what is left
    assert [e["reward"] for e in greedy] != [e["reward"] for e in sampled]
    for all_of_them, is_greedy in ((greedy, True), (sampled, False)):
        assert played(5, 3, is_greedy) == all_of_them
        assert played(7, 1, is_greedy) == all_of_them[2:]


def test_infer_patches(workspace):
    first = finish(train(experiment(run={"seed": 1}), workspace))
    second = finish(train(experiment(run={"seed": 2}, train={"epochs": 6}), workspace))

    def scores(**start):
        return finish(infer(experiment(start=start, infer={"episodes": 4}), workspace))["episodes"]

    alone, other = scores(load_path=first["run"]), scores(load_path=second["run"])
    assert alone != other
    assert scores(load_path=first["run"], patch_load_path=second["run"], patch="c") == other
