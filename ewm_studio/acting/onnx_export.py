"""A saved agent as an ONNX file: one step of V, M and C, greedy, with the memory's state going in and coming out."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ewm_studio.acting.agent import Agent
from ewm_studio.errors import UserError
from ewm_studio.models.base import State
from ewm_studio.models.world_model import WorldModel
from ewm_studio.workspace.files import write_aside

OBS, IS_FIRST, ACTION, LATENT = "obs", "is_first", "action", "z"
HIDDEN = "h"  # what the controller sees of the memory
DESCRIPTION = "ewm_studio"  # the key of the file's metadata
_EXAMPLES = 2  # rows in tracing; a single one would be taken for a constant


def check_onnx() -> None:
    """Make sure that what writes and reads ONNX files is there.

    Raises:
        UserError: it is not.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise UserError(
            f"ONNX files need {error.name or error}; install it with the extra 'onnx': uv sync --extra onnx, or "
            "pip install 'ewm-studio[onnx]'"
        ) from None
    del onnx, onnxruntime, onnxscript


def state_of(h: Tensor, memory: State) -> State:
    """All that is carried from step to step, by the names it has in the file; what is empty is left out."""
    named = {HIDDEN: h, **{f"memory.{name}": value for name, value in memory.items()}}
    return {name: value for name, value in named.items() if prod(value.shape[1:])}


def initial_state(model: WorldModel, batch: int) -> State:
    """That of the first step of `batch` episodes."""
    return state_of(model.memory.initial_hidden(batch), model.memory.initial_state(batch))


class AgentStep(nn.Module):
    """One decision: prepared observations (B, ...), which of them are first ones (B,), and the state before.

    Gives the environment's greedy actions (B, ...), latents (B, Z), and the state after.
    """

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.model = agent.model
        self._empty = self.model.memory.initial_state(1)

    def forward(self, obs: Tensor, is_first: Tensor, state: list[Tensor]) -> tuple[Tensor, ...]:
        """See the class; `state` in the order of `initial_state`."""
        model = self.model
        given = dict(zip(initial_state(model, 1), state, strict=True))
        none = torch.zeros(obs.shape[0], 0)  # of a model without memory
        h = given[HIDDEN].masked_fill(is_first[:, None], 0.0) if HIDDEN in given else none
        memory = {name: given.get(f"memory.{name}", empty) for name, empty in self._empty.items()}
        memory = {name: _begun(value, self._empty[name], is_first) for name, value in memory.items()}
        z = model.vision.encode(obs)
        policy = model.controller.distribution(z, h)
        action = policy.to_env(policy.mode())
        if model.memory.hidden_dim:
            h, memory = model.memory.step(z, model.action_encoding(action), memory)
        return (action, z, *state_of(h, memory).values())


def _begun(value: Tensor, fresh: Tensor, is_first: Tensor) -> Tensor:
    """`value` (B, ...), where an episode begins the fresh one (1, ...)."""
    rows = is_first.view(-1, *[1] * (value.dim() - 1))
    if value.dtype == torch.bool:  # onnxruntime chooses between numbers only
        return (fresh & rows) | (value & ~rows)
    return torch.where(rows, fresh, value)


def export_onnx(agent: Agent, path: Path) -> None:
    """Write one step of the agent as an ONNX file of any batch; the agent is moved to the CPU.

    Raises:
        UserError: the extra is missing, a part cannot be written so, or the file cannot be put there.
        JobError: the disk is full.
    """
    check_onnx()
    agent.model.to("cpu")
    state = initial_state(agent.model, _EXAMPLES)
    names = list(state)
    try:
        program = _traced(
            AgentStep(agent),
            (_observations(agent), torch.ones(_EXAMPLES, dtype=torch.bool), list(state.values())),
            [OBS, IS_FIRST, *names],
            [ACTION, LATENT, *(f"next_{name}" for name in names)],
        )
    except Exception as error:
        raise UserError(f"cannot be written as ONNX: {_culprit(agent)} ({_line(error)})") from error
    program.model.metadata_props[DESCRIPTION] = json.dumps(_description(agent))
    write_aside(path, lambda temporary: program.save(str(temporary)))


def _observations(agent: Agent) -> Tensor:
    space = agent.model.observation_space
    return torch.from_numpy(np.zeros((_EXAMPLES, *space.shape), space.dtype))


def _traced(
    step: nn.Module, inputs: tuple[Any, ...], names: list[str] | None = None, outputs: list[str] | None = None
) -> Any:
    """What the exporter makes of a module, for any number of rows."""
    rows = torch.export.Dim("batch", min=1, max=2**20)
    shapes = tuple([{0: rows} for _ in each] if isinstance(each, list) else {0: rows} for each in inputs)
    with _quiet(), torch.no_grad():
        return torch.onnx.export(
            step.eval(),
            inputs,
            input_names=names,
            output_names=outputs,
            dynamo=True,
            dynamic_shapes=shapes,
            verbose=False,
        )


class _Alone(nn.Module):
    """A function of one part of the agent, which holds its weights."""

    def __init__(self, part: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.part, self.function = part, function

    def forward(self, inputs: list[Tensor]) -> Any:
        """What the function gives."""
        return self.function(*inputs)


def _culprit(agent: Agent) -> str:
    """The part that cannot be exported by itself, in words."""
    model, obs = agent.model, _observations(agent)
    h = model.memory.initial_hidden(_EXAMPLES)
    with torch.no_grad():
        z = model.vision.encode(obs)
    controller = model.controller
    parts: list[tuple[str, nn.Module, Callable[..., Any], tuple[Tensor, ...]]] = [
        ("vision", model.vision, model.vision.encode, (obs,)),
        ("controller", controller, lambda z, h: controller.act(z, h, greedy=True).action, (z, h)),
    ]
    for kind, part, function, inputs in parts:
        try:
            _traced(_Alone(part, function), (list(inputs),))
        except Exception:
            return f"{kind} {type(part).__name__}"
    return f"memory {type(model.memory).__name__}"


def _description(agent: Agent) -> dict[str, Any]:
    """What a reader of the file must know."""
    return {
        **agent.model.describe(),
        "env": agent.env.describe(),
        "action_repeat": agent.action_repeat,
        "state": "zeros, or anything where is_first is true",
        "observations": agent.preprocessor.taken_for,
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's advice."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _line(error: BaseException) -> str:
    """What the exporter complains of, without its advice; the cause where there is one."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]
