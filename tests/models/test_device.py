"""How many threads PyTorch computes with, and for how long."""

import subprocess
import sys
import threading

import pytest
import torch

from ewm_studio.machine import cores
from ewm_studio.models.device import threads

CODE = """
{first}
{second}
from gymnasium.spaces import Box
from ewm_studio.models.device import set_threads
pictures, numbers = Box(0, 255, (3, 8, 8)), Box(0, 1, (4,))
for setting, space in (("auto", pictures), (2, pictures), ("auto", numbers)):
    notes = set_threads(setting, space)
    print(torch.get_num_threads(), len(notes), any("imported before" in note for note in notes))
"""
TORCH, STUDIO = "import torch", "import ewm_studio"


@pytest.fixture(autouse=True)
def several():
    """Some number that is not one, here and in threads to come; put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def chosen(first, second, **environ):
    code = CODE.format(first=first, second=second)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.fixture
def environ(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    import os

    return dict(os.environ)


@pytest.mark.skipif(cores() == 1, reason="there is one core")
def test_pictures_take_one_thread_where_the_others_would_spin(environ):
    many = str(cores())
    assert chosen(STUDIO, TORCH, **environ) == [[many, "0", "False"], ["2", "0", "False"], ["1", "0", "False"]]
    assert chosen(TORCH, STUDIO, **environ) == [["1", "1", "True"], ["2", "0", "False"], ["1", "0", "False"]]
    sleeping = {**environ, "OMP_WAIT_POLICY": "PASSIVE"}
    assert chosen(TORCH, STUDIO, **sleeping)[0] == [many, "0", "False"]


def here_and_in_a_new_thread():
    found = [torch.get_num_threads()]
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found


def test_a_block_has_its_number_and_leaves_none():
    with threads(1):
        assert torch.get_num_threads() == 1
    assert here_and_in_a_new_thread() == [3, 3]
    with pytest.raises(ZeroDivisionError), threads(1):
        raise ZeroDivisionError
    assert here_and_in_a_new_thread() == [3, 3]


def test_a_look_through_a_vision_leaves_the_number_of_threads():
    import numpy as np

    from ewm_studio.analysis.vision_view import VisionStudy
    from ewm_studio.resources import resource

    frames = np.zeros((2, 64, 64, 3), np.uint8)
    view = VisionStudy().view(resource("pretrained") / "carracing" / "model.safetensors", frames)
    assert view.reconstruction.shape == frames.shape
    view.turnable.decode(view.latents[0])
    assert here_and_in_a_new_thread() == [3, 3]
