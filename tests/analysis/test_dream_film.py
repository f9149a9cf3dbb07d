"""A dream's film says by its border where the dream stopped being true."""

import math

import numpy as np

from ewm_studio.analysis.dream_film import dream_panes, grades_of
from ewm_studio.dreams.beside import FOR_STEPS, RealStep
from ewm_studio.dreams.branches import DreamStep


def step(trust, drift=None):
    real = None if drift is None else RealStep(0.0, False, drift)
    return DreamStep(np.zeros(1), np.zeros(2), 0.0, 0.0, False, 1.0, trust=trust, real=real)


def test_it_is_graded_by_the_meter_until_it_parts_from_reality():
    path = [step(1.0, 0.1), step(3.0, 0.1), *(step(1.0, 0.9) for _ in range(FOR_STEPS)), step(1.0, 0.1)]
    assert grades_of(path) == ["good", "good", "doubt", *["bad"] * FOR_STEPS, "bad"]
    assert grades_of([step(math.nan), step(9.0)]) == ["good", "line", "bad"]
    assert grades_of([]) == []


def test_a_decisions_frames_have_its_grade():
    dream = [np.full((4, 4, 3), value, np.uint8) for value in range(3)]
    pane, _ = dream_panes(dream, [dream[:1], dream[:2], dream[:2]], 2, [step(1.0), step(9.0)])
    assert [pane.graded(frame) for frame in range(6)] == ["good", "good", "good", "bad", "bad", "bad"]
    assert [int(pane.at(frame).max()) for frame in range(5)] == [0, 1, 1, 2, 2]
