"""Loading libraries without keeping other threads waiting: an import holds the interpreter's lock meanwhile."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from types import ModuleType

_LIBRARIES = ("libc10.so", "libtorch_cpu.so", "libtorch_python.so")  # each needs those before it
_LONGEST_STEP = "torch._C"  # an eighth of a second in one call, at the start of the import


class AheadOfTime:
    """Imports torch on a thread of its own: up to the end of its one long step at once, the rest when told to.

    That step holds the interpreter's lock throughout, and nobody can be served meanwhile. So it is done while there is
    no window yet; all else that the import does is short, and waits until the window is there.
    """

    def __init__(self) -> None:
        self._go_on = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="torch")

    def begin(self) -> None:
        """Begin, where the system's loader can be asked as it is done here."""
        if sys.platform.startswith("linux") and "torch" not in sys.modules:
            _release_while_loading(self._on_created)
            self._thread.start()

    def go_on(self) -> None:
        """Do the rest."""
        self._go_on.set()

    def _run(self) -> None:
        with contextlib.suppress(Exception):  # whoever needs it will hear of it
            load_torch_libraries()
            importlib.import_module("torch")

    def _on_created(self, name: str) -> None:
        if name == _LONGEST_STEP and threading.current_thread() is self._thread:
            self._go_on.wait()


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
        dlopen = _system_loader()
        for name in _LIBRARIES:
            if not (path := folder / name).is_file() or not dlopen(bytes(path), os.RTLD_LAZY | os.RTLD_LOCAL):
                return


def _release_while_loading(created: Callable[[str], None]) -> None:
    """Have every import of an extension module, from now on, let other threads go on while its library is loaded.

    Args:
        created: is told the name of each that has been made.
    """
    dlopen = _system_loader()  # once: asking for it waits for whoever loads a library, and with the lock held

    class Loader(ExtensionFileLoader):
        """Has the system load the library first; the import then finds it there."""

        def create_module(self, spec: ModuleSpec) -> ModuleType:
            """The module, not run yet."""
            dlopen(os.fsencode(self.path), sys.getdlopenflags())  # whatever is wrong, the import itself says
            made = super().create_module(spec)
            created(spec.name)
            return made

    hook = FileFinder.path_hook(
        (Loader, EXTENSION_SUFFIXES), (SourceFileLoader, SOURCE_SUFFIXES), (SourcelessFileLoader, BYTECODE_SUFFIXES)
    )
    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


def _system_loader() -> Callable[[bytes, int], int | None]:
    """The system's call that loads a library, which lets go of the interpreter's lock."""
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    return dlopen
