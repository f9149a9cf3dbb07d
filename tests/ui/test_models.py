"""The window's Qt-free parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ewm_studio import formatting as format
from ewm_studio.analysis.history import REWARD, RunHistory, trailing_mean
from ewm_studio.events import EpisodeFinished, Metrics


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (format.size(640), "640 B"),
        (format.size(41_234), "41.2 kB"),
        (format.size(18_900_000), "18.9 MB"),
        (format.count(131072), "131,072"),
        (format.duration(8), "8 s"),
        (format.duration(167), "2 min 47 s"),
        (format.duration(7200), "2 h"),
        (format.duration(200_000), "2 d 7 h"),
        (format.duration(None), ""),
        (format.about(3), "3 s"),
        (format.about(33), "35 s"),
        (format.about(167), "2 min 50 s"),
        (format.about(22 * 60 + 50), "23 min"),
        (format.about(3 * 3600 + 4 * 60), "3 h 5 min"),
        (format.about(47_000), "13 h"),
        (format.about(200_000), "2 d 8 h"),
        (format.about(None), ""),
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
