"""Speed and time left, by a clock that is turned by hand."""

import pytest

from ewm_studio.jobs import meter
from ewm_studio.jobs.meter import Meter


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(meter.time, "monotonic", lambda: now[0])
    return now


def test_what_is_left_goes_at_the_present_pace(clock):
    measured = Meter("train", 1000, "steps", done=100)
    clock[0] += 10
    progress = measured.at(200)
    assert (progress.per_second, progress.seconds_left) == (10, 80)


def test_what_will_go_faster_counts_for_less(clock):
    measured = Meter("train", 1000, "steps")
    clock[0] += 10
    assert measured.at(100, ahead=400 + 0.1 * 500).seconds_left == pytest.approx(45)
    assert measured.at(100, ahead=0).seconds_left == 0


def test_without_an_end_no_time_is_left(clock):
    measured = Meter("train", None, "steps")
    clock[0] += 10
    assert measured.at(100).seconds_left is None
