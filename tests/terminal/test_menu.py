"""The terminal menu, driven as a person would: one line after another."""

import io
import os
import signal
import subprocess
import sys

import pytest

from ewm_studio import cli
from ewm_studio.events import EpisodeFinished, Finished, Progress
from ewm_studio.jobs.kinds import JobKind
from ewm_studio.settings import Experiment
from ewm_studio.workspace.models import save_model


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A workspace and a current folder of the test's own."""
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def type_in(monkeypatch, capsys):
    """Type lines into the menu; gives what it wrote."""

    def run(*lines: str, argv: tuple[str, ...] = (), code: int = 0) -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        assert cli.main(["--cli", *argv]) == code
        return capsys.readouterr().out

    return run


def saved(home) -> Experiment:
    """What `save` wrote."""
    return Experiment.from_toml(home / "experiment.toml")


def test_it_ends_with_the_input(type_in):
    assert "EWM Studio" in type_in()
    assert "EWM Studio" in type_in("settings", "ppo")


def test_closed_input_has_ended(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["--cli"]) == 0


def test_every_section_and_value_is_shown(type_in):
    out = type_in("settings", "ppo", "", "env", "", "", "quit")
    for words in ("rollout_steps", "entropy_coef", "0.95", "> 0, <= 1", "image_size", "CartPole-v1"):
        assert words in out


def test_a_setting_is_edited_and_a_bad_value_refused_in_place(type_in, home):
    out = type_in(
        "1", "ppo", "lr", "-1", "much", "0.01", "gamma=2", "gamma=0.5", "no_such=1", "", "", "save", "", "q", "quit"
    )
    assert "should be greater than 0 (found -1)" in out
    assert "unable to parse" in out
    assert "less than or equal to 1 (found 2)" in out
    assert "no 'no_such' here" in out
    experiment = saved(home)
    assert (experiment.ppo.lr, experiment.ppo.gamma) == (0.01, 0.5)


def test_an_assignment_works_at_once(type_in, home):
    type_in("ppo.lr=0.02", "env.id=Pendulum-v1", "train.patience=4", "save", "", "quit")
    assert (saved(home).ppo.lr, saved(home).env.id, saved(home).train.patience) == (0.02, "Pendulum-v1", 4)


def test_the_experiment_as_a_whole_is_checked(type_in, home):
    assert "needs an end" in type_in("train.total_steps=none", "save", "", "quit")
    assert saved(home).train.total_steps == 100_000


def test_components_are_chosen_with_their_own_settings(type_in, home):
    out = type_in(
        *["components", "conv", "convvae", "latent_dim", "0", "16", "channels=0", ""],  # vision, with slips
        *["MDNRNN", ""],  # memory
        *["", "save", "", "quit"],  # controller stays
    )
    assert "no 'conv' here; did you mean ConvVAE" in out
    assert "vision.latent_dim: should be greater than or equal to 1 (found 0)" in out
    experiment = saved(home)
    assert (experiment.vision.name, experiment.vision.given) == ("ConvVAE", {"latent_dim": 16})
    assert (experiment.memory.name, experiment.controller.name) == ("MDNRNN", "auto")


def test_a_component_takes_no_setting_that_is_not_its_own(type_in, home):
    out = type_in(
        *["vision.latent_dim=8", "vision.name=convvae", "vision.latent_dim=8", "vision.latent_size=8"],
        *["vision.latent_dim=0", "vision.name=ConvVEA", "save", "", "quit"],
    )
    assert "vision is auto and has no settings of its own" in out
    assert "vision ConvVAE has no setting 'latent_size'" in out
    assert "latent_dim should be greater than or equal to 1" in out
    assert "no vision component 'ConvVEA'; did you mean ConvVAE" in out
    assert (saved(home).vision.name, saved(home).vision.given) == ("ConvVAE", {"latent_dim": 8})


def test_settings_go_by_the_names_of_earlier_versions_too(type_in, home):
    assert "data.frames = 50" in type_in("pretrain.frames=50", "save", "", "quit")
    assert saved(home).data.frames == 50


def test_settings_files_are_loaded_and_never_replaced_unasked(type_in, home):
    (home / "mine.toml").write_text("[run]\nseed = 42\n")
    before = (home / "mine.toml").read_text()
    type_in("load", "mine.toml", "save", "other.toml", "save", "mine.toml", "n", "quit")
    assert Experiment.from_toml(home / "other.toml").run.seed == 42
    assert (home / "mine.toml").read_text() == before
    out = type_in("load", "gone.toml", "run.seed=7", "save", "mine.toml", "y", "quit")
    assert "gone.toml: no such file" in out
    assert Experiment.from_toml(home / "mine.toml").run.seed == 7


def test_it_starts_from_a_settings_file(type_in, home):
    (home / "mine.toml").write_text("[run]\nseed = 42\n")
    type_in("save", "out.toml", "quit", argv=("--config", "mine.toml"))
    assert Experiment.from_toml(home / "out.toml").run.seed == 42


def test_a_model_brings_its_environment_and_components(type_in, home):
    parts = {"vision": "ConvVAE", "memory": "MDNRNN", "controller": "LinearController"}
    described = {kind: {"name": name, "settings": {}} for kind, name in parts.items()}
    save_model(home / "m.safetensors", {}, {"parts": described, "env": {"id": "CarRacing-v3", "action_repeat": 4}})
    out = type_in("model", "gone.safetensors", "model", "m.safetensors", "save", "", "quit")
    assert "gone.safetensors" in out
    experiment = saved(home)
    assert (experiment.env.id, experiment.env.action_repeat) == ("CarRacing-v3", 4)
    assert {kind: getattr(experiment, kind).name for kind in parts} == parts
    assert experiment.start.load_path == "m.safetensors"


def test_jobs_run_with_the_edited_settings_and_return_to_the_menu(type_in, monkeypatch):
    seen = []

    def train(experiment, workspace, control=None):
        seen.append(experiment)
        yield Progress("train", 1, 2, "steps", 1.0, None)
        yield Finished("epochs", {"mean_reward": 3.25})

    def broken(experiment, workspace, control=None):
        raise RuntimeError("boom")
        yield

    monkeypatch.setattr(JobKind, "load", lambda kind: {"train": train, "pretrain": broken}[kind.name])
    out = type_in("run.seed=3", "train", "pretrain", "ppo.lr=0.5", "train", "quit")
    assert "mean reward  3.25" in out
    assert [(e.run.seed, e.ppo.lr) for e in seen] == [(3, 0.001), (3, 0.5)]


def test_ctrl_c_ends_the_job_and_not_the_menu(type_in, monkeypatch):
    def train(experiment, workspace, control=None):
        signal.raise_signal(signal.SIGINT)
        for done in range(1000):
            yield EpisodeFinished(done, 0.0, 1)
            if control.stop_requested:
                break
        yield Finished("stop", {"stopped_after": done})

    monkeypatch.setattr(JobKind, "load", lambda kind: train)
    out = type_in("train", "run.seed=8", "quit")
    assert "stopped after  0" in out
    assert "run.seed = 8" in out


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_what_ends_a_program_ends_the_menu_after_its_job(type_in, monkeypatch):
    def train(experiment, workspace, control=None):
        yield EpisodeFinished(1, 0.0, 1)
        signal.raise_signal(signal.SIGTERM)
        assert control.stop_requested
        yield Finished("stop", {"saved": 1})

    monkeypatch.setattr(JobKind, "load", lambda kind: train)
    out = type_in("train", "run.seed=8", "quit", code=130)
    assert "saved  1" in out
    assert "run.seed = 8" not in out


def test_through_a_real_pipe(home):
    command = [sys.executable, "-m", "ewm_studio", "--cli", "--workspace", str(home / "other")]
    lines = "ppo.lr=0.02\nnonsense\nruns\nsave\n\n"
    found = subprocess.run(
        command, input=lines, capture_output=True, text=True, timeout=60, env=os.environ, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    assert "no 'nonsense' here" in found.stdout
    assert saved(home).ppo.lr == 0.02
