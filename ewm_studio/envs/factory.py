"""Making environments from ids and settings, with one clear line where that cannot be."""

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import sys
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.wrappers import HumanRendering

from ewm_studio.envs import register
from ewm_studio.envs.carracing.known import FAST_MODULE, is_stock, unknown_source
from ewm_studio.envs.carracing.lap import has_laps
from ewm_studio.envs.failures import failure_of
from ewm_studio.envs.prepared import PreparedEnv
from ewm_studio.envs.rendering import RenderedObservation
from ewm_studio.envs.spaces import describe
from ewm_studio.envs.trust import check_trusted, import_for, import_named
from ewm_studio.errors import JobError, UserError, nearest
from ewm_studio.settings import EnvSettings
from ewm_studio.settings.arguments import RESERVED

_FAST_CAR_RACING = f"{FAST_MODULE}:FastCarRacing"
_ACTIONS = (gym.spaces.Box, gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)
_NO_DISPLAY_SET = "EWM_STUDIO_NO_DISPLAY"  # set beside SDL_VIDEODRIVER where that is of our making
NAMED_ACTIONS = {  # by an environment's name without its version: its actions in order
    "CartPole": "left, right",
    "CartPoleNoVel": "left, right",
    "MountainCar": "left, coast, right",
    "Acrobot": "torque left, none, torque right",
    "LunarLander": "nothing, left engine, main engine, right engine",
    "Pendulum": "torque in -2..2",
    "FrozenLake": "left, down, right, up",
    "FrozenLake8x8": "left, down, right, up",
    "CliffWalking": "up, right, down, left",
    "Taxi": "down, up, right, left, pick up, drop off",
    "Blackjack": "stick, hit",
}


def make_env(
    id: str,
    *,
    pixels: bool = False,
    fast: bool = True,
    render_mode: str | None = None,
    max_episode_steps: int | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> gym.Env:
    """A plain Gymnasium environment that gives stock observations.

    Args:
        id: any registered id, or `module:Id-v0`, whose module is imported first; a program that takes the id from a
            file runs what the file names.
        pixels: observe the rendered picture, uint8 (H, W, 3), instead.
        fast: CarRacing is the fast class: the same frames, rewards and infos, bit for bit. Where Gymnasium's own is not
            the one that the fast class was compared with, it stays (`env_notes` says so).
        render_mode: as Gymnasium has it; "human" opens a window.
        max_episode_steps: truncate episodes after this many steps; None keeps the environment's own limit.
        kwargs: arguments of its constructor.

    Raises:
        UserError: the id is unknown, its module or a package it needs is missing, it cannot render as asked, it takes
            no such arguments, or its actions are of a kind that no controller has.
        JobError: it did not let itself be made.
    """
    import_named(id)
    env = _make(id, pixels, fast, render_mode, max_episode_steps, kwargs or {}, checks=True)
    if pixels:
        env = RenderedObservation(env)
        if render_mode == "human":
            env = HumanRendering(env)
    return env


def make_prepared_env(settings: EnvSettings, window: bool = True, training: bool = False) -> PreparedEnv:
    """The environment as an agent sees it: `make_env`, then actions repeated and observations prepared.

    Args:
        settings: what to make.
        window: render as `settings.render_mode` says; without, nothing but `settings.pixels` makes it render.
        training: its rules hold; see `PreparedEnv`.

    Raises:
        UserError: see `make_env` and `Preprocessor`.
    """
    render_mode: str | None = settings.render_mode if window else None
    if render_mode == "rgb_array" and "rgb_array" not in _render_modes(settings.id):
        render_mode = None
    limit, kwargs = settings.max_episode_steps, settings.kwargs
    env = _make(settings.id, settings.pixels, settings.fast, render_mode, limit, kwargs, checks=False)
    try:
        return PreparedEnv(env, settings, window and settings.render_mode == "human", training)
    except BaseException:
        env.close()
        raise


def settling_frames(env: gym.Env) -> int:
    """Frames at the start of an episode that are no part of the task: CarRacing's camera comes down from above."""
    if has_laps(env):
        from ewm_studio.envs.carracing.environment import ZOOM_FRAMES

        return ZOOM_FRAMES
    return 0


def env_notes(settings: EnvSettings) -> list[str]:
    """What the user should know about an environment with these settings, one line each, before a job starts.

    Raises:
        UserError: there is no such environment.
    """
    note = unknown_source() if settings.fast and is_stock(find_spec(settings.id)) else None
    return [note] if note else []


def env_ids() -> list[str]:
    """Every registered id, in order."""
    register()
    return sorted(name for name in gym.registry if not name.startswith("GymV2"))  # left out: adapters to old Gym


def describe_env(id: str) -> dict[str, Any]:
    """What an environment shows and takes, in words.

    Returns:
        `id`, `observation`, `action`, `max_episode_steps` and `reward_threshold` (None where there is none).

    Raises:
        UserError: see `make_env`.
    """
    check_trusted(id)  # a file may have given it
    env = make_env(id)
    try:
        spec = env.spec
        name = spec.name if spec else ""
        discrete = isinstance(env.action_space, gym.spaces.Discrete)
        known = name in NAMED_ACTIONS and (discrete or name == "Pendulum")
        return {
            "id": id,
            "observation": describe(env.observation_space),
            "action": NAMED_ACTIONS[name] if known else describe(env.action_space),
            "max_episode_steps": spec.max_episode_steps if spec else None,
            "reward_threshold": spec.reward_threshold if spec else None,
        }
    finally:
        env.close()


def reward_threshold(id: str) -> float | None:
    """The mean reward from which on an environment counts as solved; nothing of a person's is imported to find out.

    None where it has none, or is not known here.
    """
    register()
    spec = gym.registry.get(id.rpartition(":")[2])
    return None if spec is None else spec.reward_threshold


def find_spec(id: str) -> EnvSpec:
    """The registered spec of an id; imports the module of `module:Id-v0`, if it may be.

    Raises:
        Untrusted: nobody agreed to its module. UserError: there is none, or its module cannot be imported.
    """
    register()
    import_for(id)
    name = id.rpartition(":")[2]
    try:
        return gym.spec(name)
    except gym.error.Error as error:
        raise UserError(f"env.id '{id}' is not a registered environment; {nearest(name, env_ids())}") from error


def _make(
    id: str,
    pixels: bool,
    fast: bool,
    render_mode: str | None,
    max_episode_steps: int | None,
    kwargs: Mapping[str, Any],
    checks: bool,
) -> gym.Env:
    """The environment without its picture as observation; `checks` keeps Gymnasium's checking wrappers."""
    found = find_spec(id)
    if pixels and "rgb_array" not in _render_modes(id):
        raise UserError(f"env.pixels: {id} cannot render pictures (rgb_array); use its own observation")
    if render_mode == "human":
        require_display()
    else:
        _draw_without_display()
    spec = copy.deepcopy(found)
    swapped = fast and is_stock(spec) and unknown_source() is None
    if swapped:
        spec.entry_point = _FAST_CAR_RACING
    if kwargs:
        _check_arguments(id, spec, kwargs)
        spec.kwargs = {**spec.kwargs, **kwargs}
    if not checks:
        spec.order_enforce, spec.disable_env_checker = False, True
    try:
        mode = "rgb_array" if pixels else render_mode
        given: dict[str, Any] = {} if mode is None else {"render_mode": mode}
        env = gym.make(spec, max_episode_steps=max_episode_steps, **given)
    except gym.error.DependencyNotInstalled as error:
        raise UserError(f"env.id '{id}' needs a package that is not installed: {error}") from error
    except BaseException as error:
        raise _cannot_be_made(id, error) from error
    if swapped and env.unwrapped.spec is not None:
        env.unwrapped.spec.entry_point = found.entry_point  # what is seen is what the stock one gives
    try:
        _check_spaces(env, id)
    except UserError:
        with contextlib.suppress(BaseException):  # what was refused is told
            env.close()
        raise
    return env


def _check_arguments(id: str, spec: EnvSpec, given: Mapping[str, Any]) -> None:
    """Refuse arguments that the constructor does not take, as far as it says which it takes.

    Raises:
        UserError: naming those that it takes.
    """
    creator = _creator(id, spec)
    try:
        parameters = inspect.signature(creator).parameters.values()
    except (TypeError, ValueError):  # of C, or made by hand: it is asked by giving it what is given
        return
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = [p.name for p in parameters if p.kind in named and p.name not in RESERVED]
    unknown = [name for name in given if name not in known]
    if unknown:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise UserError(f"env.kwargs (--env-arg): {id} takes no argument '{unknown[0]}'; {takes}")


def _cannot_be_made(id: str, error: BaseException) -> UserError | JobError:
    """Why there is no such environment: bad input, or a failure where what it raised is no Exception."""
    if isinstance(error, Exception):
        return UserError(f"env.id '{id}' cannot be made: {type(error).__name__}: {error}")
    return failure_of(id, error, "while it was made")


def _check_spaces(env: gym.Env, id: str) -> None:
    """Refuse an environment that does not say what it gives, or takes actions of a kind that no controller has."""
    for name in ("observation_space", "action_space"):
        if not isinstance(getattr(env, name, None), gym.Space):
            found = getattr(env, name, None)
            old = " but one of the old Gym's" if type(found).__module__.partition(".")[0] == "gym" else ""
            raise UserError(f"env.id '{id}' cannot be used: it has no {name.replace('_', ' ')}{old}")
    if not isinstance(env.action_space, _ACTIONS):
        raise UserError(
            f"env.id '{id}' takes actions of the space {env.action_space}; supported are Box, Discrete, "
            "MultiDiscrete and MultiBinary"
        )


def _creator(id: str, spec: EnvSpec) -> Any:
    """The class or function that makes an environment.

    Raises:
        UserError: a package that it needs is missing, or it cannot be imported.
    """
    creator: Any = spec.entry_point
    try:
        return load_env_creator(creator) if isinstance(creator, str) else creator
    except gym.error.DependencyNotInstalled as error:
        raise UserError(f"env.id '{id}' needs a package that is not installed: {error}") from error
    except BaseException as error:
        raise _cannot_be_made(id, error) from error


def _render_modes(id: str) -> list[str]:
    """The render modes the environment's class names; empty where it names none."""
    metadata = getattr(_creator(id, find_spec(id)), "metadata", None)
    # A function says nothing about what it makes: let it try.
    return list(metadata.get("render_modes") or []) if isinstance(metadata, dict) else ["rgb_array", "human"]


def require_display() -> None:
    """Refuse a window where no display is.

    Raises:
        UserError: there is none.
    """
    if _without_display() or os.environ.get(_NO_DISPLAY_SET):
        raise UserError("env.render_mode 'human' needs a display, and there is none; use --render-mode rgb_array")


def _draw_without_display() -> None:
    """On a server, tell SDL not to look for a display: some environments start one to draw a picture in memory."""
    if _without_display():
        os.environ["SDL_VIDEODRIVER"] = "dummy"
        os.environ[_NO_DISPLAY_SET] = "1"


def _without_display() -> bool:
    named = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    return sys.platform.startswith("linux") and not any(os.environ.get(name) for name in named)
