"""Models put together: from choices that fit, from a file, from two files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from ewm_studio.envs.spaces import space_from_json
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.randomness import drawing_from, make_generator
from ewm_studio.models.registry import Part, choose
from ewm_studio.settings import ComponentChoice, EnvSettings, Experiment
from ewm_studio.settings.experiment import COMPONENTS, ComponentKind

_BESIDE_WEIGHTS = 2**26  # bytes that a model may hold and not save
LETTERS: dict[str, ComponentKind] = {"v": "vision", "m": "memory", "c": "controller"}


def choose_parts(
    experiment: Experiment, observation_space: gym.spaces.Box, action_space: gym.Space, made: bool = False
) -> dict[ComponentKind, Part]:
    """The three parts of an experiment, each checked to fit; `world_model.dropout` overrides the parts' own.

    `made`: the experiment is that of a run that exists; see `choose`.

    Raises:
        UserError: a name is unknown, a part does not fit, or a setting is bad.
    """
    parts: dict[ComponentKind, Part] = {}
    for kind in COMPONENTS:
        part = choose(kind, getattr(experiment, kind), observation_space, action_space, made)
        parts[kind] = _with_dropout(part, experiment.world_model.dropout)
    return parts


def _with_dropout(part: Part, dropout: float | None) -> Part:
    """The part with this dropout, where it has any."""
    if dropout is None or "dropout" not in type(part.settings).model_fields:
        return part
    return Part(part.kind, part.cls, part.settings.model_copy(update={"dropout": dropout}))


def from_description(
    tensors: dict[str, Tensor],
    metadata: dict[str, Any],
    source: str,
    dropout: float | None = None,
    how: Mapping[ComponentKind, ComponentChoice] | None = None,
) -> tuple[AgentModel, EnvSettings]:
    """The world model that a model file describes, with its weights, and the environment it was made for.

    Args:
        tensors: the weights.
        metadata: the description.
        source: what to call the file in complaints.
        dropout: takes the place of the parts' own.
        how: settings of how parts go on being trained, by kind, in place of a part's own where it has that name.

    Raises:
        UserError: the description or the weights do not make a model of this version.
    """
    try:
        observation_space = space_from_json(metadata["spaces"]["observation"])
        action_space = space_from_json(metadata["spaces"]["action"])
        described = metadata["parts"]
        env = EnvSettings.of_file(metadata["env"])
        choices = {k: ComponentChoice(name=described[k]["name"], **described[k]["settings"]) for k in COMPONENTS}
        for kind, choice in (how or {}).items():
            own = choices[kind]
            if choice.name in ("auto", own.name):
                choices[kind] = ComponentChoice(name=own.name, **own.given | choice.given)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    except Exception as error:
        raise UserError(f"{source}: the description of the model is not understood ({error})") from None
    if not isinstance(observation_space, gym.spaces.Box):
        raise UserError(f"{source}: the model's observations are no Box but {observation_space}")
    try:
        parts = {
            kind: _with_dropout(choose(kind, choices[kind], observation_space, action_space, made=True), dropout)
            for kind in COMPONENTS
        }
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    _check_declared(parts, observation_space, action_space, tensors, source)
    with drawing_from(make_generator(0)):  # only to be written over
        model = AgentModel(parts, observation_space, action_space)
    load_weights(model, tensors, source)
    return model, env


def _check_declared(
    parts: dict[ComponentKind, Part],
    observation_space: gym.spaces.Box,
    action_space: gym.Space,
    tensors: dict[str, Tensor],
    source: str,
) -> None:
    """Refuse a description of a model that is not the one whose weights are there, before any memory is taken for it.

    Raises:
        UserError: as `load_weights`; or the model would hold far more than its weights.
    """
    try:
        with torch.device("meta"):
            model = AgentModel(parts, observation_space, action_space)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    except (MemoryError, OverflowError) as error:
        raise UserError(f"{source}: describes a model that no memory holds ({error})") from None
    except Exception:  # a component of another package that computes while it is built: told by its own sizes
        return
    check_weights(model, tensors, source)
    held = sum(t.nbytes for t in [*model.parameters(), *model.buffers()])
    stored = sum(t.nbytes for t in tensors.values())
    if held > stored + _BESIDE_WEIGHTS:
        raise UserError(f"{source}: describes a model of {held:,} bytes, with weights of {stored:,}")


def load_weights(module: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Copy `tensors` into `module`, all names, shapes and dtypes agreeing; buffers that 0.1.0 had not may be missing.

    Raises:
        UserError: naming the first weight that is missing, unknown, of another shape or dtype, or not finite.
    """
    check_weights(module, tensors, source)
    tensors = {**_newer_buffers(module), **tensors}
    for name, tensor in sorted(tensors.items()):
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{source}: weight '{name}' holds values that are not finite; take an earlier model")
    module.load_state_dict(tensors)


def check_weights(module: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Make sure that `tensors` are those of `module`, which may be without memory, by their names, shapes and dtypes.

    Raises:
        UserError: naming the first weight that is missing, unknown, or of another shape or dtype.
    """
    own = module.state_dict()
    tensors = {**_newer_buffers(module), **tensors}
    for name in sorted(own.keys() | tensors.keys()):
        if name not in tensors:
            raise UserError(f"{source}: weight '{name}' is missing, expected shape {tuple(own[name].shape)}")
        if name not in own:
            raise UserError(f"{source}: weight '{name:.80}' is not known to this model")
        if own[name].shape != tensors[name].shape:
            raise UserError(
                f"{source}: weight '{name}' should have shape {tuple(own[name].shape)}, found "
                f"{tuple(tensors[name].shape)}"
            )
        if own[name].dtype != tensors[name].dtype:
            raise UserError(f"{source}: weight '{name}' should be of {own[name].dtype}, found {tensors[name].dtype}")


def _newer_buffers(module: nn.Module) -> dict[str, Tensor]:
    """What 0.1.0 did not have, as it stands in a fresh module: each module names its own."""
    return {
        f"{place}.{name}".lstrip("."): getattr(part, name)
        for place, part in module.named_modules()
        for name in getattr(part, "SINCE_0_1_0", ())
    }


def patch(model: AgentModel, donor: AgentModel, letters: str, source: str) -> list[ComponentKind]:
    """Replace parts of `model` (any of the letters v, m, c) by those of `donor`; returns the kinds replaced.

    Raises:
        UserError: nothing is named, or a part's sizes do not fit the rest of the model.
    """
    kinds = [LETTERS[c] for c in dict.fromkeys(letters) if c in LETTERS]
    if not kinds:
        raise UserError("patch: name the parts to take from the second model: any of v, m, c, such as 'vm'")
    kept = [kind for kind in COMPONENTS if kind not in kinds]
    sizes = {
        "latent size": {k: m.vision.latent_dim for k, m in (("first", model), ("second", donor))},
        "hidden size": {k: m.memory.hidden_dim for k, m in (("first", model), ("second", donor))},
    }
    if donor.observation_space != model.observation_space and "vision" in kinds:
        raise UserError(
            f"{source}: its vision observes {donor.observation_space}, this model's environment gives "
            f"{model.observation_space}"
        )
    if donor.action_space != model.action_space and kinds != ["vision"]:
        raise UserError(f"{source}: its actions are {donor.action_space}, this model's are {model.action_space}")
    for name, size in sizes.items():
        # The latent joins V with M and C, the hidden state joins M with C: a seam between patched and kept must agree.
        joined = COMPONENTS if name == "latent size" else COMPONENTS[1:]
        seam = any(k in kinds for k in joined) and any(k in kept for k in joined)
        if seam and size["first"] != size["second"]:
            raise UserError(
                f"{source}: its {name} is {size['second']}, the model it would join has {size['first']}; "
                f"take {', '.join(joined[:-1])} and {joined[-1]} from the same model"
            )
    for kind in kinds:
        setattr(model, kind, donor.component(kind))
        model.parts[kind] = donor.parts[kind]
    return kinds
