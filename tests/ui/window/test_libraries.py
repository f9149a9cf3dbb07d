import subprocess
import sys

import pytest

from ewm_studio.ui.window import libraries

AHEAD = """
import sys
from pathlib import Path
from ewm_studio.ui.window.libraries import load_ahead
load_ahead().join()
assert "torch" not in sys.modules
mapped = Path("/proc/self/maps").read_text()
import torch
assert torch.ones(2).sum() == 2
print("libtorch_cpu" in mapped, "libtorch_python" in mapped)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what is loaded")
def test_what_runs_no_python_is_there_before_the_import():
    done = subprocess.run([sys.executable, "-c", AHEAD], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_where_it_is_imported_or_cannot_be_loaded_nothing_is_done(monkeypatch):
    import torch  # noqa: F401

    assert libraries.load_ahead() is None
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(libraries.sys, "platform", "win32")
    assert libraries.load_ahead() is None
    monkeypatch.setattr(libraries.sys, "platform", "linux")
    monkeypatch.setattr(libraries.importlib.util, "find_spec", lambda name: None)
    thread = libraries.load_ahead()
    thread.join(20)
    assert not thread.is_alive()
