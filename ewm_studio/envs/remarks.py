"""What should be known of a registered environment before it is chosen; nothing is made or imported to find out."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

# Parts of Gymnasium whose environments need a package that does not come with it.
_NEEDS = {"gymnasium.envs.mujoco": "mujoco", "gymnasium.envs.phys2d": "jax", "gymnasium.envs.tabular": "jax"}


def remarks(ids: Iterable[str]) -> dict[str, str]:
    """Of those of these ids that cannot be made here, or have a later version, why: "needs the package mujoco"."""
    latest: dict[str, int] = {}
    for known in gym.registry.values():
        latest[known.name] = max(latest.get(known.name, 0), known.version or 0)
    found = {}
    for id in ids:
        spec = gym.registry.get(id)
        if spec is not None and (words := _remark(spec, latest[spec.name])):
            found[id] = words
    return found


def _remark(spec: EnvSpec, latest: int) -> str:
    if spec.version is not None and spec.version < latest:
        return f"superseded by {spec.name}-v{latest}"
    if callable(spec.entry_point):
        gone = getattr(spec.entry_point, "__name__", "").startswith("_raise_")
        return "needs a package that is not there" if gone else ""
    module = str(spec.entry_point).partition(":")[0]
    for start, package in _NEEDS.items():
        if module.startswith(f"{start}.") and importlib.util.find_spec(package) is None:
            return f"needs the package {package}"
    return ""
