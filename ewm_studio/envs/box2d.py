"""Box2D worlds remember more than their bodies, so that an episode also depends on those before it.

The order of contacts and the allocator's free lists outlive the bodies that are destroyed at a reset. In
BipedalWalker the same seed and actions then give other bits, whatever Gymnasium's own reset does (LunarLander's makes a
new world already). A new world for every episode makes each depend on its seed and actions alone.
"""

from __future__ import annotations

import sys
from typing import Any

import gymnasium as gym

from ewm_studio.envs.carracing.known import STOCK_MODULE

# Class, and the attribute whose emptiness tells its reset that there is nothing of an old world to destroy.
_RENEWABLE = (
    (STOCK_MODULE, "CarRacing", "road"),
    ("gymnasium.envs.box2d.bipedal_walker", "BipedalWalker", "terrain"),
)


def renew_world(env: gym.Env) -> bool:
    """Give `env` an empty world before its reset; whether its next episode is free of what was before.

    Environments without Box2D count as free. False: a Box2D environment of a kind unknown here.
    """
    if "Box2D" not in sys.modules:
        return True
    base: Any = env.unwrapped
    for module, name, relics in _RENEWABLE:
        if module in sys.modules and isinstance(base, getattr(sys.modules[module], name)):
            old = base.world
            setattr(base, relics, [])
            base.world = type(old)(gravity=old.gravity, doSleep=True)
            return True
    return _resets_its_world(base) or not _holds_world(base)


def _resets_its_world(base: Any) -> bool:
    lander = sys.modules.get("gymnasium.envs.box2d.lunar_lander")
    return lander is not None and isinstance(base, lander.LunarLander)


def _holds_world(base: Any) -> bool:
    world = sys.modules["Box2D"].b2World
    return any(isinstance(value, world) for value in vars(base).values())
