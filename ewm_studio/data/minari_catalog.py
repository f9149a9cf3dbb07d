"""What there is of Minari: datasets of this machine and public ones, and how long and how good their episodes are.

The network is used by `remote_datasets` and `download` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ewm_studio.data.minari import check_minari, error_line, open_dataset, quiet
from ewm_studio.errors import JobError, UserError

_MAIN_FILE = "main_data.hdf5"  # of a dataset that Minari keeps as HDF5


@dataclass(frozen=True)
class DatasetInfo:
    """What a list of datasets shows of one.

    Attributes:
        id: as Minari calls it.
        env: the environment's id; empty where it does not say.
        episodes, steps: how many.
        megabytes: on the disk.
        local: whether it is on this machine.
        about: what its makers say of it.
    """

    id: str
    env: str
    episodes: int
    steps: int
    megabytes: float
    local: bool
    about: str = ""


@dataclass(frozen=True)
class DatasetEpisodes:
    """Every episode of a dataset: what it earned (E,), and its steps (E,)."""

    returns: np.ndarray
    lengths: np.ndarray

    def within(self, least: float, most: float) -> int:
        """How many earned that much."""
        return int(((self.returns >= least) & (self.returns <= most)).sum())


def local_datasets() -> list[DatasetInfo]:
    """Those on this machine, by their ids.

    Raises:
        UserError: Minari is not installed.
    """
    check_minari()
    import minari

    with quiet():
        return _infos(minari.list_local_datasets().values(), local=True)


def remote_datasets() -> list[DatasetInfo]:
    """Public ones that this version of Minari reads, the latest version of each, by their ids. Needs the network.

    Raises:
        UserError: Minari, or what it asks the Hub with, is not installed. JobError: they cannot be listed.
    """
    check_minari()
    import minari

    try:
        with quiet():
            found = minari.list_remote_datasets(latest_version=True, compatible_minari_version=True)
    except ImportError as error:
        raise _no_hub(error) from None
    except Exception as error:
        raise JobError(f"public Minari datasets cannot be listed ({error_line(error)}); is there a network?") from error
    return _infos(found.values(), local=False)


def download(dataset_id: str) -> None:
    """Bring a public dataset to this machine.

    Raises:
        UserError: Minari is not installed. JobError: it cannot be had.
    """
    check_minari()
    import minari

    try:
        with quiet():
            minari.download_dataset(dataset_id)
    except ImportError as error:
        raise _no_hub(error) from None
    except Exception as error:
        raise JobError(f"Minari dataset '{dataset_id}' cannot be downloaded ({error_line(error)})") from error


def dataset_episodes(dataset_id: str) -> DatasetEpisodes:
    """Returns and lengths of a dataset of this machine; observations are not read where that can be helped.

    Raises:
        UserError: there is no such dataset, or it cannot be read.
    """
    dataset = open_dataset(dataset_id)
    try:
        rewards = [np.asarray(each, float) for each in _rewards(dataset)]
    except Exception as error:
        raise UserError(f"Minari dataset '{dataset_id}' cannot be read ({error_line(error)})") from error
    return DatasetEpisodes(np.array([each.sum() for each in rewards]), np.array([len(each) for each in rewards], int))


def _rewards(dataset: Any) -> Iterable[Any]:
    """Of every episode its rewards (T,)."""
    file = dataset.storage.data_path / _MAIN_FILE
    if not file.is_file():
        yield from (episode.rewards for episode in dataset.iterate_episodes())
        return
    import h5py

    with h5py.File(file, "r") as opened:
        for number in dataset.episode_indices:
            yield opened[f"episode_{number}"]["rewards"][:]


def _infos(found: Iterable[dict[str, Any]], local: bool) -> list[DatasetInfo]:
    """Descriptions as Minari keeps them, each field of which may be missing or of another type."""
    infos = [
        DatasetInfo(
            id=str(each.get("dataset_id", "")),
            env=_env_of(each.get("env_spec")),
            episodes=int(_number(each.get("total_episodes"))),
            steps=int(_number(each.get("total_steps"))),
            megabytes=_number(each.get("dataset_size")),
            local=local,
            about=" ".join(str(each.get("description") or "").split())[:1000],
        )
        for each in found
    ]
    return sorted((info for info in infos if info.id), key=lambda info: info.id.casefold())


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if np.isfinite(number) else 0.0


def _env_of(spec: Any) -> str:
    try:
        return str(json.loads(spec)["id"])
    except (TypeError, ValueError, LookupError):
        return ""


def _no_hub(error: ImportError) -> UserError:
    return UserError(
        f"public Minari datasets need huggingface_hub ({error.name or error}); install it with the extra 'hub': "
        "uv sync --extra hub, or pip install 'ewm-studio[hub]'"
    )
