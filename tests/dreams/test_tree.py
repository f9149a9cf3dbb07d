"""Going back is exact: the same actions and seed give the same dream, bit for bit, and another seed another."""

import numpy as np
import pytest
import torch

from ewm_studio.acting.agent import load_agent
from ewm_studio.dreams import tree as trees
from ewm_studio.dreams.beside import Beside
from ewm_studio.dreams.branches import Place
from ewm_studio.dreams.kept_dream import TREE, load_dream, save_dream
from ewm_studio.dreams.starts import from_nowhere, from_replay, from_track
from ewm_studio.dreams.tree import DreamTree
from ewm_studio.errors import UserError
from tests.support.dreamers import dreamer, played

ACTIONS = (np.arange(60) // 3) % 2


@pytest.fixture(scope="module")
def agent():
    return dreamer(pixels=True)


@pytest.fixture
def tree(agent):
    return DreamTree(agent, from_nowhere(agent, 1), seed=5)


def drive(tree, actions):
    """The pictures, and all other numbers, of some actions."""
    pictures, numbers = [tree.picture()], []
    for action in actions:
        step = tree.step(action)
        pictures.append(tree.picture())
        numbers.append((step.z.tolist(), step.reward, step.end, step.ended, step.trust, step.value, step.entropy))
    return pictures, numbers


def same(one, other):
    return all((a == b).all() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("back", [1, 7, 20, 40])
def test_the_same_actions_from_a_place_that_was_gone_back_to_are_the_same_frames(tree, back):
    pictures, numbers = drive(tree, ACTIONS[:40])
    tree.rewind(back)
    assert tree.place == Place(0, 40 - back)
    assert (tree.picture() == pictures[40 - back]).all()
    again, numbers_again = drive(tree, ACTIONS[40 - back : 40])
    assert same(again, pictures[40 - back :])
    assert numbers_again == numbers[40 - back :]
    assert tree.place == Place(1, 40)  # a branch of its own; the first is as it was
    assert len(tree.branches[0].steps) == 40


def test_another_seed_dreams_another_way_under_the_same_actions(tree):
    pictures, _ = drive(tree, ACTIONS[:20])
    tree.go(Place(0, 10))
    tree.fork(seed=6)
    other, _ = drive(tree, ACTIONS[10:20])
    assert (other[0] == pictures[10]).all()
    assert not any((a == b).all() for a, b in zip(other[1:], pictures[11:], strict=True))
    tree.go(Place(0, 10))
    tree.fork(seed=6)
    assert same(drive(tree, ACTIONS[10:20])[0], other)


def test_trust_and_reality_change_nothing_of_the_dream(agent):
    start = from_track(agent, 3, None, frames=4)
    real = Beside(agent, start.moment, start.belief)
    plain = DreamTree(agent, start, seed=2, trust=False)
    watched = DreamTree(agent, start, seed=2, beside=real)
    assert same(drive(plain, ACTIONS[:9])[0], drive(watched, ACTIONS[:9])[0])
    real.close()


def test_temperature_is_of_the_steps_that_follow(tree):
    drive(tree, ACTIONS[:5])
    tree.temperature = 0.0
    cold, _ = drive(tree, ACTIONS[5:10])
    tree.rewind(5)
    tree.temperature = 0.0
    tree.fork(seed=77)
    assert same(drive(tree, ACTIONS[5:10])[0], cold)  # nothing is drawn
    tree.go(Place(0, 3))
    assert tree.temperature == 1.0
    drive(tree, ACTIONS[3:10])
    tree.go(Place(0, 8))
    assert tree.temperature == 0.0


def test_an_edited_latent_is_dreamt_on_from_on_a_branch(tree):
    pictures, _ = drive(tree, ACTIONS[:6])
    tree.edit({2: 1.5})
    assert tree.belief.z[0, 2] == 1.5
    assert tree.branch.root[2] == 1.5
    edited, _ = drive(tree, ACTIONS[6:12])
    tree.go(Place(0, 6))
    assert (tree.picture() == pictures[6]).all()
    tree.go(Place(1, 6))
    assert same([tree.picture()], edited[:1])
    assert same(drive(tree, ACTIONS[6:12])[0], edited)
    with pytest.raises(UserError, match="no latent 4; they are numbered 0 to 3"):
        tree.edit({4: 0.0})


def test_branches_are_named_kept_and_deleted(tree):
    drive(tree, ACTIONS[:8])
    tree.rewind(4)
    drive(tree, 1 - ACTIONS[4:8])
    tree.rewind(2)
    drive(tree, ACTIONS[6:9])
    one, two, three = tree.infos()
    assert [(info.parent, info.at, info.tip) for info in (one, two, three)] == [(None, 0, 8), (0, 4, 8), (1, 6, 9)]
    assert three.here
    assert three.dreamt == pytest.approx(sum(step.reward for step in tree.path()))
    tree.rename(1, " off the road ")
    tree.keep(2)
    assert tree.infos()[1].name == "off the road"
    with pytest.raises(UserError, match="branch 2 is kept"):
        tree.delete(1)
    tree.keep(2, False)
    tree.delete(1)
    assert list(tree.branches) == [0]
    assert tree.place == Place(0, 4)
    with pytest.raises(UserError, match="first branch"):
        tree.delete(0)
    with pytest.raises(UserError, match="no branch 9"):
        tree.rename(9, "x")
    with pytest.raises(UserError, match="no step 11 on branch 0"):
        tree.go(Place(0, 11))


def test_states_are_held_now_and_then_and_a_tree_is_bounded(tree, monkeypatch):
    drive(tree, ACTIONS[:50])
    assert sorted(place.step for place in tree.held()) == [0, 16, 32, 48]
    monkeypatch.setattr(trees, "MOST_STEPS", 50)
    with pytest.raises(UserError, match="has 50 steps: delete branches"):
        tree.step(0)


def test_a_dream_that_was_saved_goes_on_the_same(agent, tmp_path):
    start = from_replay(agent, played(agent, 1, 12), 2)
    real = Beside(agent, start.moment, start.belief)
    tree = DreamTree(agent, start, name="small", beside=real)
    drive(tree, ACTIONS[:6])
    tree.rewind(4)
    tree.rename(0, "first")
    drive(tree, 1 - ACTIONS[:3])
    save_dream(tmp_path / "dream", tree)
    back = load_dream(tmp_path / "dream", load_agent)
    assert back.infos() == tree.infos()
    assert back.place == tree.place
    assert back.start.words == start.words
    assert (back.picture() == tree.picture()).all()
    for one, other in zip(tree.path(), back.path(), strict=True):
        assert (one.z == other.z).all()
        assert (one.action, one.reward, one.driver) == (other.action, other.reward, other.driver)
        assert repr(one.real) == repr(other.real)
    one, other = drive(tree, ACTIONS[:5]), drive(back, ACTIONS[:5])
    assert same(one[0], other[0])
    assert repr(one[1]) == repr(other[1])
    real.close()
    back.beside.close()


def test_a_damaged_dream_is_refused(agent, tree, tmp_path):
    drive(tree, ACTIONS[:3])
    save_dream(tmp_path / "dream", tree)
    path = tmp_path / "dream" / TREE
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="truncated"):
        load_dream(tmp_path / "dream", load_agent)
    with pytest.raises(UserError, match="nothing by that name"):
        load_dream(tmp_path / "none", load_agent)


def test_another_model_dreams_on_where_the_first_one_stood(agent, tree):
    other = dreamer(pixels=True, weights=8)
    pictures, _ = drive(tree, ACTIONS[:20])
    for parts in ("vm", "m", "v"):
        tree.go(Place(0, 12))
        number = tree.swap(other, "other", parts)
        assert tree.infos()[number].model == "other"
        swapped, _ = drive(tree, ACTIONS[12:20])
        assert not same(swapped[1:], pictures[13:])
        if parts == "m":  # the same vision still shows where they part
            assert (swapped[0] == pictures[12]).all()
        tree.go(Place(number, 12))
        assert same(drive(tree, ACTIONS[12:20])[0], swapped)
    tree.go(Place(0, 12))
    assert tree.dreamer is agent
    assert same(drive(tree, ACTIONS[12:20])[0], pictures[12:])


def test_a_model_that_does_not_fit_says_why(tree):
    wider = {"vision": {"name": "ConvVAE", "latent_dim": 6, "channels": 2}}
    with pytest.raises(UserError, match="it has 6 latents, this dream has 4"):
        tree.swap(dreamer(pixels=True, parts=wider), "wider", "m")
    with pytest.raises(UserError, match="does not fit: it sees"):
        tree.swap(dreamer(), "numbers", "vm")
    with pytest.raises(UserError, match="decides every 2 frames, this dream every 1"):
        tree.swap(dreamer(pixels=True, action_repeat=2), "slower", "vm")
    with pytest.raises(UserError, match="predicts nothing"):
        tree.swap(dreamer(pixels=True, memory="NoMemory"), "silent", "vm")
    assert len(tree.branches) == 1
    assert len(tree.dreamers) == 1


def test_nobody_elses_draws_change(tree):
    before = torch.get_rng_state()
    drive(tree, ACTIONS[:6])
    tree.rewind(3)
    assert torch.equal(before, torch.get_rng_state())
