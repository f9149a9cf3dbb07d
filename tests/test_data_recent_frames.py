"""The ring of an agent's last frames."""

import itertools

import pytest
import torch

from ewm_studio.data.recent_frames import RecentFrames
from ewm_studio.errors import UserError


def numbered(first: int, last: int) -> torch.Tensor:
    """Frames (N, 2) of the numbers first to last."""
    return torch.arange(first, last, dtype=torch.uint8).unsqueeze(1).expand(-1, 2)


def ring(capacity: int = 5) -> RecentFrames:
    return RecentFrames(capacity, (2,), torch.uint8)


@pytest.mark.parametrize("cuts", [(0, 3, 7, 8), (0, 4, 8), (0, 8), (0, 5, 8), (0, 1, 2, 3, 4, 5, 6, 7, 8)])
def test_the_last_frames_stay_however_they_came(cuts):
    frames = ring()
    for first, last in itertools.pairwise(cuts):
        frames.add(numbered(first, last))
    assert (len(frames), frames.added) == (5, 8)
    assert torch.equal(frames.newest(9), numbered(3, 8))
    assert torch.equal(frames.newest(2), numbered(6, 8))
    assert set(frames.sample(200)[:, 0].tolist()) == {3, 4, 5, 6, 7}


def test_a_ring_that_is_not_full_gives_what_it_has():
    frames = ring()
    frames.add(numbered(0, 2))
    assert set(frames.sample(50)[:, 0].tolist()) == {0, 1}
    assert torch.equal(frames.newest(4), numbered(0, 2))


def test_saved_frames_come_back_and_older_files_go(tmp_path):
    frames, folder = ring(), tmp_path / "frames"
    frames.add(numbered(0, 3))
    frames.save(folder)
    frames.add(numbered(3, 8))
    frames.save(folder)
    assert len(list(folder.iterdir())) == 2  # the older one until its successor's checkpoint stands
    frames.prune(folder)
    assert [path.name for path in folder.iterdir()] == ["8.frames"]
    again = ring()
    again.load(folder, 8)
    assert again.added == 8
    assert torch.equal(again.newest(5), frames.newest(5))
    for each in (frames, again):
        each.add(numbered(8, 10))
    assert torch.equal(again.newest(5), frames.newest(5))
    with pytest.raises(UserError, match="resume with the run's own settings"):
        ring(4).load(folder, 8)
    with pytest.raises(UserError, match=r"9\.frames"):
        ring().load(folder, 9)
