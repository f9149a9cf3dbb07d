"""What the chosen environment and components are: spaces, fits, sizes. Imports torch: only off the start-up path."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ewm_studio.errors import UserError
from ewm_studio.settings import ComponentSettings, EnvSettings, Experiment
from ewm_studio.settings.experiment import COMPONENTS, ComponentChoice

_WARM_UP = 60  # steps after which a picture shows more than an opening zoom


@dataclass(frozen=True)
class ComponentInfo:
    """A component as the pickers show it."""

    kind: str
    name: str
    summary: str
    tags: tuple[str, ...]
    settings: type[ComponentSettings]


@dataclass(frozen=True)
class Catalog:
    """Everything that can be chosen."""

    components: dict[str, dict[str, ComponentInfo]]  # kind -> name -> info
    environments: list[str]
    remarks: dict[str, str] = field(default_factory=dict)  # of environments that cannot be made, or are superseded


@dataclass(frozen=True)
class EnvironmentInfo:
    """An environment in words and one picture."""

    id: str
    observation: str = ""
    action: str = ""
    reward_threshold: float | None = None
    picture: np.ndarray | None = None  # uint8 (H, W, 3)


@dataclass(frozen=True)
class Inspection:
    """What an experiment comes to: which part each choice is, what does not fit, how large it is."""

    chosen: dict[str, str] = field(default_factory=dict)  # kind -> name, `auto` resolved
    parameters: dict[str, int] = field(default_factory=dict)
    misfits: dict[str, dict[str, str]] = field(default_factory=dict)  # kind -> name -> reason
    problem: str = ""
    automatic: dict[str, str] = field(
        default_factory=dict
    )  # kind -> name that `auto` stands for, whatever else is wrong


def load_catalog() -> Catalog:
    """All components and environments. Slow the first time."""
    from ewm_studio.envs.factory import env_ids
    from ewm_studio.envs.remarks import remarks
    from ewm_studio.models.registry import components

    found = {
        kind: {
            name: ComponentInfo(kind, name, cls.summary, tuple(sorted(map(str, cls.tags))), cls.Settings)
            for name, cls in components(kind).items()
        }
        for kind in COMPONENTS
    }
    ids = env_ids()
    return Catalog({str(k): v for k, v in found.items()}, ids, remarks(ids))


def describe_environment(id: str) -> EnvironmentInfo:
    """What an environment shows and takes, with a picture of it where it can be drawn.

    Raises:
        UserError: there is no such environment, or it cannot be made.
    """
    from ewm_studio.envs.factory import describe_env

    words: dict[str, Any] = describe_env(id)
    picture = None
    with contextlib.suppress(Exception):  # a picture is a nicety
        picture = _picture(id)
    return EnvironmentInfo(id, words["observation"], words["action"], words["reward_threshold"], picture)


def _picture(id: str) -> np.ndarray | None:
    from ewm_studio.envs.factory import make_env

    env = make_env(id, render_mode="rgb_array")
    try:
        env.reset(seed=3)
        env.action_space.seed(3)
        slow = "Racing" in id
        for _ in range(_WARM_UP if slow else 4):
            action = np.array([0.0, 0.1, 0.0], np.float32) if slow else env.action_space.sample()
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                break
        frame = np.asarray(env.render())
    finally:
        env.close()
    if frame.ndim != 3 or frame.shape[2] < 3:
        return None
    return np.ascontiguousarray(_square(frame[..., :3]).astype(np.uint8))


def _square(frame: np.ndarray, largest: int = 192) -> np.ndarray:
    """The middle square of a frame (H, W, 3), thinned out to at most `largest` pixels a side."""
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    frame = frame[top : top + side, left : left + side]
    factor = max(1, side // largest)
    rows = side // factor * factor
    blocks = frame[:rows, :rows].reshape(rows // factor, factor, rows // factor, factor, 3)
    return blocks.mean(axis=(1, 3))


def inspect(experiment: Experiment) -> Inspection:
    """Which components fit, which `auto` stands for, and how many parameters each has.

    The models are built without weights, so no random number is drawn and nothing is allocated.
    """
    from ewm_studio.models import registry

    try:
        observation, action = _spaces(experiment.env)
    except UserError as error:
        return Inspection(problem=str(error))
    misfits: dict[str, dict[str, str]] = {}
    for kind in COMPONENTS:
        reasons = {n: registry.misfit(c, observation, action) for n, c in registry.components(kind).items()}
        misfits[kind] = {name: reason for name, reason in reasons.items() if reason}
    automatic = _automatic(experiment, observation, action)
    try:
        chosen, parameters = _sizes(experiment, observation, action)
    except UserError as error:
        return Inspection(misfits=misfits, problem=str(error), automatic=automatic)
    return Inspection(chosen, parameters, misfits, automatic=automatic)


def _automatic(experiment: Experiment, observation: Any, action: Any) -> dict[str, str]:
    """The names that `auto` stands for."""
    from ewm_studio.models.registry import choose

    found: dict[str, str] = {}
    for kind in COMPONENTS:
        if getattr(experiment, kind).name == "auto":
            with contextlib.suppress(UserError):  # nothing fits: `problem` says so
                found[kind] = choose(kind, ComponentChoice(), observation, action).name
    return found


def _sizes(experiment: Experiment, observation: Any, action: Any) -> tuple[dict[str, str], dict[str, int]]:
    import torch

    from ewm_studio.models.agent_model import AgentModel
    from ewm_studio.models.assembly import choose_parts

    parts = choose_parts(experiment, observation, action)
    chosen = {str(kind): part.name for kind, part in parts.items()}
    try:
        with torch.device("meta"):
            model = AgentModel(parts, observation, action)
    except UserError:
        raise
    except Exception:  # a component that computes while it is built: its size stays unknown
        return chosen, {}
    return chosen, {str(k): sum(p.numel() for p in model.component(k).parameters()) for k in COMPONENTS}


_known_spaces: dict[str, tuple[Any, Any]] = {}


def _spaces(settings: EnvSettings) -> tuple[Any, Any]:
    """Observation space as prepared, and action space; remembered, since making CarRacing takes a while."""
    from ewm_studio.envs.factory import make_prepared_env

    key = json.dumps({**settings.of_model(), "action_repeat": 1})
    if key not in _known_spaces:
        env = make_prepared_env(settings.model_copy(update={"render_mode": "rgb_array"}), window=False)
        try:
            _known_spaces[key] = env.observation_space, env.action_space
        finally:
            env.close()
    return _known_spaces[key]
