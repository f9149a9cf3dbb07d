"""A dream begins where reality stands, with the belief that was held there; what cannot be begun from says so."""

import contextlib

import numpy as np
import pytest
import torch

from ewm_studio.analysis.trace import trace
from ewm_studio.data.episode_file import open_episode
from ewm_studio.data.recordings import RecordingWriter
from ewm_studio.dreams.real_world import RealWorld
from ewm_studio.dreams.starts import from_nowhere, from_recording, from_replay, from_track, merged
from ewm_studio.envs.spaces import space_to_json
from ewm_studio.errors import UserError
from tests.support.dreamers import dreamer, played


@pytest.fixture(scope="module")
def agent():
    return dreamer(action_repeat=2)


@pytest.fixture(scope="module")
def replay(agent):
    found = next(replay for replay in (played(agent, seed) for seed in range(4, 20)) if replay.frames >= 24)
    return found


def observed(env, seed, actions):
    """Raw observations after each of some actions, one a frame."""
    with contextlib.closing(RealWorld(env)) as world:
        world.lead(seed, actions[:0])
        seen = [np.array(world.raw())]
        for action in actions:
            world.frame(action)
            seen.append(np.array(world.raw()))
    return seen


def recording(tmp_path, agent, replay, **meta):
    """The replay as a recorded episode."""
    actions = np.repeat(replay.action, replay.env.action_repeat)[: replay.frames]
    seen = observed(replay.env, replay.seed, actions)
    spaces = agent.preprocessor.raw_space, agent.model.action_space
    about = {"env": replay.env.id, "source": "manual", "seed": replay.seed, "first_step": 0}
    about |= {"observation_space": space_to_json(spaces[0]), "action_space": space_to_json(spaces[1])}
    writer = RecordingWriter(tmp_path / "laps", about | meta)
    return writer.add_episode(np.stack(seen), actions, np.ones(len(actions)), False, True)


def test_a_replays_frame_is_believed_as_when_it_was_played(agent, replay):
    looked = trace(agent, replay)
    for decision in (0, 1, 7):
        start = from_replay(agent, replay, 2 * decision)
        np.testing.assert_allclose(start.belief.z[0], looked.z[decision], atol=1e-6)
        np.testing.assert_allclose(start.belief.h[0], looked.h[decision], atol=1e-5)
        assert (start.following[:3] == replay.action[decision : decision + 3]).all()
        assert len(start.actions) == decision == len(start.z) - 1


def test_a_frame_between_two_decisions_is_a_start_too(agent, replay):
    start = from_replay(agent, replay, 7)
    actions = np.repeat(replay.action, 2)
    seen = observed(replay.env, replay.seed, actions[:7])
    with torch.inference_mode():
        z = agent.model.vision.encode(torch.from_numpy(np.stack([agent.preprocessor(seen[k]) for k in (1, 3, 5, 7)])))
    assert torch.equal(start.z, z)
    assert (start.actions == actions[[2, 4, 6]]).all()


def test_a_recording_leads_reality_there_where_it_repeats_itself(agent, replay, tmp_path):
    path = recording(tmp_path, agent, replay)
    start, same = from_recording(agent, path, 12), from_replay(agent, replay, 12)
    assert torch.equal(start.z, same.z)
    assert torch.equal(start.belief.h, same.belief.h)
    with contextlib.closing(RealWorld(start.moment.env)) as world, open_episode(path) as file:
        world.lead(start.moment.seed, start.moment.actions)
        assert (world.raw() == file.obs()[12]).all()


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ({"first_step": 3}, "before its first frame"),
        ({"seed": 99}, "does not come to this frame"),
    ],
)
def test_a_recording_that_reality_cannot_be_led_along_is_dreamt_from_without_it(agent, replay, tmp_path, meta, reason):
    start = from_recording(agent, recording(tmp_path, agent, replay, **meta), 12)
    assert start.moment is None
    assert reason in start.no_moment
    assert torch.equal(start.z, from_replay(agent, replay, 12).z)


def test_earlier_recordings_of_models_name_the_first_seed_only(agent, replay, tmp_path):
    path = recording(tmp_path, agent, replay, seed=replay.seed - 4)
    start = from_recording(agent, path.rename(path.with_name("000005.h5")), 12)
    assert start.moment.seed == replay.seed


def test_a_fresh_track_is_led_to_by_its_moment(agent):
    def left(belief, generator):
        return torch.zeros(len(belief), dtype=torch.int64)

    start, again = (from_track(agent, 5, left, frames=6) for _ in range(2))
    other = from_track(agent, 6, left, frames=6)
    assert torch.equal(start.belief.h, again.belief.h)
    assert not torch.equal(start.z, other.z)
    assert (start.moment.actions == 0).all()
    seen = observed(start.moment.env, 5, start.moment.actions)[-1]
    with torch.inference_mode():
        assert torch.equal(start.z[-1:], agent.model.vision.encode(torch.from_numpy(agent.preprocessor(seen))[None]))
    assert start.picture.ndim == 3


def test_latents_that_are_drawn_stand_nowhere(agent):
    start = from_nowhere(agent, 4)
    assert torch.equal(start.z, from_nowhere(agent, 4).z)
    assert not torch.equal(start.z, from_nowhere(agent, 5).z)
    assert start.moment is None
    assert "nothing real" in start.no_moment


def test_what_cannot_be_begun_from_says_so(agent, replay, tmp_path):
    with pytest.raises(UserError, match=r"replay has no frame 900; give one from 0 to"):
        from_replay(agent, replay, 900)
    with pytest.raises(UserError, match=r"no frame -1"):
        from_replay(agent, replay, -1)
    with pytest.raises(UserError, match="choose a model that was trained on it"):
        from_replay(dreamer("MountainCar-v0"), replay, 4)
    with pytest.raises(UserError, match="choose a model that was trained on it"):
        from_recording(dreamer("MountainCar-v0"), recording(tmp_path, agent, replay), 4)
    with pytest.raises(UserError, match="predicts nothing"):
        from_nowhere(dreamer(memory="NoMemory"), 0)


def test_decisions_stand_for_frames_as_a_reader_of_recordings_has_them():
    assert merged(np.array([0, 1, 1, 0, 1]), 2).tolist() == [1, 0, 1]
    np.testing.assert_array_equal(merged(np.array([0.0, 1.0, 1.0], np.float32), 2), np.float32([0.5, 1.0]))
    assert len(merged(np.zeros(0), 3)) == 0


def test_a_fresh_episode_that_is_soon_over_is_begun_in_its_middle(agent):
    start = from_track(agent, 5, None, frames=400)  # pushed left all the time, it falls
    frame = len(start.moment.actions)
    assert 2 <= frame <= 8
    assert start.words == f"track 5, frame {frame}"
