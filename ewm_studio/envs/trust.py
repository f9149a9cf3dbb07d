"""Which modules may be imported because an environment's id names them: those that the person named or agreed to.

An id `module:Id-v0` has its module imported, which runs whatever code stands in it. What a person types or chooses is
meant; what a file says is not: a model, an experiment, a replay or a recording may come from anywhere. So nothing but
`import_for` imports such a module, and it refuses what was never agreed to. What was is remembered beside the window's
settings, by the module's name and the file it lies in: another file of the same name is asked about again.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from ewm_studio.envs.failures import asked_for, said
from ewm_studio.errors import Untrusted, UserError

TRUST_ALL = "EWM_STUDIO_TRUST_ENV"  # set to 1, every module may be imported: for containers, and for our own workers
_LARGEST_LIST = 2**20  # bytes of the file of agreements


def module_of(id: str) -> str:
    """The module that an id names; empty for a registered id."""
    return id.rpartition(":")[0]


def check_trusted(id: str) -> None:
    """Refuse an id whose module may not be imported; nothing is imported.

    Raises:
        Untrusted: nobody agreed to it. UserError: there is no such module.
    """
    module = module_of(id)
    if not module or module in sys.modules or os.environ.get(TRUST_ALL) == "1":
        return
    place = place_of(module)
    if place is None:
        raise UserError(f"env.id '{id}': module '{module}' cannot be imported (there is none by that name)")
    if place not in _agreed().get(module, []):
        raise Untrusted(id, module, place)


def import_for(id: str) -> None:
    """Import the module that an id names, if it may be.

    Raises:
        Untrusted: nobody agreed to it. UserError: it cannot be imported.
    """
    check_trusted(id)
    import_named(id)


def import_named(id: str) -> None:
    """Import the module of an id that the person typed or wrote into a program.

    Raises:
        UserError: it cannot be imported.
    """
    module = module_of(id)
    if not module:
        return
    _look_in_present_folder(module)
    try:
        importlib.import_module(module)
    except BaseException as error:
        if asked_for(error):
            raise
        raise UserError(f"env.id '{id}': module '{module}' cannot be imported ({said(error)})") from error


def trust(id: str) -> None:
    """Remember that the person agreed to the module of an id; of a registered id there is nothing to remember.

    Raises:
        UserError: there is no such module, or what is agreed to cannot be written down.
    """
    module = module_of(id)
    place = place_of(module) if module else None
    if not module or (place is None and module in sys.modules) or os.environ.get(TRUST_ALL) == "1":
        return
    if place is None:
        raise UserError(f"env.id '{id}': module '{module}' cannot be imported (there is none by that name)")
    agreed = _agreed()
    if place not in agreed.get(module, []):
        agreed[module] = [*agreed.get(module, []), place]
        _write(agreed)


def place_of(module: str) -> str | None:
    """The file that importing a module would run, found without importing anything; None where there is none."""
    spec: ModuleSpec | None = None
    path: list[str] | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = _find(name, path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations) if spec.submodule_search_locations is not None else []
    if spec is None:
        return None
    place = spec.origin if spec.has_location and spec.origin else next(iter(path or []), spec.origin)
    return os.path.realpath(place) if place and os.path.isabs(place) else place


def agreements_file() -> Path:
    """Where it is remembered what was agreed to: beside the window's settings."""
    if os.name == "nt":
        base = os.environ.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "ewm-studio" / "trusted.json"


def _look_in_present_folder(module: str) -> None:
    """Let a module be found in the present folder too, after all that is installed: an installed command does not."""
    top, folder = module.partition(".")[0], os.getcwd()
    if top in sys.modules or not top or folder in sys.path:
        return
    if PathFinder.find_spec(top) is None and PathFinder.find_spec(top, [folder]) is not None:
        sys.path.append(folder)


def _find(name: str, path: list[str] | None) -> ModuleSpec | None:
    """What importing would find, first of what is on the way: `importlib.util.find_spec` would import the parents."""
    if not name.rpartition(".")[2]:
        return None
    for finder in sys.meta_path:
        with contextlib.suppress(Exception):  # somebody else's finder
            found = finder.find_spec(name, path, None)
            if found is not None:
                return found
    return PathFinder.find_spec(name, [os.getcwd()]) if path is None else None


def _agreed() -> dict[str, list[str]]:
    """Places by module; a file that makes no sense agrees to nothing."""
    try:
        path = agreements_file()
        if not path.is_file() or path.stat().st_size > _LARGEST_LIST:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError, RecursionError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {name: [str(p) for p in places] for name, places in entries if isinstance(places, list)}


def _write(agreed: dict[str, list[str]]) -> None:
    path = agreements_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _aside(path) as temporary:
            temporary.write_text(json.dumps(agreed, indent=1, sort_keys=True), encoding="utf-8")
            os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path}: cannot be written ({reason}); what is trusted is kept there") from None


@contextlib.contextmanager
def _aside(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
