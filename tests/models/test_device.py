"""How many threads PyTorch computes with, and for how long."""

import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from ewm_studio.machine import cores
from ewm_studio.models import registry
from ewm_studio.models.device import set_threads, threads
from ewm_studio.models.pictures import reconstructions
from ewm_studio.models.vision.conv_vae import ConvVAE
from ewm_studio.settings.experiment import COMPONENTS

PICTURES, NUMBERS = Box(0, 255, (3, 8, 8)), Box(0, 1, (4,))
CODE = """
import torch
import ewm_studio
from gymnasium.spaces import Box
from ewm_studio.models.device import set_threads
_, (note,) = set_threads("auto", Box(0, 255, (3, 8, 8)))
print(torch.get_num_threads(), note)
"""
SPINNING = "import sys; sys.modules['torch'] = sys; from ewm_studio.machine import THREADS_SPIN as s; print(s)"


@pytest.fixture(autouse=True)
def several():
    """Some number that is not one, here and in threads to come; put back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def said(code, **more):
    environ = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ | more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(cores() == 1, reason="there is one core")
def test_pictures_take_one_thread_where_the_others_would_spin():
    assert re.match("1 PyTorch was imported before ewm_studio.*1 thread is used", said(CODE))


def test_only_threads_that_were_there_first_and_were_not_told_to_sleep_spin():
    assert said(SPINNING) == "True"
    assert said(SPINNING, OMP_WAIT_POLICY="PASSIVE") == "False"
    assert said(SPINNING.replace("sys.modules['torch'] = sys; ", "")) == "False"


AUTO = [("auto", PICTURES, cores()), ("auto", NUMBERS, 1)]


@pytest.mark.parametrize(("setting", "space", "count"), [*AUTO, (2, PICTURES, 2), (2, NUMBERS, 2)])
def test_the_number_of_threads_is_chosen_without_a_word(setting, space, count):
    assert set_threads(setting, space) == (count, [])
    assert torch.get_num_threads() == count


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
    from ewm_studio.analysis.vision_view import VisionViewer
    from ewm_studio.resources import resource

    frames = np.zeros((2, 64, 64, 3), np.uint8)
    view = VisionViewer().view(resource("pretrained") / "carracing" / "model.safetensors", frames)
    assert view.reconstruction.shape == frames.shape
    view.editable.decode(view.latents[0])
    assert here_and_in_a_new_thread() == [3, 3]


MADE = {
    "vision": lambda cls, seen, done: cls(cls.Settings(), seen),
    "memory": lambda cls, seen, done: cls(cls.Settings(), 4, 2),
    "controller": lambda cls, seen, done: cls(cls.Settings(), 4, 3, done),
}
SPACES = [(NUMBERS, Discrete(2)), (Box(0, 255, (3, 64, 64), np.uint8), Box(-1, 1, (2,)))]


@pytest.mark.parametrize(
    ("kind", "name", "seen", "done"),
    [
        pytest.param(kind, name, seen, done, id=f"{name} {len(seen.shape)}d")
        for kind in COMPONENTS
        for seen, done in SPACES
        for name in registry.fitting(kind, seen, done)
    ],
)
def test_every_part_knows_where_it_lives_with_weights_or_without(kind, name, seen, done):
    part = MADE[kind](registry.component(kind, name), seen, done)
    assert part.device.type == "cpu"
    part.to("meta")
    assert part.device.type == "meta"
    if kind == "memory":
        tensors = [part.initial_hidden(1), *part.initial_state(1).values()]
        assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_pictures_are_looked_at_where_vision_lives():
    """Rings of frames lie on the CPU, and vision may be on a GPU."""

    class Elsewhere(ConvVAE):
        def encode(self, obs):
            assert obs.device.type == "meta"
            return torch.zeros(len(obs), self.latent_dim)

        def decode(self, z):
            return torch.zeros(len(z), 3, 64, 64)

    vision = Elsewhere(ConvVAE.Settings(), Box(0, 255, (3, 64, 64), np.uint8)).to("meta")
    pictures = reconstructions(vision, torch.zeros(2, 3, 64, 64, dtype=torch.uint8))
    assert pictures["reconstruction"].shape == (2, 64, 64, 3)
