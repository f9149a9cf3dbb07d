"""PyTorch's libraries, read while the window is made: their import would hold the interpreter's lock for that long."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
import threading
from pathlib import Path

# As the import itself loads them, in its order: what they stand on for everybody, then what runs no Python at all. That
# which does is left to the import, since nothing here holds the lock.
_LIBRARIES = {"libtorch_global_deps": "RTLD_GLOBAL", "libtorch": "RTLD_LOCAL"}
_SUFFIXES = {"linux": ".so", "darwin": ".dylib"}


def load_ahead() -> threading.Thread | None:
    """Load them in a thread, where the system lets a library be loaded without the lock; None where it does not."""
    suffix = _SUFFIXES.get(sys.platform)
    if suffix is None or "torch" in sys.modules:
        return None
    thread = threading.Thread(target=_load, args=(suffix,), name="libraries", daemon=True)
    thread.start()
    return thread


def _load(suffix: str) -> None:
    with contextlib.suppress(Exception):  # whatever is wrong with them, the import says it better
        found = importlib.util.find_spec("torch")
        if found is None or found.origin is None:
            return
        load = ctypes.CDLL(None).dlopen  # `ctypes.CDLL` would keep the lock while it loads, a call does not
        load.restype, load.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
        for name, mode in _LIBRARIES.items():
            path = Path(found.origin).parent / "lib" / (name + suffix)
            if path.exists():
                load(os.fsencode(path), os.RTLD_NOW | getattr(os, mode))
