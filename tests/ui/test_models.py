"""The window's Qt-free parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ewm_studio import formatting as format
from ewm_studio.analysis.history import REWARD, RunHistory, trailing_mean
from ewm_studio.errors import UserError
from ewm_studio.events import EpisodeFinished, Metrics
from ewm_studio.settings import Experiment
from ewm_studio.settings.document import ExperimentDocument
from ewm_studio.settings.paths import parse_assignment


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (format.count(131072), "131,072"),
        (format.duration(8), "8 s"),
        (format.duration(167), "2 min 47 s"),
        (format.duration(7200), "2 h"),
        (format.duration(200_000), "2 d 7 h"),
        (format.duration(None), ""),
        (format.setting_float(3e-4), "3.0e-4"),
        (format.setting_float(0.99), "0.99"),
        (format.setting_float(10.0), "10"),
        (format.setting_float(1.5e-7), "1.5e-7"),
        (format.significant(18.7), "18.7"),
        (format.significant(-0.011), "-0.011"),
        (format.significant(0.000031), "3.1e-5"),
        (format.significant(742.0), "742"),
        (format.significant(None), "–"),
        (format.compact(4_350_000), "4.35 M"),
    ],
)
def test_numbers_are_readable(made, wanted):
    assert made == wanted


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_setting_is_written_so_that_it_reads_back(value):
    assert float(format.setting_float(value)) == value


def test_trailing_mean_is_the_mean_of_the_last_values():
    values = np.random.default_rng(0).normal(size=257)
    for window in (1, 2, 10, 100, 1000):
        wanted = [values[max(0, i + 1 - window) : i + 1].mean() for i in range(len(values))]
        assert np.allclose(trailing_mean(values, window), wanted)


def test_trailing_mean_passes_over_gaps():
    assert np.allclose(trailing_mean(np.array([1.0, np.nan, 3.0]), 2), [1.0, 1.0, 3.0])


def test_a_history_grows_and_its_positions_never_fall():
    history = RunHistory("x")
    for n in range(3000):
        history.add_metrics(Metrics(10 * n, n, n / 10, {"a/b": float(n)}))
        history.add_episode(EpisodeFinished(10 * n + 3 * (n % 2), 1.0, 5))
    assert history["a/b"].value.tolist() == [float(n) for n in range(3000)]
    for axis in ("step", "epoch", "seconds"):
        assert (np.diff(history[REWARD].x(axis)) >= 0).all()


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
    document.save(path)
    assert not document.edited
    assert list(tmp_path.iterdir()) == [path]
    other = ExperimentDocument()
    other.open(path)
    assert other.experiment == document.experiment
    document.set("ppo.lr", 0.125)
    third = ExperimentDocument()
    third.restore_draft(document.draft(), path)
    assert third.experiment == document.experiment
    assert third.edited
    third.restore_draft("{broken", path)
    assert third.experiment == document.experiment


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
    import shlex

    from ewm_studio.terminal.flags import Parser, add_common, add_flags

    words = shlex.split(document.command_line())
    assert words[:2] == ["ewm-studio", "train"]
    parser = Parser("ewm-studio train", "")
    add_flags(parser, "train")
    add_common(parser, "train")
    parser.parse_args(words[2:])
    pairs = [parse_assignment(words[i + 1]) for i, word in enumerate(words) if word == "--set"]
    rebuilt = Experiment(vision={"name": "ConvVAE"}).with_values(("ppo.lr", 0.02), ("train.epochs", 4), *pairs)
    assert rebuilt == document.experiment
