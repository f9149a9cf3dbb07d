"""Which way a scene moves, told from pictures alone."""

import numpy as np
import pytest
import torch

from ewm_studio.analysis.turning import shift, sign_test


def film(moves, width=32):
    """Pictures of one scene that moves by so many pixels, to the right, from each to the next."""
    scene = torch.from_numpy(np.random.default_rng(0).random((3, 16, width), dtype=np.float32))
    shown, by = [scene], 0
    for move in moves:
        by += move
        shown.append(torch.roll(scene, by, dims=2))
    return torch.stack(shown)


@pytest.mark.parametrize("moves", [[2, 1, 3], [-2, -1], [0, 0], [3, -1]])
def test_the_shift_is_how_far_the_scene_moved(moves):
    assert shift(film(moves)) == sum(moves)


def test_a_plain_scene_does_not_move():
    assert shift(torch.full((5, 3, 16, 32), 0.4)) == 0


def test_the_sign_test_is_that_of_coin_tosses():
    assert sign_test(5, 10) == 1.0
    assert sign_test(10, 10) == sign_test(0, 10) == pytest.approx(2 / 1024)
    assert sign_test(0, 0) == 1.0
