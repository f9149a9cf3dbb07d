"""In which settings runs differ, in the words of the form."""

import pytest

from ewm_studio.analysis.settings_diff import differences, label_of
from ewm_studio.settings import Experiment


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("train.total_steps", "Total steps"),
        ("ppo.lr", "Learning rate (ppo)"),
        ("memory.lr", "Learning rate (memory)"),  # a part's own, as every part may have one
        ("vision.kl_weight", "KL weight (vision)"),
        ("memory.name", "Memory"),
    ],
)
def test_a_setting_is_called_as_in_the_form(path, label):
    assert label_of(path) == label


def test_only_what_differs_is_listed():
    one = Experiment.from_dict({"memory": {"name": "LSTMMemory", "lr": 0.01}, "train": {"total_steps": 2000}})
    other = Experiment.from_dict({"memory": {"name": "LSTMMemory"}, "train": {"total_steps": 2000}})
    assert [(found.label, found.values) for found in differences([one, other])] == [
        ("Learning rate (memory)", ("0.01", "–"))
    ]
