"""A replay looked into: its frames made again, and what vision, memory and controller made of each of them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ewm_studio.acting.agent import Agent
from ewm_studio.acting.episode import Listener, play_episodes
from ewm_studio.acting.policy import RecordedActions
from ewm_studio.envs.factory import make_prepared_env
from ewm_studio.envs.prepared import PreparedEnv
from ewm_studio.envs.simulator import Simulator, Step, Watchable
from ewm_studio.envs.single import SingleEnv
from ewm_studio.envs.spaces import action_names
from ewm_studio.errors import UserError
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.base import Tag
from ewm_studio.models.belief import Belief
from ewm_studio.models.pictures import to_pictures
from ewm_studio.workspace.replays import Replay
from ewm_studio.workspace.versions import versions

MOST_FRAMES = 20_000  # an episode's pictures are in memory all at once
RENDERED_HEIGHT = 240  # pixels; larger pictures are shrunk to it
BATCH = 256  # decisions that vision takes at once
_DEFAULT_FPS = 30.0
_PLAYING = 0.7  # share of the work that making the frames is; only the progress shows it

OnProgress = Callable[[float], None]  # share done, 0 to 1; what it raises ends the trace


@dataclass(frozen=True, eq=False)
class ReplayTrace:
    """One episode of F frames and D decisions, one each `action_repeat` frames; everything is an array.

    Attributes:
        frames: uint8 (F+1, H, W, 3), the environment's picture before the first frame and after each: its own
            observation where that is a picture, else what it renders, at most 240 pixels high. None where it draws
            none.
        fps: frames a second at which it is true to life.
        decision_of: int (F+1,), the decision in force at each frame; D at the last.
        seen: uint8 (D+1, h, w, 3), what vision saw at each decision and at the end. None where it sees no pictures.
        reconstruction: uint8 (D+1, h, w, 3), vision's decoding of z; None where it does not reconstruct pictures.
        prediction: uint8 (D+1, h, w, 3), vision's decoding of the z that memory predicted one decision before; the
            first is the reconstruction. None where there is no reconstruction or memory does not predict.
        z: float32 (D+1, Z). h: float32 (D+1, H), H is 0 without a memory.
        action: (D, ...), as the environment took them. action_names: one for each of their numbers.
        reward: float64 (F,), of each frame. value: float32 (D,). entropy: float32 (D,), in nats.
        surprise: float32 (D+1,), squared error of the predicted z as a share of z's variance over the episode; 0 at the
            first, NaN where memory does not predict.
    """

    frames: np.ndarray | None
    fps: float
    decision_of: np.ndarray
    seen: np.ndarray | None
    reconstruction: np.ndarray | None
    prediction: np.ndarray | None
    z: np.ndarray
    h: np.ndarray
    action: np.ndarray
    action_names: tuple[str, ...]
    reward: np.ndarray
    value: np.ndarray
    entropy: np.ndarray
    surprise: np.ndarray


def trace(
    agent: Agent, replay: Replay, progress: OnProgress | None = None, simulator: Simulator | None = None
) -> ReplayTrace:
    """Play a replay's actions again and look at every decision through an agent, on the device it is on.

    Args:
        agent: the one that played it, or any other that observes and acts alike.
        replay: the episode.
        progress: told the share that is done.
        simulator: where it was played, such as a dream; None makes the replay's environment.

    Raises:
        UserError: the environment cannot be made, does not repeat itself, or the agent is made for another.
    """
    progress = progress or ignore
    if replay.frames > MOST_FRAMES:
        raise UserError(f"the episode has {replay.frames:,} frames; at most {MOST_FRAMES:,} can be watched again")
    told = lambda share: progress(share * _PLAYING)  # noqa: E731
    if simulator is None:
        scene = _play_environment(agent.model, replay, told)
    else:
        scene = _play(simulator, _DEFAULT_FPS / agent.action_repeat, agent.model, replay, told)
    with torch.inference_mode():
        return _look(agent.model, replay, scene, lambda share: progress(_PLAYING + share * (1 - _PLAYING)))


def ignore(share: float) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class _Scene:
    """What the environment showed: F frames, D decisions."""

    frames: np.ndarray | None  # uint8 (F+1, H, W, 3)
    fps: float
    observed: np.ndarray  # (D+1, C, h, w) uint8 or (D+1, N) float32, prepared
    reward: np.ndarray  # float64 (F,)
    first: list[int]  # (D,) the frame at which each decision was taken
    z: Tensor | None  # (D+1, Z) of a dream; None where vision is to look


def _play_environment(model: AgentModel, replay: Replay, progress: OnProgress) -> _Scene:
    """`_play` in the environment that the replay is of."""
    env = make_prepared_env(replay.env.model_copy(update={"render_mode": "rgb_array"}))
    with contextlib.closing(SingleEnv(env, replay.env, seeds=replay.seed, episodes=1)) as simulator:
        _check_fits(model, env, replay)
        return _play(simulator, float(env.metadata.get("render_fps") or _DEFAULT_FPS), model, replay, progress)


def _play(simulator: Simulator, fps: float, model: AgentModel, replay: Replay, progress: OnProgress) -> _Scene:
    """Make the frames again, one by one.

    Raises:
        UserError: as `trace`.
    """
    scene = _Filmed(model, replay, progress)
    steps = play_episodes(simulator, RecordedActions(replay.action), listeners=[scene], episodes=1, seed=replay.seed)
    for _ in itertools.islice(steps, len(replay.action)):
        pass
    return scene.scene(fps)


class _Filmed(Listener):
    """Notes every frame, and what is observed at every decision; refuses what does not repeat itself."""

    def __init__(self, model: AgentModel, replay: Replay, progress: OnProgress) -> None:
        self._model, self._replay, self._progress = model, replay, progress
        self._z: list[Tensor] = []  # of a dream, whose observations are beliefs
        self._frames, self._observed = list[np.ndarray | None](), list[np.ndarray]()
        self._rewards, self._first = list[float](), [0]

    def begin(self, simulator: Simulator, obs: Any) -> None:
        self._camera = _Camera(simulator)
        cast("Watchable", simulator).on_frame = self._on_frame
        self._observe(obs if isinstance(obs, Belief) else obs[0])
        self._frames.append(self._camera.take())

    def step(self, belief: Any, action: Any, step: Step) -> None:
        over = bool(step.terminated[0] or step.truncated[0])
        _check_same(self._replay, len(self._first) - 1, float(step.reward[0]), over)
        following = step.obs if isinstance(step.obs, Belief) else step.obs[0]
        self._observe(step.final_obs[0] if over else following)
        self._first.append(len(self._rewards))
        self._progress(len(self._first) / (len(self._replay.action) + 1))

    def _observe(self, obs: Any) -> None:
        if isinstance(obs, Belief):
            self._z.append(obs.z)
            with torch.inference_mode():
                seen = self._model.decode(obs)[0]
            obs = ((seen * 255).round().to(torch.uint8) if seen.dim() == 3 else seen).cpu().numpy()
        self._observed.append(np.array(obs))

    def _on_frame(self, action: Any, reward: float, over: bool) -> None:
        self._rewards.append(reward)
        self._frames.append(self._camera.take())

    def scene(self, fps: float) -> _Scene:
        """All that was noted."""
        pictures = [frame for frame in self._frames if frame is not None]
        return _Scene(
            np.stack(pictures) if len(pictures) == len(self._frames) else None,
            fps,
            np.stack(self._observed),
            np.array(self._rewards, np.float64),
            self._first[:-1],
            torch.cat(self._z) if self._z else None,
        )


class _Camera:
    """Takes an environment's picture: its own observation, or what it renders, shrunk to a height that is enough."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._observes_pictures = len(simulator.observation_space.shape) == 3
        self._draws = True

    def take(self) -> np.ndarray | None:
        """The present picture, uint8 (H, W, 3); None where there is none."""
        if not self._draws:
            return None
        try:
            picture = self._simulator.render()
        except UserError:
            self._draws = False
            return None
        height, width = picture.shape[:2]
        if height > RENDERED_HEIGHT and not self._observes_pictures:
            size = (max(1, round(width * RENDERED_HEIGHT / height)), RENDERED_HEIGHT)
            shrunk = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)
            picture = np.asarray(shrunk)
        return picture


def _check_fits(model: AgentModel, env: PreparedEnv, replay: Replay) -> None:
    if model.observation_space != env.observation_space or model.action_space != env.action_space:
        raise UserError(f"the model is made for another environment than {replay.env.id} as it was set in this replay")


def _check_same(replay: Replay, number: int, gained: float, over: bool) -> None:
    """Whether a decision came to what it came to when it was played.

    Raises:
        UserError: it did not.
    """
    expected, last = float(replay.reward[number]), number == len(replay.reward) - 1
    # An episode that was cut from outside ends before the environment would end it.
    if np.isclose(gained, expected, rtol=1e-9, atol=1e-9, equal_nan=True) and (last or not over):
        return
    found = f"reward {gained:g} in place of {expected:g}" if last or not over else "its end"
    now = versions()
    changed = [f"{name} {old}, here {now[name]}" for name, old in replay.versions.items() if now.get(name, old) != old]
    why = f"it was played with {', '.join(changed)}" if changed else "it draws random numbers beyond its seed"
    raise UserError(
        f"{replay.env.id} does not repeat itself: at decision {number + 1} of seed {replay.seed} it gave {found}; {why}"
    )


def _look(model: AgentModel, replay: Replay, scene: _Scene, progress: OnProgress) -> ReplayTrace:
    """What the three models make of a scene."""
    decisions = len(replay.action)
    z = scene.z
    if z is None:
        z = _in_batches(model.vision.encode, torch.from_numpy(scene.observed), model.device)
    action = torch.as_tensor(replay.action, device=model.device)
    h = _hidden(model, z, action)
    policy = model.controller.distribution(z[:-1], h[:-1])
    value = model.controller.worth(z[:-1], h[:-1])
    predicted = _predicted(model, z, h)
    progress(0.3)
    pictures = len(scene.observed.shape) == 4
    reconstruction = prediction = None
    if pictures and Tag.RECONSTRUCTS in model.vision.tags:
        reconstruction = _decoded(model, z)
        progress(0.6)
        if predicted is not None:
            prediction = np.concatenate([reconstruction[:1], _decoded(model, predicted)])
    decision_of = np.repeat(np.arange(decisions), np.diff([*scene.first, len(scene.reward)]))
    progress(1.0)
    return ReplayTrace(
        frames=scene.frames,
        fps=scene.fps,
        decision_of=np.append(decision_of, decisions),
        seen=_three_channels(to_pictures(torch.from_numpy(scene.observed))) if pictures else None,
        reconstruction=reconstruction,
        prediction=prediction,
        z=_array(z),
        h=_array(h),
        action=replay.action,
        action_names=action_names(model.action_space),
        reward=scene.reward,
        value=_array(value),
        entropy=_array(policy.entropy()),
        surprise=_surprise(z, predicted),
    )


def _hidden(model: AgentModel, z: Tensor, action: Tensor) -> Tensor:
    """h (D+1, H) at each of z (D+1, Z), after actions (D, ...)."""
    first = model.memory.initial_hidden(1)
    if model.memory.hidden_dim == 0:
        return first.expand(len(z), 0)
    is_first = torch.zeros(len(action), 1, dtype=torch.bool, device=z.device)
    is_first[0] = True
    encoded = model.action_encoding(action)[:, None]
    h, _ = model.memory.sequence(z[:-1, None], encoded, is_first, model.memory.initial_state(1))
    return torch.cat([first, h[:, 0]])


def _predicted(model: AgentModel, z: Tensor, h: Tensor) -> Tensor | None:
    """What memory expected z (D, Z) to be from the second on; None where it does not predict."""
    if Tag.PREDICTS not in model.memory.tags:
        return None
    return model.memory.predict(h[1:]).mean


def _surprise(z: Tensor, predicted: Tensor | None) -> np.ndarray:
    """Squared error of what was predicted (D, Z) of z (D+1, Z), as a share of z's variance; float32 (D+1,)."""
    if predicted is None:
        return np.full(len(z), np.nan, np.float32)
    variance = z.var(0, correction=0).sum().clamp_min(torch.finfo(z.dtype).tiny)
    error = (predicted - z[1:]).square().sum(1) / variance
    return np.concatenate([np.zeros(1, np.float32), _array(error)])


def _decoded(model: AgentModel, z: Tensor) -> np.ndarray:
    """Pictures uint8 (N, h, w, 3) of latents (N, Z)."""
    parts = [to_pictures(model.vision.decode(part)) for part in z.split(BATCH)]
    return _three_channels(np.concatenate(parts))


def _in_batches(encode: Callable[[Tensor], Tensor], observed: Tensor, device: torch.device) -> Tensor:
    return torch.cat([encode(part.to(device)) for part in observed.split(BATCH)])


def _three_channels(pictures: np.ndarray) -> np.ndarray:
    """Pictures (N, h, w, C) of one channel or three as three."""
    return np.repeat(pictures, 3, axis=3) if pictures.shape[3] == 1 else pictures


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
