"""The ring of an agent's last frames."""

import itertools

import pytest
import torch

from ewm_studio.data.frame_buffer import FrameBuffer, motion_levels
from ewm_studio.errors import UserError


def numbered(first: int, last: int) -> torch.Tensor:
    """Frames (N, 2) of the numbers first to last."""
    return torch.arange(first, last, dtype=torch.uint8).unsqueeze(1).expand(-1, 2)


def ring(capacity: int = 5) -> FrameBuffer:
    return FrameBuffer(capacity, (2,), torch.uint8)


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


def test_an_even_draw_gives_every_level_the_same_share():
    frames = FrameBuffer(1000, (2,), torch.uint8)
    kinds = torch.tensor([0] * 900 + [3] * 90 + [7] * 10, dtype=torch.uint8)
    frames.add(kinds.unsqueeze(1).expand(-1, 2), kinds)
    drawn = frames.sample(6000, even=True)[:, 0]
    assert {n: round((drawn == n).float().mean().item(), 1) for n in (0, 3, 7)} == {0: 0.3, 3: 0.3, 7: 0.3}
    assert (frames.sample(6000)[:, 0] == 0).float().mean() > 0.85


def test_levels_are_those_of_the_change_since_the_picture_before_of_the_same_episode():
    grey = torch.tensor([[10, 10], [10, 13], [40, 13], [40, 200], [41, 200]], dtype=torch.uint8)  # (T, B)
    pictures = grey[:, :, None, None, None].expand(-1, -1, 3, 4, 4)
    is_first = torch.zeros(5, 2, dtype=torch.bool)
    is_first[0], is_first[3, 1] = True, True
    levels = motion_levels(pictures, is_first)
    assert levels[:, 0].tolist() == [0, 0, 7, 0, 2]  # changes of 0, 30, 0 and 1
    assert levels[:, 1].tolist() == [4, 4, 0, 0, 0]  # of 3 and 0; another episode; 0


def test_saved_frames_come_back_and_older_files_go(tmp_path):
    frames, folder = ring(), tmp_path / "frames"
    frames.add(numbered(0, 3), torch.tensor([1, 2, 3], dtype=torch.uint8))
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
    torch.manual_seed(0)
    drawn = frames.sample(20, even=True)
    torch.manual_seed(0)
    assert torch.equal(again.sample(20, even=True), drawn)
    for each in (frames, again):
        each.add(numbered(8, 10))
    assert torch.equal(again.newest(5), frames.newest(5))
    with pytest.raises(UserError, match="resume with the run's own settings"):
        ring(4).load(folder, 8)
    with pytest.raises(UserError, match=r"9\.frames"):
        ring().load(folder, 9)


def test_a_file_of_an_abandoned_attempt_is_not_taken_for_this_one(tmp_path):
    """Killed before its checkpoint; what was resumed instead saw other frames, but as many."""
    begun, abandoned, resumed = ring(), ring(), ring()
    begun.add(numbered(0, 3))
    begun.save(tmp_path)
    for each, first in ((abandoned, 3), (resumed, 100)):
        each.load(tmp_path, 3)
        each.add(numbered(first, first + 4))
        each.save(tmp_path)
    again = ring()
    again.load(tmp_path, 7)
    assert torch.equal(again.newest(5), resumed.newest(5))


def test_what_was_written_or_read_is_not_written_again_unless_it_is_gone(tmp_path):
    path, again = tmp_path / "3.frames", ring()
    frames = ring()
    frames.add(numbered(0, 3))
    frames.save(tmp_path)
    again.load(tmp_path, 3)
    for each in (frames, again):
        written = path.stat().st_ino
        each.save(tmp_path)
        assert path.stat().st_ino == written
        path.rename(tmp_path / "aside")
        each.save(tmp_path)
        assert path.stat().st_ino != written
