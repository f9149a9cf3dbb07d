"""CarRacing as Gymnasium has it: where it is found, and which of its sources the fast one was compared with."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

STOCK_MODULE = "gymnasium.envs.box2d.car_racing"
FAST_MODULE = "ewm_studio.envs.carracing.environment"
_STOCK = ("gymnasium.envs.box2d:CarRacing", f"{STOCK_MODULE}:CarRacing")
_SOURCES = ("car_racing.py", "car_dynamics.py")
# SHA-256 of both files, one after the other. Add one after `uv run pytest -m "" tests/test_envs_carracing.py` passed.
KNOWN = {"f284d0c8899c43891aaa47882880f74f7bb02132955d965c5ffb5125f4ee8988": "1.4.0"}


def is_stock(spec: EnvSpec) -> bool:
    """Whether an environment is registered as Gymnasium's own CarRacing."""
    return spec.entry_point in _STOCK


@lru_cache(maxsize=1)
def source_digest() -> str:
    """SHA-256 of the installed CarRacing's sources; empty where they cannot be read."""
    digest = hashlib.sha256()
    try:
        for name in _SOURCES:
            digest.update((Path(gym.__file__).parent / "envs" / "box2d" / name).read_bytes())
    except OSError:
        return ""
    return digest.hexdigest()


def unknown_source() -> str | None:
    """One line for the user where the stock CarRacing runs because its sources are not known here; else None."""
    if source_digest() in KNOWN:
        return None
    return (
        f"CarRacing runs as Gymnasium draws it, several times slower: the fast one was made equal to Gymnasium "
        f"{', '.join(KNOWN.values())}, and {gym.__version__} has another source (env.fast false hides this line)"
    )
