"""A replay looked into: its frames made again, and what vision, memory and controller made of each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ewm_studio.acting.agent import Agent
from ewm_studio.envs.factory import make_training_env
from ewm_studio.envs.failures import environment_at_work
from ewm_studio.envs.prepared import PreparedEnv
from ewm_studio.envs.spaces import action_names, is_picture
from ewm_studio.errors import UserError
from ewm_studio.models.base import Tag
from ewm_studio.models.pictures import to_pictures
from ewm_studio.models.world_model import WorldModel
from ewm_studio.workspace.replays import Replay
from ewm_studio.workspace.versions import versions

MOST_FRAMES = 20_000  # an episode's pictures are in memory all at once
RENDERED_HEIGHT = 240  # pixels; larger pictures are shrunk to it
BATCH = 256  # decisions that vision takes at once
_DEFAULT_FPS = 30.0
_PLAYING = 0.7  # share of the work that making the frames is; only the progress shows it

OnProgress = Callable[[float], None]  # share done, 0 to 1; what it raises ends the study


@dataclass(frozen=True, eq=False)
class ReplayStudy:
    """One episode of F frames and D decisions, one each `action_repeat` frames; everything is an array.

    Attributes:
        frames: uint8 (F+1, H, W, 3), the environment's picture before the first frame and after each: its own
            observation where that is a picture, else what it renders, at most 240 pixels high. None where it draws
            none.
        fps: frames a second at which it is true to life.
        decision_of: int (F+1,), the decision in force at each frame; D at the last.
        seen: uint8 (D+1, h, w, 3), what vision saw at each decision and at the end. None where it sees no pictures.
        reconstruction: uint8 (D+1, h, w, 3), vision's decoding of z; None where it does not reconstruct pictures.
        prediction: uint8 (D+1, h, w, 3), vision's decoding of the z that memory foretold one decision before; the
            first is the reconstruction. None where there is no reconstruction or memory does not predict.
        z: float32 (D+1, Z). h: float32 (D+1, H), H is 0 without a memory.
        action: (D, ...), as the environment took them. action_names: one for each of their numbers.
        reward: float64 (F,), of each frame. value: float32 (D,). entropy: float32 (D,), in nats.
        surprise: float32 (D+1,), squared error of the foretold z as a share of z's variance over the episode; 0 at the
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


def study(agent: Agent, replay: Replay, progress: OnProgress | None = None) -> ReplayStudy:
    """Play a replay's actions again and look at every decision through an agent, on the device it is on.

    Args:
        agent: the one that played it, or any other that observes and acts alike.
        replay: the episode.
        progress: told the share that is done.

    Raises:
        UserError: the environment cannot be made, does not repeat itself, or the agent is made for another.
    """
    progress = progress or ignore
    if replay.frames > MOST_FRAMES:
        raise UserError(f"the episode has {replay.frames:,} frames; at most {MOST_FRAMES:,} can be watched again")
    scene = _play(agent, replay, lambda share: progress(share * _PLAYING))
    with torch.inference_mode():
        return _look(agent.world_model, replay, scene, lambda share: progress(_PLAYING + share * (1 - _PLAYING)))


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


def _play(agent: Agent, replay: Replay, progress: OnProgress) -> _Scene:
    """Make the frames again, one by one.

    Raises:
        UserError: as `study`.
    """
    # Each action is repeated here, because every frame is wanted.
    env = make_training_env(replay.env.model_copy(update={"action_repeat": 1, "render_mode": "rgb_array"}))
    assert isinstance(env, PreparedEnv)
    try:
        _check_fits(agent.world_model, env, replay)
        camera = _Camera(env)
        frames, observed, rewards, first = list[np.ndarray | None](), list[np.ndarray](), list[float](), list[int]()

        def look(decides: bool) -> None:
            raw = env.raw()
            frames.append(camera.take(raw))
            if decides:
                observed.append(np.array(env.preprocessor(raw)))

        with environment_at_work(replay.env.id):
            env.reset_blind(seed=replay.seed)
            look(True)
        over = False
        for number, action in enumerate(replay.action):
            first.append(len(rewards))
            gained = 0.0
            for turn in range(replay.env.action_repeat):
                with environment_at_work(replay.env.id):
                    reward, terminated, truncated, _ = env.step_blind(action)
                    over = terminated or truncated
                    look(over or turn == replay.env.action_repeat - 1)
                rewards.append(reward)
                gained += reward
                if over:
                    break
            _check_same(replay, number, gained, over)
            progress((number + 1) / len(replay.action))
    finally:
        env.close()
    pictures = [frame for frame in frames if frame is not None]
    return _Scene(
        np.stack(pictures) if len(pictures) == len(frames) else None,
        float(env.metadata.get("render_fps") or _DEFAULT_FPS),
        np.stack(observed),
        np.array(rewards, np.float64),
        first,
    )


class _Camera:
    """Takes an environment's picture: its own observation, or what it renders, shrunk to a height that is enough."""

    def __init__(self, env: PreparedEnv) -> None:
        self._env = env
        self._observes_pictures = is_picture(env.preprocessor.raw_space)
        self._renders = env.render_mode == "rgb_array"

    def take(self, raw: Any) -> np.ndarray | None:
        """The picture uint8 (H, W, 3) that goes with a raw observation; None where there is none."""
        if self._observes_pictures:
            picture = np.asarray(raw)
        else:
            picture = np.asarray(self._env.render()) if self._renders else np.zeros(0)
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.size == 0:
            return None
        picture = picture[..., None] if picture.ndim == 2 else picture
        height, width = picture.shape[:2]
        if height > RENDERED_HEIGHT and not self._observes_pictures:
            size = (max(1, round(width * RENDERED_HEIGHT / height)), RENDERED_HEIGHT)
            shrunk = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)
            picture = np.asarray(shrunk)
        return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else np.array(picture)


def _check_fits(model: WorldModel, env: PreparedEnv, replay: Replay) -> None:
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


def _look(model: WorldModel, replay: Replay, scene: _Scene, progress: OnProgress) -> ReplayStudy:
    """What the three models make of a scene."""
    decisions = len(replay.action)
    z = _in_batches(model.vision.encode, torch.from_numpy(scene.observed), model.device)
    action = torch.as_tensor(replay.action, device=model.device)
    h = _hidden(model, z, action)
    policy = model.controller.distribution(z[:-1], h[:-1])
    value = model.controller.value(z[:-1], h[:-1])
    foretold = _foretold(model, z, h)
    progress(0.3)
    pictures = len(scene.observed.shape) == 4
    reconstruction = prediction = None
    if pictures and Tag.RECONSTRUCTS in model.vision.tags:
        reconstruction = _decoded(model, z)
        progress(0.6)
        if foretold is not None:
            prediction = np.concatenate([reconstruction[:1], _decoded(model, foretold)])
    decision_of = np.repeat(np.arange(decisions), np.diff([*scene.first, len(scene.reward)]))
    progress(1.0)
    return ReplayStudy(
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
        surprise=_surprise(z, foretold),
    )


def _hidden(model: WorldModel, z: Tensor, action: Tensor) -> Tensor:
    """h (D+1, H) at each of z (D+1, Z), after actions (D, ...)."""
    first = model.memory.initial_hidden(1)
    if model.memory.hidden_dim == 0:
        return first.expand(len(z), 0)
    starts = torch.zeros(len(action), 1, dtype=torch.bool, device=z.device)
    starts[0] = True
    encoded = model.action_encoding(action)[:, None]
    h, _ = model.memory.sequence(z[:-1, None], encoded, starts, model.memory.initial_state(1))
    return torch.cat([first, h[:, 0]])


def _foretold(model: WorldModel, z: Tensor, h: Tensor) -> Tensor | None:
    """What memory expected z (D, Z) to be from the second on; None where it does not predict."""
    if Tag.PREDICTS not in model.memory.tags:
        return None
    return model.memory.predict(h[1:]).mean


def _surprise(z: Tensor, foretold: Tensor | None) -> np.ndarray:
    """Squared error of what was foretold (D, Z) of z (D+1, Z), as a share of z's variance; float32 (D+1,)."""
    if foretold is None:
        return np.full(len(z), np.nan, np.float32)
    variance = z.var(0, correction=0).sum().clamp_min(torch.finfo(z.dtype).tiny)
    error = (foretold - z[1:]).square().sum(1) / variance
    return np.concatenate([np.zeros(1, np.float32), _array(error)])


def _decoded(model: WorldModel, z: Tensor) -> np.ndarray:
    """Pictures uint8 (N, h, w, 3) of latents (N, Z)."""
    pieces = [to_pictures(model.vision.decode(piece)) for piece in z.split(BATCH)]
    return _three_channels(np.concatenate(pieces))


def _in_batches(encode: Callable[[Tensor], Tensor], observed: Tensor, device: torch.device) -> Tensor:
    return torch.cat([encode(piece.to(device)) for piece in observed.split(BATCH)])


def _three_channels(pictures: np.ndarray) -> np.ndarray:
    """Pictures (N, h, w, C) of one channel or three as three."""
    return np.repeat(pictures, 3, axis=3) if pictures.shape[3] == 1 else pictures


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
