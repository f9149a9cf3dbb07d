"""What a saved vision model makes of pictures: latents, reconstructions, figures, features as colors.

Torch is imported only inside functions, which are called off the GUI thread; all work takes one thread of PyTorch and
no number from its global random generator.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ewm_studio.errors import UserError
from ewm_studio.settings import EnvSettings

if TYPE_CHECKING:
    from torch import Tensor

    from ewm_studio.models.base import VisionModel

SHOWN = 8  # frames of an episode that are shown
SAMPLE = 64  # frames that figures are taken over
STRIDE = 3  # steps between two of them
SAMPLE_SECONDS = 8.0  # a slow environment gives fewer
IN_USE = 0.1  # nats; a latent that says less than this about a picture is not in use
REACH = 3.0  # least distance from zero that a slider reaches: three deviations of the prior


@dataclass(frozen=True, eq=False)
class EditableLatents:
    """Latents of N pictures, to be turned by hand one number at a time.

    Attributes:
        vision: the model that decodes them.
        latents: float32 (N, Z).
        weight: how much each number matters (Z,).
        sorted_by: what that is, in a word.
        tip: a sentence on one number, with a place for its weight.
        reach: how far from zero sliders go.
        decode_seconds: how long one picture takes.
    """

    vision: VisionModel[Any]
    latents: np.ndarray
    weight: np.ndarray
    sorted_by: str
    tip: str
    reach: float
    decode_seconds: float

    @property
    def order(self) -> np.ndarray:
        """Indices of the numbers (Z,), those that matter most first."""
        return np.argsort(-self.weight, kind="stable")

    def decode(self, z: np.ndarray) -> np.ndarray:
        """The picture uint8 (H, W, C) of one latent (Z,). May be called in any thread."""
        import torch

        from ewm_studio.models.device import threads
        from ewm_studio.models.pictures import to_pictures

        device = next(self.vision.parameters()).device
        with threads(1), torch.inference_mode():
            latent = torch.as_tensor(z, dtype=torch.float32, device=device)
            made: np.ndarray = to_pictures(self.vision.decode(latent[None]))[0]
        return made


@dataclass(frozen=True, eq=False)
class VisionView:
    """A model's view of N frames.

    Attributes:
        name: of the vision component; path: the model's file; step: where in the run it was saved.
        frames: uint8 (N, H, W, C); empty where the model observes no pictures.
        reconstruction: uint8 (N, H, W, C), or None.
        colors: how the feature maps differ from the usual ones at each place, as colors uint8 (N, H', W', 3), or None.
        latents: float32 (N, Z).
        kl: nats of each latent number (Z,), or None; usage: how often each code was taken (K,), or None.
        sample: frames that `kl` and `usage` are taken over.
        reach: how far from zero latents go.
        decode_seconds: how long one picture takes to decode.
    """

    name: str
    path: str
    step: int
    frames: np.ndarray
    reconstruction: np.ndarray | None = None
    colors: np.ndarray | None = None
    latents: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    kl: np.ndarray | None = None
    usage: np.ndarray | None = None
    sample: int = 0
    reach: float = REACH
    decode_seconds: float = 0.0
    vision: VisionModel[Any] | None = None

    @property
    def pictures(self) -> bool:
        """Whether the model observes pictures."""
        return len(self.frames) > 0

    @property
    def editable(self) -> EditableLatents | None:
        """The latents for the sliders; None where the model tells nothing of their information."""
        if self.kl is None or self.vision is None:
            return None
        tip = "Tells {:.2f} nats about a picture"
        return EditableLatents(self.vision, self.latents, self.kl, "information", tip, self.reach, self.decode_seconds)


class VisionViewer:
    """Loads models and looks at pictures through them; remembers the last model and the last environment's frames."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # one look at a time, whoever asks
        self._loaded: tuple[tuple[str, int], Any] = (("", 0), None)
        self._sampled: tuple[str, np.ndarray] = ("", np.zeros(0, np.uint8))
        self._why_none = ""  # why the environment gave no frames
        self._viewed: tuple[Any, np.ndarray | None, VisionView] | None = None  # model, frames, what came of it

    def view(self, path: str | Path, frames: np.ndarray | None = None) -> VisionView:
        """A model's view of frames uint8 (N, H, W, C), or, where these are missing or of another size, of its own.

        Asked again for the same model and frames, it gives the same view: a job that shows its held-out frames every
        other second is not slowed down by more looks at them.

        Raises:
            UserError: the file is missing, damaged, of another kind, or describes no model of this version.
        """
        with self._lock:
            agent = self._load(Path(path))
            if self._viewed is not None and self._viewed[0] is agent and _same(self._viewed[1], frames):
                return self._viewed[2]
            view = self._view(Path(path), agent, frames)
            self._viewed = agent, frames, view
            return view

    def _view(self, path: Path, agent: Any, frames: np.ndarray | None) -> VisionView:
        import torch

        from ewm_studio.models.device import threads
        from ewm_studio.models.pictures import to_pictures
        from ewm_studio.models.randomness import drawing_from, make_generator

        vision, step = agent.model.vision, int(agent.metadata.get("checkpoint", {}).get("step", 0))
        name = agent.model.parts["vision"].name
        shape = vision.observation_space.shape
        if len(shape) != 3:
            return VisionView(name, str(path), step, np.zeros((0, 0, 0, 0), np.uint8), vision=vision)
        sample = self._sample(agent.env, shape)
        if frames is None or frames.ndim != 4 or frames.shape[1:] != (*shape[1:], shape[0]):
            frames = to_pictures(torch.from_numpy(sample[:: max(1, len(sample) // SHOWN)][:SHOWN]))
        if not len(frames):
            raise UserError(f"its environment gave no frames to look at: {self._why_none}")
        shown = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
        everything = torch.cat([shown, torch.from_numpy(sample)]) if len(sample) else shown
        with threads(1), drawing_from(make_generator(0)), torch.inference_mode():  # the other cores belong to the job
            figures = _look(vision, shown, everything)
        return VisionView(name, str(path), step, frames, vision=vision, **figures)

    def _load(self, path: Path) -> Any:
        from ewm_studio.acting.agent import load_agent

        key = (str(path), path.stat().st_mtime_ns if path.is_file() else 0)
        if key != self._loaded[0]:
            self._loaded = key, load_agent(path)
        return self._loaded[1]

    def _sample(self, env: EnvSettings, shape: tuple[int, ...]) -> np.ndarray:
        """Frames uint8 (N, C, H, W) of short random episodes; none where the environment gives none like these."""
        nothing = np.zeros((0, *shape), np.uint8)
        key = json.dumps(env.of_model())
        if key != self._sampled[0]:
            try:
                self._sampled = key, random_frames(env)
            except Exception as error:  # it is gone or broken, this time: the frames at hand must do
                self._why_none = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                return nothing
        found = self._sampled[1]
        if found.shape[1:] == shape:
            return found
        self._why_none = f"they are {found.shape[1:]}, and the model observes {shape}"
        return nothing


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Whether frames are the same, or both missing."""
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def random_frames(settings: EnvSettings, count: int = SAMPLE) -> np.ndarray:
    """Prepared frames uint8 (N, C, H, W) of random episodes, a few steps apart; the same ones every time.

    Raises:
        UserError: the environment cannot be made, or was too slow to give any.
    """
    from ewm_studio.acting.episode import play_episodes
    from ewm_studio.acting.random_policy import RandomPolicy
    from ewm_studio.envs.factory import make_prepared_env, settling_frames
    from ewm_studio.envs.single import SingleEnv

    settings = settings.model_copy(update={"render_mode": None})
    env = make_prepared_env(settings, window=False)
    end, frames = time.monotonic() + SAMPLE_SECONDS, list[np.ndarray]()
    skip, at = -(-settling_frames(env) // settings.action_repeat), 0  # decisions since the episode began
    enough = lambda: len(frames) >= count or time.monotonic() >= end  # noqa: E731
    with contextlib.closing(SingleEnv(env, settings, seeds=1)) as simulator:
        policy = RandomPolicy(env.action_space, np.random.default_rng(7))
        for step in play_episodes(simulator, policy, stopped=enough):
            at = 0 if step.episodes else at + 1
            if at >= skip and (at - skip) % STRIDE == 0:
                frames.append(step.obs[0].copy())
    if not frames:
        raise UserError(f"{settings.id} gave none in {SAMPLE_SECONDS:.0f} s")
    return np.stack(frames)


def _look(vision: VisionModel[Any], shown: Tensor, sample: Tensor) -> dict[str, Any]:
    """Everything about the frames `shown` (N, C, H, W); figures over `sample` (M, C, H, W), which begins with them."""
    from ewm_studio.models.base import Tag
    from ewm_studio.models.pictures import to_pictures

    latents = vision.encode(shown)
    everything = vision.encode(sample)
    figures = vision.diagnostics(sample)
    found: dict[str, Any] = {
        "latents": latents.cpu().numpy(),
        "kl": figures.get("kl"),
        "usage": figures.get("usage"),
        "sample": len(sample),
        "reach": max(REACH, float(everything.abs().max()) * 1.05),
    }
    if Tag.RECONSTRUCTS in vision.tags:
        found["reconstruction"] = to_pictures(vision.decode(latents))
        began = time.perf_counter()
        vision.decode(latents[:1])
        found["decode_seconds"] = time.perf_counter() - began
    if "features" in figures:
        maps = np.stack([vision.diagnostics(sample[index : index + 1])["features"] for index in range(len(sample))])
        if len(maps) > len(shown):
            maps = maps - maps.mean(0)  # else the colors tell little more than the place in the picture
        found["colors"] = feature_colors(maps)[: len(shown)]
    return found


def feature_colors(features: np.ndarray) -> np.ndarray:
    """Feature maps (N, H, W, F) as colors uint8 (N, H, W, 3): their three main directions, over all N maps.

    Red, green and blue are the first, second and third principal component, each from its 2nd to its 98th percentile.
    """
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    flat = flat - flat.mean(0)
    _, directions = np.linalg.eigh(flat.T @ flat)
    main = directions[:, ::-1][:, :3]  # (F, 3), the widest first
    main = main * np.where(main[np.abs(main).argmax(0), range(main.shape[1])] < 0, -1.0, 1.0)  # a sign is arbitrary
    parts = flat @ main
    low, high = np.percentile(parts, (2, 98), axis=0)
    unit = np.clip((parts - low) / np.maximum(high - low, 1e-12), 0, 1)
    colors = np.full((len(flat), 3), 0.5)
    colors[:, : unit.shape[1]] = unit
    return np.round(colors * 255).astype(np.uint8).reshape(*features.shape[:3], 3)


def in_use(view: VisionView) -> int:
    """How many latent numbers, or codes, carry something."""
    if view.kl is not None:
        return int((view.kl > IN_USE).sum())
    return int((view.usage > 0).sum()) if view.usage is not None else 0
