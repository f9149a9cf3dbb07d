"""What is imported ahead of time stops where it is told to, and goes on to a torch that works."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the loader of Linux")
HALFWAY = """
    import sys, threading
    from ewm_studio.processes.libraries import AheadOfTime

    reached, made = threading.Event(), []

    class Watched(AheadOfTime):
        def _on_created(self, name):
            made.append(name)
            if name == "torch._C":
                reached.set()
            super()._on_created(name)

    torch_thread = Watched()
    torch_thread.begin()
    assert reached.wait(100)
    import json, _json  # others go on
    assert "torch.nn" not in sys.modules
    assert torch_thread._thread.is_alive()
    torch_thread.go_on()
    import torch
    assert torch.ones(2).sum() == 2
    print(made.count("torch._C"), any(name.startswith("numpy") for name in made))
"""
MISSING = """
    import sys
    from ewm_studio.processes.libraries import AheadOfTime

    class Nowhere:
        def find_spec(self, name, path=None, target=None):
            if name == "torch":
                raise ImportError("broken")

    sys.meta_path.insert(0, Nowhere())
    torch_thread = AheadOfTime()
    torch_thread.begin()
    torch_thread._thread.join(100)
    print(torch_thread._thread.is_alive())
"""


def said(code: str) -> str:
    """What a program prints that ends well."""
    line = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def test_the_import_stops_after_its_long_step_and_goes_on_when_told():
    assert said(HALFWAY) == "1 True"


def test_a_torch_that_cannot_be_found_is_left_to_whoever_needs_it():
    assert said(MISSING) == "False"
