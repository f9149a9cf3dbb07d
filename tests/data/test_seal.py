"""Damage to an episode's file is found before HDF5 follows it; files of earlier versions are read on."""

import os
import time

import h5py
import numpy as np
import pytest

from ewm_studio.data import vetting as vetting_module
from ewm_studio.data.episode_file import open_episode
from ewm_studio.data.recordings import Recording, RecordingWriter
from ewm_studio.data.seal import is_sealed
from ewm_studio.data.vetting import Vetting
from ewm_studio.errors import UserError
from tests.faults.mutations import MUTATIONS
from tests.support.recorded import META, episode


@pytest.fixture
def path(tmp_path):
    return RecordingWriter(tmp_path / "laps", META).add_episode(**episode(3, 12))


def as_earlier_versions_wrote_it(path):
    """The same file without its seal."""
    data = path.read_bytes()
    length = int.from_bytes(data[-16:-8], "little")
    path.write_bytes(data[: -16 - length])
    with h5py.File(path, "r+") as file:
        del file.attrs["sealed"]


def contents(path):
    with open_episode(path) as file:
        names = ("action", "reward", "terminated", "truncated", "manual")
        return [file.obs(), *(file.column(name) for name in names), file.meta]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one[:-1], other[:-1], strict=True)) and one[-1] == other[-1]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
def test_damage_is_refused_or_is_none(path, mutation):
    good, before = path.read_bytes(), contents(path)
    refused = 0
    for seed in range(40):
        path.write_bytes(mutation(good, np.random.default_rng(seed)))
        try:
            found = contents(path)
        except UserError as error:
            refused += str(path) in str(error)
        else:
            assert same(found, before)
    assert refused > 20


def test_every_array_is_under_a_checksum(path):
    good = path.read_bytes()
    with h5py.File(path, "r") as file:
        places = [file[name].id.get_offset() for name in ("action", "reward", "terminated", "truncated", "manual")]
        file["obs"].id.chunk_iter(lambda chunk: places.append(chunk.byte_offset))
    for place in places:
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(UserError, match=r"checksum|damaged"):
            contents(path)


def test_a_seal_that_is_gone_is_missed(path):
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(UserError, match="seal"):
        contents(path)


def test_files_of_earlier_versions_are_read_on(path):
    before = contents(path)
    as_earlier_versions_wrote_it(path)
    assert not is_sealed(path)
    assert same(contents(path), before)
    assert len(Recording(path.parent)) == 1


def test_an_array_that_declares_more_than_there_is_takes_no_memory(path):
    as_earlier_versions_wrote_it(path)
    with h5py.File(path, "r+") as file:
        file["obs"].resize(10**9, axis=0)
    with pytest.raises(UserError, match="declares"):
        Recording(path.parent)


def test_what_is_no_file_is_never_opened(path):
    for number, make in enumerate((os.mkfifo, os.mkdir, lambda p: p.symlink_to(path), lambda p: p.symlink_to(p)), 2):
        odd = path.with_name(f"{number:06d}.h5")
        make(odd)
        if number in (2, 3):
            with pytest.raises(UserError, match="expected an episode's file"), open_episode(odd):
                pass
    path.with_name("000009.h5").touch()
    os.truncate(path.with_name("000009.h5"), 2**40)
    recording = Recording(path.parent)
    assert (len(recording), [p.name for p, _ in recording.damaged]) == (1, ["000009.h5"])


def slow(path, whole):
    if path.name == "hangs":
        time.sleep(60)
    if path.name == "crashes":
        os._exit(11)
    if path.name == "odd":
        raise UserError(f"{path}: it is odd")


def test_a_reading_that_hangs_or_crashes_costs_its_process(tmp_path, monkeypatch):
    monkeypatch.setattr(vetting_module, "SECONDS", 1.0)
    vetting = Vetting(slow)
    answers = {}
    for name in ("sound", "hangs", "crashes", "odd", "also-sound"):
        (tmp_path / name).touch()
        answers[name] = vetting.complaint(tmp_path / name, whole=False)
    vetting.close()
    assert answers == {
        "sound": "",
        "hangs": "reading it takes more than 1 s",
        "crashes": "reading it ends the process that does",
        "odd": "it is odd",
        "also-sound": "",
    }
