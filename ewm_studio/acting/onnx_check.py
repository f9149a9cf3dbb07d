"""Whether an ONNX file decides as the agent does that it was made of: one episode, step by step, both side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ewm_studio.acting.agent import Agent
from ewm_studio.acting.onnx_export import ACTION, IS_FIRST, LATENT, OBS, check_onnx, initial_state, state_of
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.single import SingleEnv
from ewm_studio.errors import UserError

NEAR = 1e-3  # of a continuous action: how far apart two decisions are the same


@dataclass
class Agreement:
    """How alike the two were over an episode.

    Attributes:
        seed: of the episode.
        decisions: how many each made.
        differing: how many of them were not the same.
        largest: difference of any number that came out, of actions, latents and states.
        reward: what the episode earned.
    """

    seed: int
    decisions: int = 0
    differing: int = 0
    largest: float = 0.0
    reward: float = 0.0


class OnnxAgent:
    """Decides by an ONNX file alone, with the state handed in and handed back."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            UserError: the extra is missing, or the file cannot be read.
        """
        check_onnx()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a single row gains nothing from a second one
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UserError(f"{path}: onnxruntime cannot read it ({' '.join(str(error).split())[:200]})") from None
        self._outputs = [each.name for each in self._session.get_outputs()]

    def step(self, obs: np.ndarray, is_first: bool, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What comes out by name, for observations (1, ...) and the state as it came out before."""
        given = {OBS: obs, IS_FIRST: np.full(len(obs), is_first), **state}
        return dict(zip(self._outputs, self._session.run(self._outputs, given), strict=True))


def compare(agent: Agent, path: Path, seed: int = 0) -> Agreement:
    """Play one episode as the agent decides, and ask the file at every step; each goes on from its own state.

    Raises:
        UserError: the file or the environment cannot be had. JobError: the environment failed.
    """
    found = Agreement(seed)
    for ours, theirs, reward in _side_by_side(agent, OnnxAgent(path), seed):
        apart = {name: _apart(ours[name], theirs[name]) for name in ours}
        found.decisions += 1
        found.differing += apart[ACTION] > (NEAR if ours[ACTION].dtype.kind == "f" else 0)
        found.largest = max(found.largest, *apart.values())
        found.reward += reward
    return found


def _apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference of two arrays; infinite where they are of another shape."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max(initial=0.0))


def _side_by_side(agent: Agent, other: OnnxAgent, seed: int) -> Iterator[tuple[dict[str, Any], dict[str, Any], float]]:
    """What both give at every step of an episode, by name, and the reward of the agent's action."""
    state = agent.initial_state(1)
    carried = {name: value.numpy() for name, value in initial_state(agent.model, 1).items()}
    with closing(SingleEnv(make_prepared_env(agent.env), agent.env, episodes=1)) as env:
        obs, is_first = np.array(env.reset(seed)), True
        while not env.over:
            theirs = other.step(obs, is_first, carried)
            with torch.inference_mode():
                belief = agent.believe(torch.from_numpy(obs), state)
                action = agent.model.controller.act(belief.z, belief.h, greedy=True).action
                state = agent.remember(belief, action)
            after = {f"next_{name}": value for name, value in state_of(state.h, state.memory).items()}
            ours = {name: value.numpy() for name, value in {ACTION: action, LATENT: belief.z, **after}.items()}
            carried = {name.removeprefix("next_"): theirs[name] for name in after}
            step = env.step(ours[ACTION])
            yield ours, theirs, float(step.reward[0] - step.shaping[0])
            obs, is_first = np.array(step.obs), False
