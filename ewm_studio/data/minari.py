"""Recordings out to Minari datasets and in from them, one episode in memory at a time and without loss.

Minari keeps its datasets in `MINARI_DATASETS_PATH` or `~/.minari/datasets`.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from ewm_studio.data.episode_file import leaves, one_of, open_episode
from ewm_studio.data.library import Library
from ewm_studio.data.recordings import Recording, RecordingWriter
from ewm_studio.envs.spaces import space_from_json, space_to_json
from ewm_studio.errors import UserError, nearest
from ewm_studio.processes.living import owner
from ewm_studio.workspace.files import move_new, write_error
from ewm_studio.workspace.workspace import safe_name

if TYPE_CHECKING:
    from minari import EpisodeData, MinariDataset
    from minari.data_collector import EpisodeBuffer

OnEpisodes = Callable[[int, int], None]  # (episodes done, of how many)
ANY_RETURN = (-math.inf, math.inf)
_ACTIONS = (gym.spaces.Box, gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)


def check_minari() -> None:
    """Make sure that Minari is there.

    Raises:
        UserError: it is not, or lacks what it reads its files with.
    """
    try:
        import minari
        from minari.dataset._storages import hdf5_storage  # noqa: F401  an extra of Minari's
    except ImportError as error:
        raise UserError(
            f"Minari is not installed ({error.name or error}); install it with the extra 'minari': "
            "uv sync --extra minari, or pip install 'ewm-studio[minari]'"
        ) from None
    del minari


def datasets() -> list[str]:
    """The ids of the Minari datasets on this machine.

    Raises:
        UserError: Minari is not installed.
    """
    check_minari()
    import minari

    with quiet():
        return list(minari.list_local_datasets())


def export_recording(recording: Recording, dataset_id: str, progress: OnEpisodes | None = None) -> Path:
    """Write a recording as a Minari dataset; gives its folder. Who drove goes into `infos["manual"]`.

    Args:
        recording: what to export; its damaged episodes are left out.
        dataset_id: `name-v0` or `namespace/name-v0`.
        progress: told after every episode, where given.

    Raises:
        UserError: Minari is missing, the id is malformed or taken, or an episode is damaged. JobError: full disk.
    """
    check_minari()
    from minari.dataset.minari_storage import MinariStorage
    from minari.storage.datasets_root_dir import get_dataset_path

    _check_id(dataset_id)
    root, target = get_dataset_path(), get_dataset_path(dataset_id)
    if target.exists():
        raise UserError(f"there is a Minari dataset '{dataset_id}' already; choose another name or a higher version")
    aside = root / f".{owner()}"  # Minari lists no hidden folders
    try:
        with quiet():
            aside.mkdir()
            storage = MinariStorage.new(
                aside / "data",
                space_from_json(recording.meta["observation_space"]),
                space_from_json(recording.meta["action_space"]),
                _env_spec(recording.env_id),
                jpeg_encoding=False,  # else pictures would come back with errors
            )
            storage.update_metadata(_description(recording, dataset_id))
            storage.update_episodes(_buffers(recording, progress))
            _make_namespace(dataset_id)
            move_new(aside, [target])
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def import_dataset(
    library: Library,
    dataset_id: str,
    name: str = "",
    env_id: str = "",
    progress: OnEpisodes | None = None,
    returns: tuple[float, float] = ANY_RETURN,
) -> Path:
    """Read a Minari dataset of this machine into a new recording; gives its folder.

    Args:
        library: where the recording goes.
        dataset_id: as Minari lists it.
        name: of the recording; the dataset's by default.
        env_id: the environment it is of, where the dataset does not say.
        progress: told after every episode, where given.
        returns: the least and the most that an episode may have earned to be read.

    Raises:
        UserError: Minari is missing, there is no such dataset, it cannot be read, its observations are no numbers, no
            episode earned that, or the name is taken. JobError: the disk is full.
    """
    dataset = open_dataset(dataset_id)
    found = str(dataset.env_spec.id) if dataset.env_spec is not None else ""
    if not (env_id or found):
        raise UserError(f"Minari dataset '{dataset_id}' does not say which environment it is of; give --env")
    if not dataset.total_episodes:
        raise UserError(f"Minari dataset '{dataset_id}' holds no episode")
    if not isinstance(dataset.action_space, _ACTIONS):
        raise UserError(f"Minari dataset '{dataset_id}' has actions of the space {dataset.action_space}; no model has")
    name = name or safe_name(dataset_id.replace("/", "-"))
    least, most = returns
    meta = {
        "env": env_id or found,
        "source": "minari",
        "dataset": dataset_id,
        "observation_space": space_to_json(dataset.observation_space),
        "action_space": space_to_json(dataset.action_space),
    }
    with library.aside(name) as folder:
        writer, kept, earned = RecordingWriter(folder, meta), 0, []
        for number, episode in enumerate(_episodes(dataset), 1):
            earned.append(float(np.sum(episode.rewards)))
            if least <= earned[-1] <= most:
                _write(writer, episode, f"Minari dataset '{dataset_id}', episode {episode.id}")
                kept += 1
            if progress is not None:
                progress(number, int(dataset.total_episodes))
        if not kept:
            raise UserError(
                f"Minari dataset '{dataset_id}': no episode earned {_between(least, most)}; their returns go from "
                f"{min(earned):.4g} to {max(earned):.4g}"
            )
    return library.folder / name


def _between(least: float, most: float) -> str:
    """Limits in words."""
    if math.isinf(most):
        return f"at least {least:g}"
    return f"at most {most:g}" if math.isinf(least) else f"{least:g} to {most:g}"


def _check_id(dataset_id: str) -> None:
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        parse_dataset_id(dataset_id)
    except (ValueError, TypeError):
        raise UserError(
            f"'{dataset_id}' is no id of a Minari dataset; give one such as my-laps-v0 or carracing/my-laps-v0"
        ) from None


def _env_spec(env_id: str) -> Any:
    """The registered environment, by which Minari makes it again; None where it is not known here."""
    from ewm_studio.envs.factory import find_spec

    with contextlib.suppress(UserError):
        return find_spec(env_id)
    return None


def _description(recording: Recording, dataset_id: str) -> dict[str, Any]:
    return {
        "dataset_id": dataset_id,
        "minari_version": metadata.version("minari"),
        "algorithm_name": str(recording.meta.get("source", "")),
        "description": f"{recording.env_id}, recorded with EWM Studio",
    }


def _buffers(recording: Recording, progress: OnEpisodes | None) -> Iterator[EpisodeBuffer]:
    """The episodes as Minari takes them."""
    from minari.data_collector import EpisodeBuffer

    for number, info in enumerate(recording.episodes):
        with open_episode(info.path) as episode:
            manual = episode.column("manual")
            yield EpisodeBuffer(
                id=number,
                observations=episode.obs(),
                actions=episode.column("action"),
                rewards=episode.column("reward"),
                terminations=episode.column("terminated"),
                truncations=episode.column("truncated"),
                infos={"manual": np.append(False, manual)},  # one of the reset, then one a step
            )
        if progress is not None:
            progress(number + 1, len(recording))


def _make_namespace(dataset_id: str) -> None:
    from minari.dataset.minari_dataset import parse_dataset_id
    from minari.namespace import create_namespace, list_local_namespaces

    namespace = parse_dataset_id(dataset_id)[0]
    if namespace is not None and namespace not in list_local_namespaces():
        create_namespace(namespace)


def open_dataset(dataset_id: str) -> MinariDataset:
    """A dataset of this machine.

    Raises:
        UserError: Minari is missing, there is no such dataset, or it cannot be read.
    """
    check_minari()
    import minari

    _check_id(dataset_id)
    with quiet():
        try:
            return minari.load_dataset(dataset_id)
        except FileNotFoundError:
            raise UserError(
                f"no Minari dataset '{dataset_id}' on this machine; {nearest(dataset_id, datasets())} "
                f"`minari download {dataset_id}` fetches a public one"
            ) from None
        except Exception as error:
            raise UserError(f"Minari dataset '{dataset_id}' cannot be read ({error_line(error)})") from error


def _episodes(dataset: MinariDataset) -> Iterator[EpisodeData]:
    """One episode at a time."""
    for index in dataset.episode_indices:
        try:
            with quiet():
                (episode,) = dataset.iterate_episodes([index])
        except (OSError, KeyError, ValueError, AssertionError) as error:
            raise UserError(f"Minari dataset '{dataset.id}' cannot be read ({error_line(error)})") from error
        yield episode


def _write(writer: RecordingWriter, episode: EpisodeData, where: str) -> None:
    steps = len(episode.rewards)
    observations = episode.observations
    lengths = {len(leaf) for leaf in leaves(observations)}
    if lengths != {steps + 1} or steps < 1:
        raise UserError(f"{where}: expected one observation more than steps, found {sorted(lengths)} and {steps}")
    driven = np.asarray((episode.infos or {}).get("manual", False), bool)
    driven = driven[1:] if driven.shape == (steps + 1,) else np.zeros(steps, bool)
    actions = np.asarray(episode.actions)
    writer.begin(one_of(observations, 0))
    for t in range(steps):
        writer.step(actions[t], float(episode.rewards[t]), one_of(observations, t + 1), bool(driven[t]))
    writer.end(bool(episode.terminations[-1]), bool(episode.truncations[-1]))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Minari's advice about metadata, and Gymnasium's about environments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def error_line(error: Exception) -> str:
    """A library's complaint in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
