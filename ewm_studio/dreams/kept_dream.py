"""A dream in a folder of its own: its tree, and the models that dreamt in it, so that it can be driven on anywhere.

tree.dream            branches, steps, and the states that are held
model-N.safetensors   each model, as any model file
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ewm_studio.dreams.beside import Beside, RealStep
from ewm_studio.dreams.branches import Branch, DreamStep, Place
from ewm_studio.dreams.real_world import Dreamer, Moment
from ewm_studio.dreams.starts import Start
from ewm_studio.dreams.tree import DreamTree
from ewm_studio.envs.spaces import space_to_json
from ewm_studio.errors import UserError
from ewm_studio.models.belief import Belief
from ewm_studio.settings import EnvSettings
from ewm_studio.workspace.files import write_error
from ewm_studio.workspace.models import save_model
from ewm_studio.workspace.tree import load_tree, save_tree

FORMAT = "ewm-studio-dream"
TREE = "tree.dream"
_NUMBERS = ("reward", "end", "temperature", "trust", "value", "entropy")
_BRANCH = ("number", "parent", "at", "how", "seed", "model", "root", "name", "kept", "dreamt_before", "real_before")
_REAL = ("reward", "drift", "difference", "surprise")


def save_dream(folder: Path, tree: DreamTree) -> None:
    """Write a dream; one that was there is written over.

    Raises:
        UserError or JobError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    for number, dreamer in enumerate(tree.dreamers):
        save_model(_model(folder, number), dreamer.model.state_dict(), described(dreamer))
    values = {
        "names": list(tree.names),
        "start": _start(tree.start),
        "place": [tree.place.branch, tree.place.step],
        "branches": [_branch(branch) for branch in tree.branches.values()],
        "held": [[place.branch, place.step, _state(state)] for place, state in tree.held().items()],
        "trust": any(state["witnesses"] is not None for state in tree.held().values()),
    }
    save_tree(folder / TREE, values, FORMAT)


def load_dream(folder: Path, load: Callable[[Path], Dreamer], beside: bool = True) -> DreamTree:
    """A dream, standing where it was left.

    Args:
        folder: where it is.
        load: reads a model's file.
        beside: have reality beside it, where it can be.

    Raises:
        UserError: it is damaged, or a model is missing. JobError: the environment failed.
    """
    values = load_tree(folder / TREE, FORMAT)
    try:
        dreamers = [load(_model(folder, number)) for number in range(len(values["names"]))]
        start = _start_of(values["start"], dreamers[0])
        real = Beside(dreamers[0], start.moment, start.belief) if beside and start.moment is not None else None
        tree = DreamTree(dreamers[0], start, beside=real, trust=values["trust"])
        tree.dreamers, tree.names = dreamers, list(values["names"])
        held = {Place(branch, step): _state_of(state) for branch, step, state in values["held"]}
        tree.take([_branch_of(branch) for branch in values["branches"]], held, Place(*values["place"]))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{folder / TREE}: damaged, expected a dream ({type(error).__name__}: {error})") from None
    return tree


def _model(folder: Path, number: int) -> Path:
    return folder / f"model-{number}.safetensors"


def described(dreamer: Dreamer) -> dict[str, Any]:
    """What a model file says about itself, so that it loads alone."""
    described = dreamer.model.describe()
    spaces = {**described["spaces"], "raw_observation": space_to_json(dreamer.preprocessor.raw_space)}
    return {**described, "spaces": spaces, "env": dreamer.env.describe()}


def _start(start: Start) -> dict[str, Any]:
    moment = start.moment
    return {
        "words": start.words,
        "belief": _belief(start.belief),
        "z": start.z,
        "actions": start.actions,
        "picture": start.picture,
        "following": start.following,
        "no_moment": start.no_moment,
        "moment": None
        if moment is None
        else {"env": moment.env.describe(), "seed": moment.seed, "actions": moment.actions},
    }


def _start_of(values: dict[str, Any], dreamer: Dreamer) -> Start:
    device, moment = dreamer.model.device, values["moment"]
    return Start(
        values["words"],
        _belief_of(values["belief"]),
        values["z"].to(device),
        values["actions"],
        values["picture"],
        values["following"],
        None if moment is None else Moment(EnvSettings.of_file(moment["env"]), moment["seed"], moment["actions"]),
        values["no_moment"],
    )


def _belief(belief: Belief) -> dict[str, Any]:
    return {"z": belief.z, "h": belief.h, "memory": belief.memory}


def _belief_of(values: dict[str, Any]) -> Belief:
    memory: dict[str, Tensor] = values["memory"]
    return Belief(values["z"], values["h"], memory)


def _state(state: dict[str, Any]) -> dict[str, Any]:
    awake = state["awake"]
    return {**state, "awake": None if awake is None else _belief(awake)}


def _state_of(state: dict[str, Any]) -> dict[str, Any]:
    awake = state["awake"]
    return {**state, "awake": None if awake is None else _belief_of(awake)}


def _branch(branch: Branch) -> dict[str, Any]:
    steps = branch.steps
    real = [[getattr(s.real, name) if s.real else math.nan for name in _REAL] for s in steps]
    return {
        **{name: getattr(branch, name) for name in _BRANCH},
        "action": np.stack([s.action for s in steps]) if steps else np.zeros(0),
        "z": np.stack([s.z for s in steps]) if steps else np.zeros(0),
        "numbers": np.array([[getattr(s, name) for name in _NUMBERS] for s in steps], np.float64),
        "ended": [s.ended for s in steps],
        "driver": [s.driver for s in steps],
        "real": np.array(real, np.float64),
        "over": [s.real.over if s.real else None for s in steps],
    }


def _branch_of(values: dict[str, Any]) -> Branch:
    branch = Branch(**{name: values[name] for name in _BRANCH})
    for row, over in enumerate(values["over"]):
        numbers = dict(zip(_NUMBERS, values["numbers"][row].tolist(), strict=True))
        real = dict(zip(_REAL, values["real"][row].tolist(), strict=True))
        branch.add(
            DreamStep(
                action=values["action"][row],
                z=values["z"][row],
                ended=values["ended"][row],
                driver=values["driver"][row],
                real=None if over is None else RealStep(over=over, **real),
                **numbers,
            )
        )
    return branch
