"""Where a dream begins: at any frame of a replay or a recording, on a fresh track, or at latents that are drawn.

Memory is warmed up on the real frames before, one a decision; decisions are counted back from the frame that the dream
begins at, so that it may be any.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ewm_studio.data.episode_file import EpisodeFile, one_of, open_episode
from ewm_studio.data.recordings import DREAMT
from ewm_studio.dreams.limits import FRESH_FRAMES
from ewm_studio.dreams.real_world import Dreamer, Moment, RealWorld
from ewm_studio.envs.factory import settling_frames
from ewm_studio.envs.failures import WrongOutput
from ewm_studio.envs.preprocess import picture_layout
from ewm_studio.envs.spaces import Layout, describe, space_from_json
from ewm_studio.errors import UserError
from ewm_studio.models.belief import Belief
from ewm_studio.models.prediction import PredictiveMemory
from ewm_studio.models.randomness import make_generator, normal_like
from ewm_studio.models.world_model import WorldModel
from ewm_studio.workspace.replays import Replay

WARM = 64  # decisions before the dream that memory takes in, where there are as many
Decide = Callable[[Belief, Generator], Any]  # one decision (1, ...)


@dataclass(frozen=True, eq=False)
class Start:
    """What a dream begins with.

    Attributes:
        words: what it is, as "replay 000003 of carracing-3, frame 574".
        belief: what is believed there, of one.
        z: latents (J + 1, Z) of the real frames before it, the present one last.
        actions: decisions (J, ...) between them.
        picture: what is really to be seen there, uint8 (H, W, 3); None where that is nothing.
        following: decisions (N, ...) that really came next; none where that is not known.
        moment: what leads the true environment there; None where nothing does.
        no_moment: why not.
    """

    words: str
    belief: Belief
    z: Tensor
    actions: NDArray
    picture: np.ndarray | None
    following: NDArray
    moment: Moment | None = None
    no_moment: str = ""


def from_replay(dreamer: Dreamer, replay: Replay, frame: int, words: str = "replay") -> Start:
    """Begin at a frame of a replay, which is played again up to there.

    Args:
        dreamer: dreams.
        replay: the episode.
        frame: 0 is the reset; up to the last but one.
        words: what the replay is called.

    Raises:
        UserError: there is no such frame, the model is made for something else, or its memory predicts nothing.
        JobError: the environment failed.
    """
    dreamer.model.require_imagination()
    _check_frame(frame, replay.frames, words)
    actions = np.repeat(replay.action, replay.env.action_repeat, axis=0)[: replay.frames]
    with contextlib.closing(RealWorld(replay.env)) as world:
        world.check_fits(dreamer)
        moment = Moment(replay.env, replay.seed, actions[:frame])
        return _led(dreamer, world, moment, f"{words}, frame {frame}", actions[frame:])


def from_track(dreamer: Dreamer, seed: int, act: Decide | None = None, frames: int = FRESH_FRAMES) -> Start:
    """Begin on a fresh track: the environment is reset with a seed and acted in for some frames.

    Args:
        dreamer: dreams.
        seed: of the reset, and of what is drawn.
        act: who acts; None does nothing.
        frames: that pass before; those are added that are no part of the task, as while CarRacing's camera comes down.
            Of an episode that is over by then, half.

    Raises:
        UserError: as `from_replay`. JobError: the environment failed.
    """
    dreamer.model.require_imagination()
    env = dreamer.env.as_played()
    repeat, generator = env.action_repeat, make_generator(seed, dreamer.model.device)
    with contextlib.closing(RealWorld(env)) as world:
        world.check_fits(dreamer)
        world.lead(seed, np.zeros(0))
        decisions = max(1, -(-frames // repeat))
        idle = -(-settling_frames(world.env) // repeat)
        neutral, done = _neutral(dreamer.model.action_space), list[NDArray]()
        belief: Belief | None = None
        for number in range(idle + decisions):
            action = neutral
            if act is not None and number >= idle:
                belief = _believe(dreamer, world, belief, done[-1] if done else None)
                with torch.inference_mode():
                    action = np.asarray(_on_cpu(act(belief, generator)))[0]
            done += [np.array(action)] * repeat
            for _ in range(repeat):
                world.frame(action)
            if world.over:
                done = done[: (number + 1) // 2 * repeat]
                break
        actions = np.stack([*done, np.array(neutral)])[:-1]
        return _led(dreamer, world, Moment(env, seed, actions), f"track {seed}, frame {len(done)}", actions[:0])


def from_recording(dreamer: Dreamer, path: Path, frame: int) -> Start:
    """Begin at a frame of a recorded episode, also one of a dream.

    The true environment can be led there where the episode was recorded from its reset on and repeats itself.

    Raises:
        UserError: as `from_replay`; or the file is damaged.
    """
    dreamer.model.require_imagination()
    with open_episode(path) as file:
        words = f"recording {path.parent.name}, episode {path.stem}"
        _check_frame(frame, file.length, words)
        seen = _Seen(dreamer, file, words)
        each = seen.frames
        warm = min(WARM, frame // each)
        rows = [frame - (warm - k) * each for k in range(warm + 1)]
        obs = torch.from_numpy(np.stack([seen.prepared(row) for row in rows])).to(dreamer.model.device)
        action = file.column("action")
        decided, following = merged(action[rows[0] : frame], each), merged(action[frame:], each)
        z, belief = warmed(dreamer.model, obs, decided)
        moment, why = _moment_of(dreamer, file, frame, path)
        return Start(f"{words}, frame {frame}", belief, z, decided, seen.picture(frame), following, moment, why)


def from_nowhere(dreamer: Dreamer, seed: int) -> Start:
    """Begin at latents that are drawn, as often as memory met them and each by itself; no environment stands there.

    Raises:
        UserError: memory predicts nothing, or takes in codes, of which numbers drawn alone make none.
    """
    world = dreamer.model
    world.require_imagination()
    memory = world.memory
    if world.vision.code_cells:
        raise UserError("latents of a codebook cannot be drawn number by number; begin at a frame")
    like = torch.zeros(1, memory.latent_dim, device=world.device)
    z = normal_like(like, make_generator(seed, world.device))
    if isinstance(memory, PredictiveMemory):
        z = memory.latent_scale.restore(z)
    belief = Belief(z, memory.initial_hidden(1), memory.initial_state(1))
    nothing = np.zeros((0, *(world.action_space.shape or ())), world.action_space.dtype)
    why = "nothing real stands at latents that were drawn"
    return Start(f"random latents, seed {seed}", belief, z, nothing, None, nothing, None, why)


@torch.inference_mode()
def warmed(world: WorldModel, obs: Tensor, actions: NDArray) -> tuple[Tensor, Belief]:
    """Latents (J + 1, Z) of prepared observations (J + 1, ...) and the belief at the last, after decisions (J, ...).

    An inference tensor would not go into what is trained; these are clones.
    """
    z = world.vision.encode(obs)
    return z.clone(), remembered(world, z, actions).clone()


@torch.inference_mode()
def remembered(world: WorldModel, z: Tensor, actions: NDArray) -> Belief:
    """What is believed at the last of latents (J + 1, Z), after decisions (J, ...)."""
    memory = world.memory
    state, h = memory.initial_state(1), memory.initial_hidden(1)
    if len(actions) and memory.hidden_dim:
        taken = world.action_encoding(torch.as_tensor(actions, device=z.device))[:, None]
        is_first = torch.zeros(len(actions), 1, dtype=torch.bool, device=z.device)
        hidden, state = memory.sequence(z[:-1, None], taken, is_first, state)
        h = hidden[-1]
    return Belief(z[-1:], h, state)


def merged(actions: NDArray, repeat: int) -> NDArray:
    """Decisions (D, ...) that stand for actions (F, ...) of frames: continuous ones averaged, of others the last."""
    groups = [actions[at : at + repeat] for at in range(0, len(actions), repeat)]
    if not groups:
        return actions[:0]
    if actions.dtype.kind != "f":
        return np.stack([group[-1] for group in groups])
    return np.stack([group.mean(0).astype(actions.dtype) for group in groups])


def _led(dreamer: Dreamer, world: RealWorld, moment: Moment, words: str, following: NDArray) -> Start:
    """Lead an environment to a moment, looking at it once a decision on the way."""
    repeat, frame = dreamer.env.action_repeat, len(moment.actions)
    warm = min(WARM, frame // repeat)
    first = frame - warm * repeat
    world.lead(moment.seed, moment.actions[:first])
    obs = [np.array(_prepared(dreamer, world.raw()))]
    for at in range(first, frame):
        world.frame(moment.actions[at])
        if (at + 1 - first) % repeat == 0:
            obs.append(np.array(_prepared(dreamer, world.raw())))
    decided = merged(moment.actions[first:], repeat)
    z, belief = warmed(dreamer.model, torch.from_numpy(np.stack(obs)).to(dreamer.model.device), decided)
    return Start(words, belief, z, decided, world.picture(), merged(following, repeat), moment)


def _believe(dreamer: Dreamer, world: RealWorld, belief: Belief | None, action: NDArray | None) -> Belief:
    """What is believed of an environment now, after an action that followed the last belief."""
    model = dreamer.model
    obs = torch.from_numpy(np.array(_prepared(dreamer, world.raw()))[None]).to(model.device)
    with torch.inference_mode():
        if belief is None or action is None:
            return model.begin(obs)
        return model.observe(belief, torch.as_tensor(action[None], device=model.device), obs)


class _Seen:
    """The observations of a recorded episode, as a model sees them.

    Attributes:
        frames: rows of the file that are one decision.
    """

    def __init__(self, dreamer: Dreamer, file: EpisodeFile, words: str) -> None:
        meta, model = file.meta, dreamer.model
        self._file, self._dreamer = file, dreamer
        self.dreamt = meta.get("source") == DREAMT
        self.frames = max(1, dreamer.env.action_repeat // (int(meta.get("action_repeat", 1)) if self.dreamt else 1))
        self._space = _space(meta, "observation_space")
        expected = model.observation_space if self.dreamt else dreamer.preprocessor.raw_space
        found = _as_prepared(self._space) if self.dreamt else self._space
        for what, own, other in (
            ("shows", expected, found),
            ("was acted in by", model.action_space, _space(meta, "action_space")),
        ):
            if other is not None and own != other:
                raise UserError(
                    f"{words} {what} {describe(other)}, and the model takes {describe(own)}; choose a model that was "
                    "trained on it"
                )

    def raw(self, row: int) -> Any:
        """One observation as it was recorded."""
        return one_of(self._file.obs(slice(row, row + 1)), 0)

    def prepared(self, row: int) -> NDArray:
        """The same as the model sees it: what was dreamt was made of prepared ones."""
        raw = self.raw(row)
        if not self.dreamt:
            return np.array(_prepared(self._dreamer, raw))
        return np.ascontiguousarray(raw.transpose(2, 0, 1)) if np.ndim(raw) == 3 else np.array(raw)

    def picture(self, row: int) -> np.ndarray | None:
        """The same as a person sees it."""
        layout = picture_layout(self._space) if self._space is not None else None
        return None if layout is None else _rgb(self.raw(row), layout)


def _moment_of(dreamer: Dreamer, file: EpisodeFile, frame: int, path: Path) -> tuple[Moment | None, str]:
    """What leads the true environment to a frame of a recording, and else why nothing does."""
    meta = file.meta
    if meta.get("source") == DREAMT:
        return None, "it was dreamt"
    if meta.get("first_step", 0):
        return None, "what came before its first frame was not recorded"
    if "seed" not in meta:
        return None, "it does not say by which seed it began"
    env = dreamer.env.as_played().model_copy(
        update={"id": meta["env"], "kwargs": meta.get("env_kwargs", dreamer.env.kwargs)}
    )
    number = int(path.stem) if path.stem.isdecimal() else 1
    first = int(meta["seed"])
    actions = file.column("action")[:frame]
    with contextlib.closing(RealWorld(env)) as world:
        # Earlier recordings of models' play name the first episode's seed in all, from which the others count up.
        for seed in (seed for seed in dict.fromkeys((first, first + number - 1)) if seed >= 0):
            world.lead(seed, actions[:0])
            if _same(world.raw(), one_of(file.obs(slice(0, 1)), 0)):
                world.lead(seed, actions)
                if _same(world.raw(), one_of(file.obs(slice(frame, frame + 1)), 0)):
                    return Moment(env, seed, actions), ""
    return None, f"{meta['env']} does not come to this frame by its seed and actions here"


def _same(one: Any, other: Any) -> bool:
    """Whether two observations agree to the last bit."""
    if isinstance(one, dict):
        return isinstance(other, dict) and all(_same(part, other.get(name)) for name, part in one.items())
    if isinstance(one, tuple):
        return isinstance(other, tuple) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return np.array_equal(np.asarray(one), np.asarray(other))


def _prepared(dreamer: Dreamer, raw: Any) -> NDArray:
    try:
        return dreamer.preprocessor(raw)
    except WrongOutput as error:
        raise UserError(f"the model was given {error}") from None


def _space(meta: dict[str, Any], name: str) -> gym.Space | None:
    found = meta.get(name)
    return space_from_json(found) if isinstance(found, dict) else None


def _as_prepared(space: gym.Space | None) -> gym.Space | None:
    """The space of prepared observations whose pictures (H, W, C) these are."""
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 3:
        return space
    height, width, channels = space.shape
    return gym.spaces.Box(0, 255, (channels, height, width), np.uint8)


def _rgb(picture: NDArray, layout: Layout) -> np.ndarray:
    """A recorded picture as uint8 (H, W, 3)."""
    found = picture[..., None] if picture.ndim == 2 else picture.transpose(1, 2, 0) if layout == "CHW" else picture
    return np.repeat(found, 3, axis=2) if found.shape[2] == 1 else np.array(found[:, :, :3])


def _check_frame(frame: int, length: int, words: str) -> None:
    if not 0 <= frame <= length:
        raise UserError(f"{words} has no frame {frame}; give one from 0 to {length}")


def _neutral(space: gym.Space) -> Any:
    """An action that does nothing, as far as a space tells: zeros; of a choice the first."""
    if isinstance(space, gym.spaces.Box):
        return np.clip(np.zeros(space.shape), space.low, space.high).astype(space.dtype)
    if isinstance(space, gym.spaces.Discrete):
        return np.asarray(space.start, space.dtype)
    return np.zeros(space.shape or (), space.dtype)


def _on_cpu(action: Any) -> Any:
    return action.cpu().numpy() if isinstance(action, Tensor) else action
