"""How long a study has to go, by words on how far its runs are."""

import pytest

from ewm_studio.jobs.studies.time_left import TimeLeft


@pytest.fixture
def time_left():
    return TimeLeft()


def test_nothing_is_said_before_a_run_has_come_far_enough(time_left):
    time_left.moved("a-0", "a", 0.0, 100.0)
    time_left.moved("a-0", "a", 0.04, 101.0)  # its first pieces go faster than what comes
    assert time_left.left([("a-0", "a", 0.04)], 1) is None
    time_left.moved("a-0", "a", 0.24, 111.0)
    assert time_left.left([("a-0", "a", 0.24)], 1) == pytest.approx(0.76 * 50.0)


def test_a_long_warm_up_says_nothing_of_the_pace_after_it_but_is_part_of_runs_to_come(time_left):
    time_left.moved("a-0", "a", 0.0, 0.0)
    time_left.moved("a-0", "a", 0.0, 50.0)
    time_left.moved("a-0", "a", 0.02, 102.0)
    time_left.moved("a-0", "a", 0.06, 106.0)
    assert time_left.left([("a-0", "a", 0.06)], 1) is None
    time_left.moved("a-0", "a", 0.12, 112.0)
    assert time_left.left([("a-0", "a", 0.12)], 1) == pytest.approx(88.0)
    assert time_left.left([("a-0", "a", 0.12), ("a-1", "a", 0.0)], 1) == pytest.approx(88.0 + 200.0)


def test_where_nothing_is_to_do_nothing_is_left(time_left):
    assert time_left.left([], 2) == 0.0


def test_what_a_run_had_behind_it_is_not_counted_as_done_just_now(time_left):
    time_left.moved("a-0", "a", 0.5, 0.0)
    time_left.moved("a-0", "a", 0.6, 10.0)
    assert time_left.gained == pytest.approx(0.1)
    assert time_left.left([("a-0", "a", 0.6), ("a-1", "a", 0.0)], 1) == pytest.approx(40.0 + 100.0)


def test_runs_of_a_cell_are_taken_for_alike_and_a_cell_unknown_for_the_mean_of_cells(time_left):
    time_left.known("quick", 10.0)
    time_left.known("quick", 30.0)
    time_left.known("slow", 100.0)
    ahead = [("quick-2", "quick", 0.0), ("slow-1", "slow", 0.0), ("new-0", "new", 0.0)]
    assert time_left.left(ahead, 1) == pytest.approx(20.0 + 100.0 + 60.0)


def test_side_by_side_it_takes_no_less_than_the_longest_run(time_left):
    time_left.known("quick", 10.0)
    time_left.known("slow", 100.0)
    assert time_left.left([("q", "quick", 0.0), ("s", "slow", 0.0)], 2) == pytest.approx(100.0)
    assert time_left.left([(str(n), "slow", 0.0) for n in range(4)], 2) == pytest.approx(200.0)


def test_a_run_that_is_tried_once_more_begins_again(time_left):
    time_left.known("a", 50.0)
    time_left.moved("a-0", "a", 0.4, 0.0)
    time_left.moved("a-0", "a", 0.0, 20.0)
    assert time_left.left([("a-0", "a", 0.0)], 1) == pytest.approx(50.0)
