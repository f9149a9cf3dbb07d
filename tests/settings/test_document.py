"""The document that the window and the terminal menu edit."""

import shlex

import pytest

from ewm_studio.errors import UserError
from ewm_studio.settings import Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.settings.paths import parse_assignment
from ewm_studio.terminal.flags import Parser, add_common, add_flags
from ewm_studio.workspace.files import write_text


def test_a_bad_value_changes_nothing_and_tells_nobody():
    document, heard = ExperimentDocument(), []
    document.subscribe(heard.append)
    before = document.experiment
    with pytest.raises(UserError, match=r"ppo\.lr"):
        document.set("ppo.lr", -1)
    assert document.experiment is before
    assert heard == []
    document.set("ppo.lr", 0.5)
    document.set("ppo.lr", 0.5)
    assert heard == ["ppo.lr"]


def test_another_component_drops_the_old_ones_settings():
    document = ExperimentDocument()
    document.set("vision.name", "ConvVAE")
    document.set("vision.latent_dim", 8)
    assert document.experiment.vision.given == {"latent_dim": 8}
    document.set("vision.name", "VQ_VAE")
    assert document.experiment.vision.given == {}


def test_save_open_and_drafts(tmp_path):
    document = ExperimentDocument()
    document.set("ppo.lr", 0.25)
    document.set("train.patience", 3)
    assert document.edited
    path = tmp_path / "experiment.toml"
    document.save(path, write_text)
    assert not document.edited
    assert list(tmp_path.iterdir()) == [path]
    other = ExperimentDocument()
    other.open(path)
    assert other.experiment == document.experiment
    document.set("ppo.lr", 0.125)
    third = ExperimentDocument()
    assert third.restore_draft(document.draft())
    assert third.experiment == document.experiment
    assert third.edited
    assert third.path == path
    assert not third.restore_draft("{broken")
    assert third.experiment == document.experiment


def test_a_draft_belongs_to_its_own_file(tmp_path):
    document, again = ExperimentDocument(), ExperimentDocument()
    path = tmp_path / "trial.toml"
    document.set("ppo.lr", 0.25)
    document.save(path, write_text)
    assert again.restore_draft(document.draft())
    assert (again.path, again.edited, again.can_undo) == (path, False, False)
    path.unlink()  # what it held is in no file any more
    assert again.restore_draft(document.draft())
    assert (again.path, again.edited) == (None, True)
    assert again.experiment == document.experiment
    document.replace(Experiment())
    assert again.restore_draft(document.draft())
    assert (again.path, again.edited) == (None, False)


def test_the_command_line_says_the_same():
    document = ExperimentDocument()
    for path, value in (
        ("ppo.lr", 0.02),
        ("train.epochs", 4),
        ("train.total_steps", None),
        ("world_model.train", False),
        ("vision.name", "ConvVAE"),
        ("vision.latent_dim", 7),
        ("env.pixels", True),
        ("run.tensorboard", True),
    ):
        document.set(path, value)
    words = shlex.split(document.command_line())
    assert words[:2] == ["ewm-studio", "train"]
    parser = Parser("ewm-studio train", "")
    add_flags(parser, "train")
    add_common(parser, "train")
    parser.parse_args(words[2:])
    pairs = [parse_assignment(words[i + 1]) for i, word in enumerate(words) if word == "--set"]
    rebuilt = Experiment(vision={"name": "ConvVAE"}).with_values(("ppo.lr", 0.02), ("train.epochs", 4), *pairs)
    assert rebuilt == document.experiment


def test_the_command_line_of_another_job_names_components_as_settings():
    document = ExperimentDocument()
    document.set("memory.name", "MDNRNN")
    document.set("data.frames", 77)
    document.set("memory.mixtures", 3)
    assert document.command_line("pretrain") == (
        "ewm-studio pretrain --memory MDNRNN --set memory.mixtures=3 --frames 77"
    )
    assert document.command_line("infer") == (
        "ewm-studio infer --set memory.name=MDNRNN --set memory.mixtures=3 --set data.frames=77"
    )


def test_a_model_brings_its_environment_and_parts_and_nothing_else():
    document, heard = ExperimentDocument(), []
    for path, value in (
        ("env.batch_size", 3),
        ("env.workers", 2),
        ("env.render_mode", "human"),
        ("env.idle_limit", 50),
        ("env.grayscale", True),
        ("ppo.lr", 0.5),
        ("vision.name", "ConvVAE"),
        ("vision.latent_dim", 7),
        ("start.patch", "v"),
    ):
        document.set(path, value)
    document.subscribe(heard.append)
    parts = {"memory": {"name": "MDNRNN", "mixtures": 2}, "vision": {"name": "Identity"}, "controller": {"name": "X"}}
    document.start_from("some-run", {"env": {"id": "CarRacing-v3", "grayscale": False}, **parts})
    found = document.experiment
    assert (found.env.id, found.env.grayscale) == ("CarRacing-v3", False)
    assert (found.env.batch_size, found.env.workers, found.env.render_mode, found.env.idle_limit) == (3, 2, "human", 50)
    assert (found.vision.name, found.vision.given) == ("Identity", {})
    assert (found.memory.name, found.memory.given) == ("MDNRNN", {"mixtures": 2})
    assert (found.ppo.lr, found.start.load_path, found.start.patch) == (0.5, "some-run", "v")
    assert heard == [""]
    before = document.experiment
    with pytest.raises(UserError, match=r"no setting 'env\.unheard_of'"):
        document.start_from("other", {"env": {"unheard_of": 1}, **parts})
    assert document.experiment is before
