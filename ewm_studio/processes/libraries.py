"""Loading the large libraries of torch without keeping other threads waiting."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
from pathlib import Path

_LIBRARIES = ("libc10.so", "libtorch_cpu.so", "libtorch_python.so")  # each needs those before it


def load_torch_libraries() -> None:
    """Have the system load what `import torch` will ask for; that import then finds it there.

    An import holds the interpreter's lock while the system loads a library, a quarter of a second for torch's on a
    quiet machine and seconds from a cold disk. A call through ctypes lets go of the lock. Where anything is not as
    expected, nothing is done: the import loads its libraries itself.
    """
    if not sys.platform.startswith("linux") or "torch" in sys.modules:
        return
    found = importlib.util.find_spec("torch")
    if found is None or not found.submodule_search_locations:
        return
    folder = Path(found.submodule_search_locations[0]) / "lib"
    with contextlib.suppress(OSError, AttributeError):
        dlopen = ctypes.CDLL(None).dlopen
        dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
        for name in _LIBRARIES:
            if not (path := folder / name).is_file() or not dlopen(bytes(path), os.RTLD_LAZY | os.RTLD_LOCAL):
                return
