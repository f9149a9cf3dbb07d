"""What people see while a job runs."""

import io

import pytest
from rich.console import Console

from ewm_studio.events import EpisodeFinished, Message, Progress, RunStarted
from ewm_studio.formatting import plain
from ewm_studio.terminal.output import summary
from ewm_studio.terminal.progress import PlainView, RichView, clock, describe


def progress(done: int, total: int | None = 100, stage: str = "train") -> Progress:
    return Progress(stage, done, total, "steps", 12.4, 75.0)


def test_bars_show_stage_share_speed_time_left_and_mean_reward():
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    with RichView(console) as view:
        view.show(RunStarted("train", "run-1", "", "A + B [not markup] on X"))
        view.show(EpisodeFinished(1, 2.0, 1))
        view.show(EpisodeFinished(2, 4.0, 1))
        view.show(progress(50))
        view.show(progress(1, None, "collect"))
    text = out.getvalue()
    for words in ("train", "50/100 steps", "12 steps/s", "1:15 left", "mean reward 3", "collect", "[not markup]"):
        assert words in text


def test_plain_lines_are_few_but_the_last_is_never_left_out():
    out = io.StringIO()
    with PlainView(out) as view:
        for done in range(1, 101):
            view.show(progress(done))
        view.show(Message("careful", "warning"))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("train: 1/100 steps")
    assert lines[-2].startswith("train: 100/100 steps")
    assert lines[-1] == "warning: careful"
    assert len(lines) < 10


@pytest.mark.parametrize(
    ("stages", "words"),
    [(("collect", "vision", "train"), "2/3 vision: 1/100"), (("vision",), "vision: 1/100"), ((), "vision: 1/100")],
)
def test_a_stage_among_several_says_its_place(stages, words):
    out = io.StringIO()
    with PlainView(out) as view:
        view.show(RunStarted("train", "run-1", "", "A on X", stages))
        view.show(progress(1, stage="vision"))
    assert out.getvalue().splitlines()[1].startswith(words)


def test_mean_reward_is_that_of_the_last_hundred_episodes():
    view = PlainView(io.StringIO())
    assert view.mean_reward is None
    for reward in [1000.0] * 50 + [1.0] * 100:
        view.show(EpisodeFinished(1, reward, 1))
    assert view.mean_reward == 1.0


def test_a_closed_stream_ends_the_view_only():
    out = io.StringIO()
    view = PlainView(out)
    out.close()
    view.show(progress(1))
    view.show(Message("nobody reads this"))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (-3, "0:00"), (61, "1:01"), (3723, "1:02:03"), (float("nan"), "?"), (1e12, "?")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_slow_speeds_keep_their_digits():
    assert "3.6 runs/h" in describe(Progress("study", 1, 36, "runs", 0.001, 9.0), None)
    assert "0.00 runs/s" in describe(Progress("study", 0, 36, "runs", 0.0, None), None)
    assert "0.25 epochs/s" in describe(Progress("vision", 1, None, "epochs", 0.25, None), None)


def test_plain_values_are_json():
    import numpy as np

    found = plain(
        {"a": float("nan"), "b": np.float32(0.5), "c": np.array([1, 2]), 3: (True, None), "d": np.float64("inf")}
    )
    assert found == {"a": None, "b": 0.5, "c": [1, 2], "3": [True, None], "d": None}
    assert type(found["b"]) is float


def test_summary_counts_lists_and_indents_nothing():
    assert summary({"episodes": [1, 2], "mean": 1.23456, "run": "r"}) == "episodes  2\nmean      1.235\nrun       r"
