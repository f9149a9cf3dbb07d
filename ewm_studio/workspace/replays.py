"""Replays: what is kept of every evaluation, so that each of its episodes can be watched again.

    <evaluation>/model.safetensors    the model that played; it stays when the run drops its checkpoint
    <evaluation>/NNNNNN.replay        one episode: its seed, its actions (D, ...) and their rewards (D,)

An episode of a seeded environment is its seed and its actions; its frames are made again by playing them. Needs no
torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ewm_studio.errors import UserError
from ewm_studio.settings import EnvSettings
from ewm_studio.workspace import models
from ewm_studio.workspace.container import Entry, read_container, read_header, write_container
from ewm_studio.workspace.files import clean_leftovers, write_aside, write_error

FORMAT = "ewm-studio-replay"
VERSION = 1
SUFFIX = ".replay"
MODEL_NAME = "model.safetensors"
# safetensors' names of the dtypes that actions have.
_DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "int32": "I32", "uint32": "U32",
    "int64": "I64", "uint64": "U64", "float16": "F16", "float32": "F32", "float64": "F64",
}  # fmt: skip


Acts = Literal["controller", "planner"]


def manner(acts: Acts, greedy: bool) -> str:
    """How episodes are played, in a word or two."""
    if acts == "planner":
        return "planned" if greedy else "planned, sampled"
    return "greedy" if greedy else "sampled"


@dataclass(frozen=True)
class PlayedModel:
    """The model that played: what it was called, its sha256, its parts as "ConvVAE + MDNRNN + LinearController"."""

    name: str
    sha256: str
    parts: str


@dataclass(frozen=True, eq=False)
class Replay:
    """One played episode: D decisions, each applied for up to `env.action_repeat` frames.

    Attributes:
        env: the environment as it was set.
        seed: of its reset.
        greedy: whether the likeliest actions were taken, or the best plans.
        action: (D, ...), as the environment took them.
        reward: float64 (D,), what each decision earned.
        frames: steps of the environment.
        terminated: whether the task ended it; else it was cut.
        lap_finished: whether the car finished its lap; None where the environment has none.
        versions: of the packages it was played with.
        acts: who acted.
    """

    env: EnvSettings
    seed: int
    greedy: bool
    action: np.ndarray
    reward: np.ndarray
    frames: int
    terminated: bool
    lap_finished: bool | None = None
    versions: dict[str, str] = field(default_factory=dict)
    acts: Acts = "controller"


@dataclass(frozen=True)
class ReplayInfo:
    """A kept episode in a list, as its file's header tells it."""

    path: Path
    seed: int
    reward: float
    frames: int
    terminated: bool
    lap_finished: bool | None


@dataclass(frozen=True)
class Evaluation:
    """One evaluation that was kept. `created` is in seconds since 1970; `run` is empty where the model is of none."""

    folder: Path
    run: str
    created: float
    env_id: str
    greedy: bool
    acts: Acts
    model: PlayedModel

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def manner(self) -> str:
        """How it was played, in a word or two."""
        return manner(self.acts, self.greedy)

    @property
    def model_path(self) -> Path:
        """The model that played."""
        return self.folder / MODEL_NAME

    def episodes(self) -> list[ReplayInfo]:
        """Its episodes in the order they were played; what cannot be read is left out."""
        found = []
        for path in replay_paths(self.folder):
            with contextlib.suppress(UserError):
                found.append(_info(path, _described(path)))
        return found

    def model_file(self) -> Path:
        """The model that played, once it is sure that it is the same.

        Raises:
            UserError: it is gone, damaged or another.
        """
        found = _digest(self.model_path)
        if found != self.model.sha256:
            raise UserError(
                f"{self.model_path}: not the model that played, expected sha256 {self.model.sha256:.12}..., found "
                f"{found:.12}...; evaluate again"
            )
        return self.model_path


class EvaluationWriter:
    """Keeps the episodes of one evaluation; its folder and the model in it are made with the first one."""

    def __init__(self, parent: Path, model: str, parts: str, put_model: Callable[[Path], None]) -> None:
        """Write into a new folder of `parent`.

        Args:
            parent: a folder of replays.
            model: what the model that plays is called.
            parts: its components, as "ConvVAE + MDNRNN + LinearController".
            put_model: puts its file where it is told.
        """
        self._parent, self._put_model = parent, put_model
        self._model = PlayedModel(model, "", parts)
        self._created = time.time()
        self._count = 0
        self.folder: Path | None = None

    def add(self, replay: Replay) -> Path:
        """Keep an episode; it is safely on disk when this returns.

        Raises:
            UserError or JobError: it cannot be written.
        """
        if self.folder is None:
            folder = _claim(self._parent, self._created)
            self._put_model(folder / MODEL_NAME)
            self._model = dataclasses.replace(self._model, sha256=_digest(folder / MODEL_NAME))
            self.folder = folder
        path = self.folder / f"{self._count:06d}{SUFFIX}"
        entries = {"action": _entry(replay.action), "reward": _entry(replay.reward.astype(np.float64))}
        write_container(path, entries, self._description(replay))
        self._count += 1
        return path

    def _description(self, replay: Replay) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "created": self._created,
            "model": dataclasses.asdict(self._model),
            "env": replay.env.describe(),
            "seed": replay.seed,
            "greedy": replay.greedy,
            "acts": replay.acts,
            "reward": sum(replay.reward.tolist()),  # one after the other, as playing adds them up
            "frames": replay.frames,
            "terminated": replay.terminated,
            "lap_finished": replay.lap_finished,
            "versions": replay.versions,
        }


def load_replay(path: Path) -> Replay:
    """A kept episode, whole and checked.

    Raises:
        UserError: which file, what was expected, what was found.
    """
    from safetensors.numpy import load

    data, described = read_container(path, FORMAT, VERSION)
    try:
        arrays = load(data)
        action, reward = arrays["action"], arrays["reward"]
        if reward.ndim != 1 or not 0 < len(reward) == len(action) or reward.dtype != np.float64:
            raise ValueError("its parts do not fit together")
        return Replay(
            env=EnvSettings.of_file(described["env"]),
            seed=int(described["seed"]),
            greedy=bool(described["greedy"]),
            action=action,
            reward=reward,
            frames=int(described["frames"]),
            terminated=bool(described["terminated"]),
            lap_finished=_lap(described),
            versions={str(k): str(v) for k, v in described["versions"].items()},
            acts=_acts(described),
        )
    except Exception as error:
        raise _not_understood(path, error) from None


def evaluations_in(parent: Path, run: str = "") -> list[Evaluation]:
    """The evaluations in a folder of replays, newest first; those without a sound episode are left out."""
    found = []
    with contextlib.suppress(OSError):
        for folder in parent.iterdir():
            evaluation = _evaluation(folder, run)
            if evaluation is not None:
                found.append(evaluation)
    return sorted(found, key=lambda e: (e.created, e.name), reverse=True)


def replay_paths(folder: Path) -> list[Path]:
    """The episode files of an evaluation, in order."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.stem.isascii() and path.stem.isdecimal())


def link_model(source: Path, target: Path) -> None:
    """Have a model file of the workspace under a second name too: it takes no room while both are there.

    Only for files that are written aside and renamed, as ours are; else what changes one would change the other.

    Raises:
        UserError or JobError: it cannot be written.
    """
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that has no links
        copy_model(source, target)


def copy_model(source: Path, target: Path) -> None:
    """Copy a model file.

    Raises:
        UserError or JobError: it cannot be written.
    """
    write_aside(target, lambda temporary: _copy(source, temporary))


def _digest(model: Path) -> str:
    return read_header(model, models.FORMAT, models.VERSION).digest


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _claim(parent: Path, moment: float) -> Path:
    """A new folder named by the time; of several processes each gets its own."""
    start, number = time.strftime("%Y-%m-%d-%H%M%S", time.localtime(moment)), 1
    try:
        parent.mkdir(parents=True, exist_ok=True)
        clean_leftovers(parent)
        while True:
            folder = parent / (start if number == 1 else f"{start}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
                continue
            return folder
    except OSError as error:
        raise write_error(parent, error) from error


def _evaluation(folder: Path, run: str) -> Evaluation | None:
    for path in replay_paths(folder):
        with contextlib.suppress(UserError):
            described = _described(path)
            model = described["model"]
            return Evaluation(
                folder,
                run,
                float(described["created"]),
                str(described["env"]["id"]),
                bool(described["greedy"]),
                _acts(described),
                PlayedModel(str(model["name"]), str(model["sha256"]), str(model["parts"])),
            )
    return None


def _described(path: Path) -> dict[str, Any]:
    """A replay's description, its parts there."""
    described = read_header(path, FORMAT, VERSION).description
    try:
        float(described["created"]), described["env"]["id"], described["greedy"], _acts(described)
        described["model"]["name"], described["model"]["sha256"], described["model"]["parts"]
        int(described["seed"]), float(described["reward"]), int(described["frames"]), described["terminated"]
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise _not_understood(path, error) from None
    return described


def _info(path: Path, described: dict[str, Any]) -> ReplayInfo:
    return ReplayInfo(
        path,
        int(described["seed"]),
        float(described["reward"]),
        int(described["frames"]),
        bool(described["terminated"]),
        _lap(described),
    )


def _lap(described: dict[str, Any]) -> bool | None:
    lap = described.get("lap_finished")  # not in files of earlier versions
    return None if lap is None else bool(lap)


def _acts(described: dict[str, Any]) -> Acts:
    """The controller, where a file of an earlier version does not say.

    Raises:
        ValueError: it is nobody.
    """
    acts: Acts = described.get("acts", "controller")
    if acts not in get_args(Acts):
        raise ValueError(f"nobody acts who is called {acts!r:.40}")
    return acts


def _not_understood(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:160]
    return UserError(f"{path}: damaged, expected a replay, found one that is not understood ({reason}); delete it")


def _entry(array: np.ndarray) -> Entry:
    plain = np.ascontiguousarray(array)
    return Entry(_DTYPES[plain.dtype.name], plain.shape, plain.reshape(-1).view(np.uint8).data)
