"""The streams that are learned from in dreams: what is drawn is what was put, also from files and in new latents."""

import numpy as np
import pytest
import torch

from ewm_studio.data.frames import FrameStore
from ewm_studio.data.sequence_replay import Rows, SequenceReplay
from ewm_studio.errors import UserError
from ewm_studio.models.randomness import make_generator
from ewm_studio.workspace.tree import load_tree, save_tree

ENVS = 3


def rows(begin: int, count: int) -> Rows:
    """Steps whose every number says which row and environment it is of; an episode ends at every seventh row."""
    row = np.arange(begin, begin + count)[:, None] * np.ones((1, ENVS), int)
    number = row * 10 + np.arange(ENVS)
    ended = row % 7 == 6
    return Rows(
        obs=np.stack([number, -number], -1).astype(np.float32),
        action=number.astype(np.int64),
        reward=number.astype(np.float32) / 2,
        shaping=-number.astype(np.float32),
        terminated=ended & (np.arange(ENVS) == 1),
        ruled=ended & (np.arange(ENVS) == 2),
        ended=ended,
        is_first=row % 7 == 0,
    )


def replay(*pieces: Rows) -> SequenceReplay:
    made = SequenceReplay(FrameStore((2,), np.float32, 2**20), ENVS)
    for piece in pieces:
        made.add(piece)
    made.encode(lambda obs: obs * 2, again=False)
    return made


def test_a_sequence_is_what_was_put_in_its_order():
    held = replay(rows(0, 20), rows(20, 9))
    places = held.places(200, 5, recent=9, share=0.5, generator=make_generator(0))
    drawn = held.at(places, 5)
    number = drawn.action
    assert torch.equal(number[1:] - number[:-1], torch.full_like(number[1:], 10))
    assert torch.equal(number % 10, places[1].expand_as(number))
    assert torch.equal(drawn.z[:-1, :, 0], 2.0 * number)
    assert torch.equal(drawn.shaping, -2 * drawn.reward)
    assert torch.equal(drawn.z[-1, :, 1], -2.0 * (number[-1] + 10))
    assert torch.equal(drawn.reward, number / 2)
    row = number // 10
    assert torch.equal(drawn.age, row % 7)
    assert torch.equal(drawn.is_first, row % 7 == 0)
    assert torch.equal(drawn.ended, row % 7 == 6)
    assert torch.equal(drawn.terminated, drawn.ended & (number % 10 == 1))


def test_a_share_is_of_the_newest_and_the_rest_of_all():
    held = replay(rows(0, 400))
    length, recent = 4, 60  # 20 rows of three environments
    begins = held.places(1000, length, recent, share=0.25, generator=make_generator(1))[0]
    assert begins.min() >= 0
    assert begins.max() == len(held) - length - 1
    assert (begins[-250:] + length >= len(held) - 20).all()
    assert abs(float(begins[:-250].float().mean()) - (len(held) - length) / 2) < 15


def test_too_little_holds_no_sequence():
    with pytest.raises(ValueError, match="3 rows hold no sequence of 3 steps"):
        replay(rows(0, 3)).places(2, 3, 10, 0.5, None)


def test_latents_are_made_anew_or_only_of_what_is_new():
    held = replay(rows(0, 4))
    held.add(rows(4, 3))
    held.encode(lambda obs: obs * 3, again=False)
    assert torch.equal(held.z[:4, :, 0], 2.0 * held.column("action")[:4])
    assert torch.equal(held.z[4:, :, 0], 3.0 * held.column("action")[4:])
    held.encode(lambda obs: obs * 3, again=True)
    assert torch.equal(held.z[..., 0], 3.0 * held.column("action"))


def test_what_is_encoded_together_does_not_depend_on_when():
    """A resumed run makes all latents at once, and they have to be the same bits."""
    batches = [[], []]
    pieces = [rows(0, 200), rows(200, 3), rows(203, 400)]
    once = SequenceReplay(FrameStore((2,), np.float32, 2**20), ENVS)
    for piece in pieces:
        once.add(piece)
    once.encode(lambda obs: (batches[0].append(len(obs)), obs)[1], again=True)
    now = SequenceReplay(FrameStore((2,), np.float32, 2**20), ENVS)
    for piece in pieces:
        now.add(piece)
        now.encode(lambda obs: (batches[1].append(len(obs)), obs)[1], again=False)
    assert batches[0] == batches[1]
    assert torch.equal(once.z, now.z)


def test_files_hold_it_all_and_each_row_once(tmp_path):
    held = replay(rows(0, 8))
    held.save(tmp_path)
    held.add(rows(8, 5))
    held.add(rows(13, 2))
    held.save(tmp_path)
    held.save(tmp_path)
    assert held.state() == [8, 15]
    (tmp_path / "000000008-000000012.replay").write_bytes(b"of a run that was killed")
    held.prune(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    again = SequenceReplay(FrameStore((2,), np.float32, 2**20), ENVS)
    again.load(tmp_path, held.state())
    held.encode(lambda obs: obs, again=True)
    again.encode(lambda obs: obs, again=True)
    places = held.places(50, 6, 20, 0.5, make_generator(2))
    for mine, its in zip(vars(held.at(places, 6)).values(), vars(again.at(places, 6)).values(), strict=True):
        assert torch.equal(mine, its)
    again.add(rows(15, 4))
    again.save(tmp_path)
    assert again.state() == [8, 15, 19]


def test_files_of_other_environments_are_refused(tmp_path):
    held = replay(rows(0, 8))
    held.save(tmp_path)
    other = SequenceReplay(FrameStore((3,), np.float32, 2**20), ENVS)
    with pytest.raises(UserError, match="not experience of this run"):
        other.load(tmp_path, held.state())


def test_the_newest_frames_come_last():
    newest = replay(rows(0, 5)).newest(4)
    assert newest[:, 0].tolist() == [32.0, 40.0, 41.0, 42.0]


def test_what_was_before_an_episodes_first_step_is_over(tmp_path):
    """However the rows before it ended: something between them was not put in."""
    held = replay(rows(0, 4))
    held.save(tmp_path)
    later = rows(24, 3)
    later.is_first[0] = True
    held.add(later)
    held.save(tmp_path)
    again = SequenceReplay(FrameStore((2,), np.float32, 2**20), ENVS)
    again.load(tmp_path, held.state())
    for one in (held, again):
        assert one.column("ended")[:5].tolist() == [[False] * ENVS] * 3 + [[True] * ENVS, [False] * ENVS]
        assert one.column("is_first")[4].all()


def test_experience_of_before_the_rules_ends_were_told_has_none(tmp_path):
    held = replay(rows(0, 8))
    held.save(tmp_path)
    (path,) = tmp_path.iterdir()
    tree = load_tree(path)
    del tree["columns"]["ruled"]
    save_tree(path, tree)
    again = SequenceReplay(FrameStore((2,), np.float32, 2**20), ENVS)
    again.load(tmp_path, held.state())
    assert held.column("ruled").any()
    assert not again.column("ruled").any()
