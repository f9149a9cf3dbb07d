"""The command line's arguments: flags, precedence, refusals, output. Jobs are stand-ins here; see test_cli_jobs.py."""

import json
import math
import os
import signal
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ewm_studio import cli
from ewm_studio.errors import JobError, UserError
from ewm_studio.events import EpisodeFinished, Finished, Message, Progress, RunStarted
from ewm_studio.jobs.kinds import JobKind
from ewm_studio.jobs.launch import build_experiment
from ewm_studio.processes.endings import ENDINGS
from ewm_studio.settings import EVERY, Experiment
from ewm_studio.settings.fields import Field
from ewm_studio.settings.paths import COMPONENTS, SECTIONS, read_value
from ewm_studio.terminal.flags import (
    Parser,
    add_common,
    add_flags,
    declared_flags,
    flags_of,
    known_options,
    options_of,
)
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import save_model

# A valid value other than the default, for each kind of setting that is not a number.
WORDS = {
    "env.id": "Pendulum-v1",
    "run.device": "cpu",
    "start.patch": "vm",
    "env.render_mode": "human",
    "infer.policy": "planner",
    "train.learner": "cma_es",
    "ppo.memory_gradient": "off",
    "pretrain.mode": "manual",
}
EMPTY_FLOATS = ("world_model.lr", "world_model.dropout", "ppo.clip_range_vf", "data.manual_mode_delay")
NAMES = {"vision": "Identity", "memory": "LSTMMemory", "controller": "LinearController"}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A workspace of the test's own."""
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))
    return tmp_path / "ws"


@pytest.fixture
def seen(monkeypatch) -> list[tuple[str, Experiment, dict[str, Any]]]:
    """The jobs that were started, with stand-ins for the engine."""
    started: list[tuple[str, Experiment, dict[str, Any]]] = []

    def stand_in(command):
        def job(experiment, workspace, control=None, **options):
            started.append((command, experiment, options))
            yield RunStarted(command, "run-1", str(workspace.path), "Identity + NoMemory on CartPole-v1")
            yield Progress("train", 10, 100, "steps", 12.0, 3.0)
            yield EpisodeFinished(10, 5.0, 10)
            print("a library prints")
            yield Message("a message")
            yield Finished("total_steps", {"run": "run-1", "mean_reward": math.nan, "losses": {"a": 0.5}, "list": [1]})

        return job

    monkeypatch.setattr(JobKind, "load", lambda kind: stand_in(kind.name))
    return started


def experiment_of(seen, *argv) -> Experiment:
    """What `ewm-studio argv` would run."""
    assert cli.main(list(argv)) == 0
    return seen.pop()[1]


def changes(experiment: Experiment) -> dict[str, Any]:
    """The settings that differ from the defaults, by path."""
    mine, default = experiment.model_dump(), Experiment().model_dump()
    return {f"{s}.{f}": v for s, group in mine.items() for f, v in group.items() if default[s].get(f) != v}


def other_value(flag: Field) -> tuple[str, Any]:
    """A valid value that is not the default, as typed and as held."""
    if flag.flag in NAMES:
        return NAMES[flag.flag], NAMES[flag.flag]
    if flag.path in WORDS:
        return WORDS[flag.path], WORDS[flag.path]
    if flag.kind == "text":
        return "some/thing", "some/thing"
    if isinstance(flag.default, float) or flag.path in EMPTY_FLOATS:
        return "0.125", 0.125
    if flag.kind == "arguments":
        return "size=77", {"size": 77}
    return "77", 77


@cache
def parser_of(command):
    """Reading leaves no trace in a parser: one for all flags."""
    parser = Parser("ewm-studio", "")
    add_common(parser, command)
    add_flags(parser, command)
    return parser


EVERY_FLAG = [pytest.param(c, f, id=f"{c}-{f.flag}") for c in EVERY for f in flags_of(c)]


@pytest.mark.parametrize(("command", "flag"), EVERY_FLAG)
def test_flag_changes_its_setting_and_no_other(command, flag, home):
    parser = parser_of(command)
    if flag.kind == "switch":
        for option, value in zip(options_of(flag), (True, False), strict=True):
            overrides = parser.read([option], command).overrides
            assert overrides == {flag.path: value}
            expected = {} if value == flag.default else {flag.path: value}
            assert changes(build_experiment(Workspace(home), overrides=overrides).experiment) == expected
        return
    typed, value = other_value(flag)
    overrides = parser.read([f"--{flag.flag}", typed], command).overrides
    assert overrides == {flag.path: value}
    if flag.path != "start.load_path":  # a model by this name does not exist
        assert changes(build_experiment(Workspace(home), overrides=overrides).experiment) == {flag.path: value}


def test_no_flag_means_two_things_on_one_command():
    for command in EVERY:
        names = [option for flag in flags_of(command) for option in options_of(flag)]
        assert len(names) == len(set(names))


def test_the_flags_people_know_are_there():
    wanted = """env vision memory controller epochs patience batch-size lr dropout render-mode seed save-path load-path
        patch-load-path patch save-freq log-freq tensorboard pretrain-vision pretrain-memory pretrain-mode
        manual-mode-delay rollout-steps ppo-lr ppo-epochs ppo-batch-size ppo-clip-range ppo-range-vf gamma gae-lambda
        value-coef entropy-coef max-grad-norm train-world-model no-train-world-model world-model-epochs episodes
        total-steps config set resume pixels action-repeat device workspace recording frames greedy sample json"""
    assert {f"--{name}" for name in wanted.split()} <= set(known_options())


def test_epochs_and_patience_are_those_of_the_command(seen):
    assert changes(experiment_of(seen, "train", "--epochs", "7", "--patience", "3")) == {
        "train.epochs": 7,
        "train.patience": 3,
    }
    assert changes(experiment_of(seen, "pretrain", "--epochs", "7", "--patience", "3")) == {
        "pretrain.epochs": 7,
        "pretrain.patience": 3,
    }


def test_resume_reaches_the_job_with_the_runs_own_settings(seen, home):
    own = Experiment().with_values(("ppo.gamma", 0.5), ("run.seed", 9))
    run = Workspace(home).create_run("CartPole-v1", "train", own.to_toml())
    run.finish("stopped")
    assert cli.main(["train", "--resume", run.name, "--total-steps", "200000"]) == 0
    command, experiment, options = seen.pop()
    assert (command, options) == ("train", {"resume": run.name})
    assert changes(experiment) == {"ppo.gamma": 0.5, "run.seed": 9, "train.total_steps": 200_000}


def write_model(path, env: dict[str, Any]) -> str:
    parts = {
        "vision": {"name": "ConvVAE", "settings": {"latent_dim": 16}},
        "memory": {"name": "MDNRNN", "settings": {}},
        "controller": {"name": "LinearController", "settings": {}},
    }
    save_model(path, {}, {"parts": parts, "env": env})
    return str(path)


def test_precedence_is_defaults_model_config_flags(seen, tmp_path):
    model = write_model(
        tmp_path / "m.safetensors",
        {"id": "CarRacing-v3", "image_size": 96, "action_repeat": 4, "crop_bottom": 12, "batch_size": 99},
    )
    config = tmp_path / "e.toml"
    config.write_text("[env]\naction_repeat = 3\nimage_size = 80\n[ppo]\nlr = 0.01\ngamma = 0.9\n[run]\nseed = 5\n")
    argv = ["train", "--config", str(config), "--load-path", model, "--ppo-lr", "0.02", "--set", "env.image_size=72"]
    e = experiment_of(seen, *argv)
    assert e.env.id == "CarRacing-v3"  # of the model
    assert e.env.crop_bottom == 12  # of the model
    assert e.env.batch_size == 8  # how many run at once is not the model's matter
    assert e.env.action_repeat == 3  # config over model
    assert e.env.image_size == 72  # --set over config over model
    assert (e.ppo.lr, e.ppo.gamma, e.run.seed) == (0.02, 0.9, 5)
    assert e.vision.name == "ConvVAE"
    assert e.vision.given == {"latent_dim": 16}
    assert e.memory.name == "MDNRNN"


def test_a_loaded_model_overrules_chosen_components_and_says_so(seen, tmp_path, capsys):
    model = write_model(tmp_path / "m.safetensors", {"id": "CarRacing-v3"})
    e = experiment_of(seen, "train", "--load-path", model, "--vision", "VQ_VAE")
    assert e.vision.name == "ConvVAE"
    assert "vision VQ_VAE is not used" in capsys.readouterr().err


def test_a_loaded_model_says_which_single_settings_of_its_parts_are_not_taken(seen, tmp_path, capsys):
    model = write_model(tmp_path / "m.safetensors", {"id": "CarRacing-v3"})
    e = experiment_of(
        seen, "train", "--load-path", model, "--set", "vision.latent_dim=4", "--set", "vision.frozen=true"
    )
    assert e.vision.given == {"latent_dim": 16, "frozen": True}
    said = capsys.readouterr().err
    assert "vision.latent_dim is not used: the loaded model brings its own, 16" in said
    assert "frozen" not in said


def test_of_two_flags_for_one_setting_the_last_wins(seen):
    assert experiment_of(seen, "train", "--seed", "1", "--set", "run.seed=2").run.seed == 2
    assert experiment_of(seen, "train", "--set", "run.seed=2", "--seed", "1").run.seed == 1
    assert experiment_of(seen, "infer", "--greedy", "--sample").infer.greedy is False


def test_a_component_settings_fall_away_with_another_component(seen, tmp_path):
    config = tmp_path / "e.toml"
    config.write_text('[vision]\nname = "ConvVAE"\nlatent_dim = 64\nchannels = 8\n')
    same = experiment_of(seen, "train", "--config", str(config), "--set", "vision.latent_dim=16")
    assert same.vision.given == {"latent_dim": 16, "channels": 8}
    other = experiment_of(seen, "train", "--config", str(config), "--vision", "VQ_VAE")
    assert (other.vision.name, other.vision.given) == ("VQ_VAE", {})


def test_experiment_toml_starts_the_same_run_again(seen, tmp_path):
    first = experiment_of(
        seen,
        *["train", "--env", "Pendulum-v1", "--total-steps", "none", "--epochs", "3", "--batch-size", "auto"],
        *[
            "--vision",
            "ConvVAE",
            "--set",
            "vision.latent_dim=64",
            "--set",
            "vision.word='a b'",
            "--no-train-world-model",
        ],
        *["--set", "ppo.target_kl=0.01", "--recording" if False else "--save-path", 'a\\b"c.safetensors'],
    )
    path = tmp_path / "experiment.toml"
    path.write_text(first.to_toml(), encoding="utf-8")
    assert experiment_of(seen, "train", "--config", str(path)) == first


@pytest.mark.parametrize(
    ("text", "value"),
    [("vision.a=64", 64), ("vision.a=1e-3", 1e-3), ("vision.a=true", True), ("vision.a=relu", "relu"),
     ("vision.a='64'", "64"), ("vision.a=[1, 2]", [1, 2]), ("vision.a=x=y", "x=y"), ("run.device=cpu", "cpu"),
     ("start.load_path=2026", "2026"), ("train.total_steps=", None), ("train.total_steps=1e6", 1_000_000),
     ("env.batch_size=auto", "auto"), ("run.tensorboard=true", True), ("vision.a=1\nb = 2", "1\nb = 2")],
)  # fmt: skip
def test_set_reads_toml_and_falls_back_to_text(text, value):
    from ewm_studio.settings.paths import parse_assignment

    found = parse_assignment(text)[1]
    assert found == value
    assert type(found) is type(value)


def refused(capsys, *argv) -> str:
    """The one line with which `ewm-studio argv` is refused."""
    capsys.readouterr()
    assert cli.main(list(argv)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1, err
    assert "Traceback" not in err
    return err


NUMBERS = [
    (f"{section}.{name}", info)
    for section, model in SECTIONS.items()
    if section not in COMPONENTS
    for name, info in model.model_fields.items()
    if any(kind in str(info.annotation) for kind in ("int", "float")) and "Literal['" not in str(info.annotation)[:10]
]


def limits(info) -> tuple[float | None, float | None, bool]:
    """Least and greatest bad value just outside the range, and whether only whole numbers are good."""
    metadata = list(info.metadata)
    for part in getattr(info.annotation, "__args__", ()):
        for wrapped in getattr(part, "__metadata__", ()):
            metadata.extend(getattr(wrapped, "metadata", ()))
    low = next((m.ge - 1 if isinstance(m, Ge) else m.gt for m in metadata if isinstance(m, Ge | Gt)), None)
    high = next((m.le + 1 if isinstance(m, Le) else m.lt for m in metadata if isinstance(m, Le | Lt)), None)
    return low, high, "float" not in str(info.annotation)


def bad_values(info) -> st.SearchStrategy[str]:
    low, high, whole = limits(info)
    choices = [
        st.sampled_from(
            ["nan", "inf", "-inf", "abc", "1,5", "0x", "--", "[1]", "{}", "true", "1 2", "1979-05-27", "٣x"]
        ),
        st.text(st.characters(exclude_categories=("Nd", "Cs")), min_size=1).filter(lambda t: not t.isspace()),
    ]
    if low is not None:
        choices.append(st.integers(max_value=math.ceil(low) - (0 if float(low).is_integer() else 1)).map(str))
        choices.append(st.floats(max_value=low, allow_infinity=False).map(repr))
    if high is not None:
        choices.append(st.integers(min_value=math.ceil(high)).map(str))
    if whole:
        choices.append(st.floats(0, 1e6).filter(lambda f: not f.is_integer()).map(repr))
    return st.one_of(choices)


FREE_WORDS = {"", "none", "auto"}


@pytest.mark.parametrize(("path", "info"), NUMBERS, ids=[path for path, _ in NUMBERS])
def test_bad_numbers_are_refused_in_one_line(path, info, capsys):
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(bad_values(info).filter(lambda t: t.strip().lower() not in FREE_WORDS))
    def check(value):
        command, flag = next(((c, f) for c in EVERY for f in flags_of(c) if f.path == path), ("train", None))
        line = refused(capsys, command, "--set", f"{path}={value}")
        assert f"--set {path}: " in line
        if flag is not None:
            assert f"--{flag.flag}" in refused(capsys, command, f"--{flag.flag}={value}")

    check()


@pytest.mark.parametrize(
    ("argv", "wanted"),
    [
        (["trian"], ["trian", "did you mean train"]),
        (["--versoin"], ["--version"]),
        (["train", "--epoch", "3"], ["--epoch;", "did you mean --epochs", "ewm-studio train --help"]),
        (["train", "--epo", "3"], ["--epochs"]),
        (["train", "--gama=0.5"], ["--gamma"]),
        (["train", "stray"], ["'stray'"]),
        (["train", "--env"], ["--env", "expected one argument"]),
        (["train", "--pixels=yes"], ["--pixels"]),
        (["train", "--greedy"], ["--greedy has no meaning for train; it belongs to infer, record"]),
        (["infer", "--ppo-lr", "0.1"], ["--ppo-lr has no meaning for infer; it belongs to train"]),
        (["infer", "--resume", "x"], ["--resume has no meaning for infer; it belongs to train, pretrain"]),
        (["infer", "--vision", "x"], ["--vision has no meaning for infer; it belongs to train, pretrain"]),
        (["runs", "--seed", "1"], ["--seed has no meaning for runs"]),
        (["train", "--ppo-lr", "-1e-3"], ["--ppo-lr", "greater than 0", "-0.001"]),
        (["train", "--render-mode", "window"], ["--render-mode", "'human' or 'rgb_array'"]),
        (["train", "--device", "gpu"], ["--device"]),
        (["train", "--set", "ppo"], ["section.field=value"]),
        (["train", "--set", "pppo.lr=1"], ["pppo.lr", "ppo.lr"]),
        (["train", "--set", "ppo.lrr=1"], ["ppo.lrr", "did you mean ppo.lr"]),
        (["train", "--set", "versions.torch=1"], ["versions.torch"]),
        (["train", "--set", "vision.a.b=1"], ["vision.a.b"]),
        (["train", "--total-steps", "none"], ["needs an end"]),
        (["train", "--config", "no/such.toml"], ["no/such.toml", "no such file"]),
        (["train", "--load-path", "no/such.safetensors"], ["no/such.safetensors"]),
        (["train", "--load-path", "no-such-run"], ["no-such-run"]),
        (["train", "--resume", "no-such-run"], ["no-such-run"]),
        (["components", "--kind", "visoin"], ["--kind", "visoin"]),
        (["envs", "no-such-environment"], ["no-such-environment"]),
        (["export", "--load-path", "cartpole", "--onnx", "a.onnx", "--seed", "-5"], ["--seed: should be 0 or more"]),
        (["card", "x", "--out", "a", "--seed", "-5"], ["--seed: should be 0 or more (found -5)"]),
        (["card", "x", "--out", "a", "--episodes", "1"], ["--episodes: should be 2 or more (found 1)"]),
        (["card", "x", "--out", "a", "--choosing", "x"], ["--choosing: should be a whole number (found 'x')"]),
        (["train", "--sneaky\nline", "3"], ["--sneaky line"]),
    ],
)  # fmt: skip
def test_refusals_name_what_and_where(argv, wanted, capsys):
    line = refused(capsys, *argv)
    for words in wanted:
        assert words in line


def test_an_empty_workspace_is_the_default_one_as_in_the_environment(home, tmp_path, monkeypatch, capsys):
    Workspace(home).create_run("CartPole-v1", "train", "").finish("finished")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert cli.main(["runs", "--workspace", "", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    monkeypatch.setenv("EWM_WORKSPACE", "")
    assert cli.main(["runs", "--workspace", "", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("x = [", "not a TOML file"),
        ("[ppo]\nlrr = 1", "did you mean ppo.lr"),
        ("[ppo]\nlr = -1", "ppo.lr should be greater than 0"),
        ("ppo = 3", "ppo"),
        ("[pppo]\nlr = 1", "did you mean ppo"),
        ("env = 3\n[start]\nload_path = 'nowhere.safetensors'", "nowhere.safetensors"),
        ("start = 3", "start"),
        ("[vision]\nname = 3", "vision.name"),
    ],
)
def test_bad_settings_files_are_refused_by_name(content, wanted, tmp_path, capsys):
    path = tmp_path / "bad.toml"
    path.write_text(content)
    line = refused(capsys, "train", "--config", str(path))
    assert wanted in line
    assert "bad.toml" in line or "nowhere" in line


@pytest.mark.parametrize("command", ["infer", "record", "train"])
@pytest.mark.parametrize("content", [b"", b"not a model", b"\xff" * 100])
def test_foreign_models_are_refused_and_kept(command, content, tmp_path, capsys):
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(content)
    assert "foreign.safetensors" in refused(capsys, command, "--load-path", str(path))
    assert path.read_bytes() == content


@pytest.mark.parametrize("metadata", [{}, {"env": 3, "parts": 3}, {"env": {"id": 3}, "parts": {}}, {"env": {}}])
def test_models_that_describe_nothing_are_refused(metadata, tmp_path, capsys):
    save_model(tmp_path / "odd.safetensors", {}, metadata)
    assert "odd.safetensors" in refused(capsys, "infer", "--load-path", str(tmp_path / "odd.safetensors"))


def test_resume_and_load_path_exclude_each_other(capsys):
    assert "give one of them" in refused(capsys, "train", "--resume", "a", "--load-path", "b")


def test_a_run_to_go_on_with_may_be_begun_and_is_never_another(home, capsys):
    (home / "runs" / "2026-01-01-A-v1-10").mkdir(parents=True)
    (home / "runs" / "2026-01-01-A-v1-10" / "experiment.toml").write_text(Experiment().to_toml())
    assert "-10 is of train: go on with" in refused(capsys, "pretrain", "--resume", "2026-01-01-A")
    gone = "2026-01-01-A-v1-1"
    for words in (("train", "--resume", gone), ("infer", "--load-path", gone), ("card", gone, "--out", "x")):
        assert f"no run '{gone}'" in refused(capsys, *words)


def test_json_is_one_line_and_nothing_else_is_on_stdout(seen, capfd):
    assert cli.main(["train", "--json"]) == 0
    out, err = capfd.readouterr()
    assert len(out.splitlines()) == 1
    assert json.loads(out) == {"run": "run-1", "mean_reward": None, "losses": {"a": 0.5}, "list": [1]}
    assert "a library prints" in err
    assert "10/100 steps" in err
    assert "mean reward" not in out


def test_without_json_people_get_a_summary(seen, capsys):
    assert cli.main(["train"]) == 0
    out, err = capsys.readouterr()
    assert "mean reward  -" in out
    assert "losses: a    0.5" in out
    assert "a message" in err


def failing(error: BaseException):
    def job(experiment, workspace, control=None):
        yield Message("started")
        raise error

    return job


def test_failures_have_their_exit_codes(monkeypatch, capsys, home):
    monkeypatch.setattr(JobKind, "load", lambda kind: failing(UserError("a bad thing")))
    assert cli.main(["train"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "ewm-studio: a bad thing"
    monkeypatch.setattr(JobKind, "load", lambda kind: failing(JobError("loss x\nis NaN")))
    assert cli.main(["train", "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "ewm-studio: loss x is NaN"
    monkeypatch.setattr(JobKind, "load", lambda kind: failing(ZeroDivisionError("by zero")))
    assert cli.main(["train"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("ewm-studio: ZeroDivisionError: by zero; traceback in ")
    (log,) = (home / "logs").iterdir()
    assert str(log) in line
    assert "Traceback" in log.read_text()


@pytest.fixture
def heard():
    """No signal is ignored, as a test run under `nohup` would have it from its shell."""
    before = {number: signal.getsignal(number) for number in ENDINGS}
    for number, handler in before.items():
        if handler == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", ENDINGS)
def test_the_first_signal_asks_the_job_to_stop(number, monkeypatch, capsys):
    before = signal.getsignal(number)

    def job(experiment, workspace, control=None):
        yield Message("running")
        for _ in range(3):  # as `timeout` and a closing shell do: one request
            signal.raise_signal(number)
        assert control.stop_requested
        yield Finished("stop", {"saved": True})

    monkeypatch.setattr(JobKind, "load", lambda kind: job)
    assert cli.main(["train", "--json"]) == 130
    out, err = capsys.readouterr()
    assert json.loads(out) == {"saved": True}
    assert "saving first" in err
    assert signal.getsignal(number) is before


def test_the_second_signal_ends_a_job_at_once_and_closes_it(monkeypatch, capsys):
    closed = []

    def job(experiment, workspace, control=None):
        try:
            while True:  # deaf to the request
                yield Message("running")
                signal.raise_signal(signal.SIGINT)
        finally:
            closed.append(True)

    monkeypatch.setattr(JobKind, "load", lambda kind: job)
    assert cli.main(["train", "--json"]) == 130
    out, err = capsys.readouterr()
    assert (out, closed) == ("", [True])
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_terminal_that_closes_never_ends_what_is_being_saved(monkeypatch, capsys):
    monkeypatch.setattr("ewm_studio.processes.endings.AGAIN_SECONDS", 0.0)

    def job(experiment, workspace, control=None):
        yield Message("running")
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)
        yield Finished("stop", {"saved": True})

    monkeypatch.setattr(JobKind, "load", lambda kind: job)
    assert cli.main(["train", "--json"]) == 130
    assert json.loads(capsys.readouterr().out) == {"saved": True}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_nohup_is_obeyed(monkeypatch, capsys):
    def job(experiment, workspace, control=None):
        yield Message("running")
        signal.raise_signal(signal.SIGHUP)
        yield Finished("epochs", {"stopped": control.stop_requested})

    monkeypatch.setattr(JobKind, "load", lambda kind: job)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert cli.main(["train", "--json"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert json.loads(capsys.readouterr().out) == {"stopped": False}


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize("number", ENDINGS)
def test_a_signal_before_there_is_anything_to_save_ends_with_130(number, monkeypatch, capsys):
    def swallowed(*given, **named):
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise ImportError("the extension could not be imported") from None

    monkeypatch.setattr("ewm_studio.jobs.launch.build_experiment", swallowed)
    assert cli.main(["train"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_job_that_was_done_before_it_heard_is_done(monkeypatch, capsys):
    def job(experiment, workspace, control=None):
        yield Message("running")
        signal.raise_signal(signal.SIGINT)
        yield Finished("total_steps", {})

    monkeypatch.setattr(JobKind, "load", lambda kind: job)
    assert cli.main(["train", "--json"]) == 0


def test_a_broken_stderr_does_not_stop_a_job(seen, monkeypatch, capsys):
    class Broken:
        encoding = "utf-8"

        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

        def isatty(self):
            return False

    monkeypatch.setattr(sys, "stderr", Broken())
    assert cli.main(["train", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == "run-1"


def run(*argv: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """`ewm-studio argv` in a process of its own."""
    environ = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    command = [sys.executable, "-m", "ewm_studio", *argv]
    return subprocess.run(
        command, capture_output=True, text=True, env={**environ, **(env or {})}, timeout=120, check=False, **options
    )


@pytest.mark.parametrize("command", ["", *cli.commands()])
def test_help_needs_no_heavy_import(command):
    script = (
        "import sys; from ewm_studio.cli import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'gymnasium', 'PySide6', 'h5py', 'pygame', 'rich'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    argv = [*([command] if command else []), "--help"]
    found = subprocess.run(
        [sys.executable, "-c", script, *argv], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(f"usage: ewm-studio{' ' + command if command else ''}")
    for flag in flags_of(command):
        assert f"--{flag.flag}" in found.stdout


def test_version():
    found = run("--version")
    assert found.returncode == 0
    assert found.stdout.startswith("ewm-studio ")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")
@pytest.mark.parametrize("argv", [(), ("--ui",)])
@pytest.mark.parametrize("env", [{}, {"DISPLAY": ":987"}])
def test_without_a_screen_the_window_says_which_commands_need_none(argv, env):
    found = run(*argv, env=env)
    assert found.returncode == 2
    assert len(found.stderr.splitlines()) == 1
    assert "ewm-studio train" in found.stderr


def test_components_as_json_carry_their_schemas(capsys):
    assert cli.main(["components", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"ConvVAE", "MDNRNN", "LinearController"} <= {row["name"] for row in found}
    for row in found:
        assert set(row) == {"kind", "name", "tags", "summary", "settings"}
        assert row["settings"]["type"] == "object"
    (vae,) = [row for row in found if row["name"] == "ConvVAE"]
    assert "latent_dim" in vae["settings"]["properties"]


def test_components_of_one_kind(capsys):
    assert cli.main(["components", "--kind", "memory"]) == 0
    out = capsys.readouterr().out
    assert "MDNRNN" in out
    assert "ConvVAE" not in out


def test_envs_are_listed_and_described(capsys):
    assert cli.main(["envs", "--json"]) == 0
    assert {"id": "CartPole-v1"} in json.loads(capsys.readouterr().out)
    assert cli.main(["envs", "cartpolenovel", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["id"] == "ewm_studio/CartPoleNoVel-v1"
    assert row["observation"]
    assert row["action"]


def test_runs_are_listed(capsys, home):
    assert cli.main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    made = Workspace(home).create_run("CartPole-v1", "train", Experiment().to_toml())
    made.finish("finished", mean_reward=math.nan)
    assert cli.main(["runs", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["name"] == made.name
    assert row["assessment"] is None
    (made.folder / "assessment.json").write_text('{"action_ratio": 2.0}')
    assert cli.main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["assessment"] == {"action_ratio": 2.0}
    (made.folder / "assessment.json").write_text("half of")
    assert cli.main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["assessment"] is None
    assert cli.main(["runs"]) == 0
    assert made.name in capsys.readouterr().out


def put_out(stdout: int | None, *argv: str, **options: Any) -> tuple[int, str]:
    """Exit code and stderr of a command with this stdout."""
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "ewm_studio", *argv]
    done = subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environ, timeout=120, check=False, **options
    )
    return done.returncode, done.stderr


PRINTING = (["envs"], ["envs", "--json"], ["runs"], ["--version"], ["train", "--help"], ["--cli"])


@pytest.mark.parametrize("argv", PRINTING)
def test_a_reader_that_goes_away_is_told_on_stderr(argv):
    ours, theirs = os.pipe()
    os.close(ours)
    code, err = put_out(theirs, *argv, stdin=subprocess.DEVNULL)
    os.close(theirs)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "standard output took no more" in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")
@pytest.mark.parametrize("argv", [*PRINTING, ["components", "--json"], ["models"]])
def test_a_full_stdout_is_an_error(argv):
    with open("/dev/full", "w") as full:
        code, err = put_out(full.fileno(), *argv, stdin=subprocess.DEVNULL)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert "No space left" in err


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_result_that_cannot_be_printed_is_an_error_unless_the_job_had_a_worse_one(seen, monkeypatch, capsys, as_json):
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["train", *as_json]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("ewm-studio: standard output is closed")

    def job(experiment, workspace, control=None):
        yield Message("running")
        signal.raise_signal(signal.SIGTERM)
        yield Finished("stop", {})

    monkeypatch.setattr(JobKind, "load", lambda kind: job)
    assert cli.main(["train", *as_json]) == 130


def test_empty_and_none_empty_what_may_be_empty():
    assert read_value("train.patience", "none") is None
    assert read_value("start.load_path", "") is None
    assert read_value("start.load_path", "none") == "none"  # a run may be called so
    with pytest.raises(UserError):
        read_value("ppo.lr", "none")


def test_every_declared_flag_is_on_some_command():
    assert all(flag.commands for flag in declared_flags())


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
@pytest.mark.parametrize("words", [["runs", "--workspace"], ["train", "--total-steps", "100", "--save-path"]])
def test_what_no_system_takes_for_a_path_is_bad_input(words, name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))
    assert cli.main([*words, name]) == 2
    line = capsys.readouterr().err.strip()
    assert "cannot be a path here" in line
    assert len(line) < 1100
