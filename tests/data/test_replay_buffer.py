"""The agent's last decisions, drawn as sequences."""

import itertools

import pytest
import torch

from ewm_studio.data.replay_buffer import ReplayBuffer
from ewm_studio.errors import UserError
from ewm_studio.models.randomness import make_generator

LENGTH = 6  # of an environment's episodes here


def buffer(capacity: int = 100, obs: bool = False) -> ReplayBuffer:
    return ReplayBuffer(capacity, 1, ((), torch.int64), ((1,), torch.float32) if obs else None)


def fill(replay: ReplayBuffer, first: int, last: int, streams: int = 2, cut: bool = False) -> None:
    """Steps first to last of streams whose latents are 1000 b + t; an episode ends, for good or cut, every LENGTH."""
    t = torch.arange(first, last)[:, None].expand(-1, streams)
    over = t % LENGTH == LENGTH - 1
    z = (1000 * torch.arange(streams) + t).float()[..., None]
    replay.add(
        z=z,
        action=t % 5,
        reward=t.float(),
        terminated=over & (not cut),
        is_first=t % LENGTH == 0,
        valid=~over,
        obs=z if replay.keeps_obs else None,
    )


@pytest.mark.parametrize("cuts", [(0, 40), (0, 7, 19, 40), (0, 1, 2, 3, 39, 40)])
def test_rows_are_what_happened_however_it_came(cuts):
    replay = buffer()
    for first, last in itertools.pairwise(cuts):
        fill(replay, first, last)
    rows = replay.sample(300, 9, generator=make_generator(0))
    assert rows.mask.all()
    step = rows.z[:-1, :, 0] % 1000
    last = step == 39  # what follows it is not there yet
    assert torch.equal((rows.z[1:] - rows.z[:-1])[..., 0], (~last).float())  # of one stream, step by step
    assert torch.equal(rows.reward, step)
    assert torch.equal(rows.action, step.long() % 5)
    over = step % LENGTH == LENGTH - 1
    assert torch.equal(rows.terminated, over)
    assert torch.equal(rows.is_first, step % LENGTH == 0)
    assert torch.equal(rows.valid, ~over & ~last)
    assert set(rows.z[0, :, 0].tolist()) <= {1000 * b + t for b in (0, 1) for t in range(32)}


def test_a_cut_episode_has_no_end_and_nothing_that_follows():
    replay = buffer()
    fill(replay, 0, 30, cut=True)
    rows = replay.sample(50, 12, generator=make_generator(0))
    assert not rows.terminated.any()
    assert not rows.valid[rows.reward % LENGTH == LENGTH - 1].any()


def test_the_oldest_go_first_and_no_row_reaches_behind_them():
    replay = buffer(capacity=20)
    for first in range(0, 60, 3):
        fill(replay, first, first + 3)
    assert (len(replay), replay.added, replay.oldest) == (20, 120, 100)
    rows = replay.sample(400, 4, generator=make_generator(0))
    assert set((rows.z % 1000).flatten().tolist()) == set(range(50, 60))
    assert torch.equal(rows.z[1:][rows.valid] - rows.z[:-1][rows.valid], torch.ones(int(rows.valid.sum()), 1))


def test_an_addition_larger_than_the_buffer_leaves_its_end():
    replay = buffer(capacity=20)
    fill(replay, 0, 50)
    rows = replay.sample(200, 4, generator=make_generator(0))
    assert set((rows.z % 1000).flatten().tolist()) == set(range(40, 50))


def test_half_of_the_rows_are_of_the_newest():
    replay = buffer(capacity=2000)
    fill(replay, 0, 500)
    fill(replay, 500, 510)
    rows = replay.sample(400, 5, generator=make_generator(0))
    ends = rows.z[4, :, 0] % 1000
    assert (ends[:200] >= 450).all()  # a tenth of 1,020
    assert 10 < (ends[200:] >= 450).sum() < 40


def test_whole_episodes_lie_end_to_end_with_their_last_observations():
    replay = buffer()
    for number, (length, ended) in enumerate([(3, True), (2, False), (4, True)]):
        z = 100.0 * number + torch.arange(length + 1.0)[:, None]
        replay.add_episode(z=z, action=torch.arange(length), reward=torch.ones(length), terminated=ended)
    fill(replay, 0, 6)
    rows = replay.at(torch.tensor([0]), 11)
    assert rows.z[:, 0, 0].tolist() == [0, 1, 2, 3, 100, 101, 102, 200, 201, 202, 203, 204]
    assert rows.mask[:, 0].int().tolist() == [1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1]
    assert torch.equal(rows.mask, rows.valid)
    assert rows.terminated[:, 0].nonzero().flatten().tolist() == [2, 10]
    assert rows.is_first[:, 0].nonzero().flatten().tolist() == [0, 4, 7]
    behind = replay.at(torch.tensor([10]), 4)
    assert behind.mask[:, 0].int().tolist() == [1, 0, 0, 0]
    assert behind.z[:, 0, 0].tolist() == [203, 204, 204, 204, 204]


def test_latents_are_made_anew_when_drawn_and_only_where_vision_changed():
    replay, seen = buffer(obs=True), []

    def encode(obs):
        seen.append(len(obs))
        return obs + 0.5

    fill(replay, 0, 20)
    assert torch.equal(replay.at(torch.tensor([0]), 5, encode).z[:, 0, 0], torch.arange(6.0))
    assert not seen
    replay.vision_changed()
    assert torch.equal(replay.at(torch.tensor([0]), 5, encode).z[:, 0, 0], torch.arange(6.0) + 0.5)
    replay.at(torch.tensor([0, 4]), 5, encode)
    assert seen == [6, 2]
    fill(replay, 20, 22)  # by the new vision
    assert replay.at(torch.tensor([40]), 1, encode).z[0, 0, 0] == 20


def test_what_is_saved_comes_back_and_goes_on(tmp_path):
    replay, folder = buffer(capacity=30, obs=True), tmp_path / "frames"
    fill(replay, 0, 10)
    replay.save(folder)
    fill(replay, 10, 25)
    replay.vision_changed()
    replay.save(folder)
    assert len(list(folder.iterdir())) == 2
    replay.prune(folder)
    assert [path.name for path in folder.iterdir()] == ["50.replay"]
    again = buffer(capacity=30, obs=True)
    again.load(folder, 50)
    for each in (replay, again):
        fill(each, 25, 30)
    drawn, same = (each.sample(40, 8, generator=make_generator(1), encode=lambda o: -o) for each in (replay, again))
    assert all(torch.equal(value, getattr(same, name)) for name, value in vars(drawn).items())
    with pytest.raises(UserError, match="resume with the run's own settings"):
        buffer(capacity=29, obs=True).load(folder, 50)
    with pytest.raises(UserError, match="resume with the run's own settings"):
        ReplayBuffer(30, 2, ((), torch.int64), ((1,), torch.float32)).load(folder, 50)
    with pytest.raises(UserError, match=r"51\.replay"):
        buffer(capacity=30, obs=True).load(folder, 51)
