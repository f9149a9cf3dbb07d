"""What the window says about the machine, on every system."""

import os

import pytest

from ewm_studio.ui.kit.machine import device_words


def test_memory_is_told_where_it_can_be_found_out():
    assert "CPU" in device_words("cpu", 0)
    if os.path.exists("/proc/self/statm"):
        assert device_words("cpu", 0).endswith("GB")
        assert device_words("cpu", 2**30).endswith("GB")  # a job that has ended


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_elsewhere_it_is_left_out(monkeypatch, system):
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert "GB" not in device_words("cpu", os.getpid())
