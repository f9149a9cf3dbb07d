"""The few figures on dreams that training shows while it goes on."""

import numpy as np
import torch

from ewm_studio.analysis.live_dreams import dream_figures, held_out_windows, rollout_figures
from ewm_studio.data.experience import Experience
from ewm_studio.data.frames import FrameStore
from ewm_studio.data.rollout_buffer import RolloutBuffer
from ewm_studio.envs.probe import spaces_of
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.settings import Experiment
from tests.support.jobs import experiment as small
from tests.support.jobs import finish


def model_of(memory="MDNRNN"):
    experiment = Experiment.from_dict({"memory": {"name": memory}})
    spaces = spaces_of(experiment.env)
    return AgentModel(choose_parts(experiment, spaces.observation, spaces.action), spaces.observation, spaces.action)


def rollout_of(steps, ends):
    """A rollout of two carts whose places are drawn; `ends` are steps with which the first one's episode ended."""
    rng = np.random.default_rng(0)
    buffer = RolloutBuffer(steps, 2)
    first = np.ones(2, bool)
    for t in range(steps):
        z = torch.from_numpy(rng.normal(size=(2, 4)).astype(np.float32))
        buffer.put(
            z=z,
            h=torch.zeros(2, 1),
            raw=torch.zeros(2, 1),
            action=torch.from_numpy(rng.integers(0, 2, 2)),
            is_first=torch.from_numpy(first),
            disturbed=torch.zeros(2, dtype=torch.bool),
            reward=np.ones(2, np.float32),
            shaping=np.zeros(2, np.float32),
            obs=None,
        )
        first = np.array([t in ends, False])
        if t in ends:
            buffer.end(first, np.zeros(2, bool), first, {})
    buffer.finish(torch.device("cpu"))
    return buffer, torch.from_numpy(rng.normal(size=(2, 4)).astype(np.float32))


def test_a_rollout_is_measured_where_no_episode_ended():
    model = model_of().eval()
    whole = rollout_figures(model, *rollout_of(32, ends=()))
    assert set(whole) == {
        *(f"memory/{name}_error_{k}" for name in ("dream", "stays") for k in (1, 4, 16)),
        "memory/action_ratio",
    }
    assert 1.0 < whole["memory/stays_error_1"] < 3.0  # drawn afresh each step: twice the variance
    cut = rollout_figures(model, *rollout_of(32, ends=(20,)))
    assert cut["memory/stays_error_1"] != whole["memory/stays_error_1"]  # of the second cart alone
    assert rollout_figures(model, *rollout_of(3, ends=())) == {}
    assert rollout_figures(model_of("NoMemory"), *rollout_of(32, ends=())) == {}


def test_nobody_elses_random_numbers_change():
    model, (buffer, following) = model_of().eval(), rollout_of(32, ends=())
    before = torch.get_rng_state()
    one, other = (rollout_figures(model, buffer, following) for _ in range(2))
    assert one == other
    assert torch.equal(torch.get_rng_state(), before)


def test_held_out_episodes_that_are_too_short_are_no_trouble():
    store = FrameStore((4,), np.dtype(np.float32), 2**20)
    experience = Experience(store)
    experience.add_episode(np.zeros((2, 4), np.float32), np.zeros(1, np.int64), np.zeros(1, np.float32), True)
    model = model_of()
    tried = held_out_windows(experience, torch.zeros(2, 4), model.action_encoding)
    assert dream_figures(model.memory, tried) == {}
    store.close()


def test_pretraining_and_training_tell_them(tmp_path):
    from ewm_studio.jobs import pretrain, train
    from ewm_studio.workspace import Workspace

    workspace = Workspace(tmp_path / "ws")
    memory = {"name": "MDNRNN", "hidden_dim": 32}
    settings = small(memory=memory, data={"frames": 2000}, pretrain={"epochs": 16})
    run = workspace.run(finish(pretrain(settings, workspace))["run"])
    dreamt = run.metrics("memory/dream_error_1")
    stays = run.metrics("memory/stays_error_1")
    assert len(dreamt.value) == 16
    assert dreamt.value[-1] < 0.8 * stays.value[-1]
    assert np.ptp(stays.value) == 0  # the same held-out stretches every time
    run = workspace.run(
        finish(train(small(memory=memory, train={"epochs": 11, "total_steps": None}), workspace))["run"]
    )
    assert 0 < len(run.metrics("memory/dream_error_1").value) <= 2
    assert len(run.metrics("memory/action_ratio").value) > 0
