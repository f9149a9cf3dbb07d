"""PPO, memory and vision training as a whole: the rules that make a run right, and runs that repeat themselves."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from ewm_studio.acting.collector import LocalCollector
from ewm_studio.envs.probe import spaces_of
from ewm_studio.envs.vector.make import make_vector
from ewm_studio.errors import JobError, UserError
from ewm_studio.events import EpisodeFinished, Finished, JobControl, Message, Metrics, Progress, RunStarted
from ewm_studio.jobs import infer, pretrain, train
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import choose_parts
from ewm_studio.models.registry import components
from ewm_studio.training.reward_scaler import RewardScaler
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.jobs import experiment, finish, train_until

VISIONS = ("Identity", "ConvVAE", "VQ_VAE", "JEPA")
MEMORIES = ("NoMemory", "History", "LSTMMemory", "MDNRNN", "TemporalTransformer", "RSSM")
CONTROLLERS = (
    "LinearController",
    "StochasticController",
    "DeepDiscreteController",
    "DeepContinuousController",
    "BinnedController",
)
TASKS = {
    "CartPole-v1": {},
    "CartPole-v1 pixels": {"id": "CartPole-v1", "pixels": True, "image_size": 32},
    "CarRacing-v3": {"image_size": 32, "action_repeat": 4},
    "Pendulum-v1": {},
}
PICTURES = ("CartPole-v1 pixels", "CarRacing-v3")


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws")


def weights(result) -> dict[str, torch.Tensor]:
    return load_model(result["checkpoint"])[0]


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def names(kind) -> tuple[str, ...]:
    return tuple(components(kind))


def test_every_named_component_is_found():
    assert set(VISIONS) <= set(names("vision"))
    assert set(MEMORIES) <= set(names("memory"))
    assert set(CONTROLLERS) <= set(names("controller"))


def fit_together(task, vision, controller) -> bool:
    continuous = task in ("CarRacing-v3", "Pendulum-v1")
    return (vision != "Identity") == (task in PICTURES) and controller != (
        "DeepDiscreteController" if continuous else "DeepContinuousController"
    )


def combinations():
    """All there are. Of those that see pictures each second one is kept for longer runs: any two parts meet without."""
    for task, *parts in itertools.product(TASKS, VISIONS, MEMORIES, CONTROLLERS):
        vision, memory, controller = parts
        places = VISIONS.index(vision) + MEMORIES.index(memory) + CONTROLLERS.index(controller)
        again = task in PICTURES and fit_together(task, vision, controller) and places % 2 == 1
        yield pytest.param(task, *parts, marks=[pytest.mark.slow] if again else [])


@pytest.mark.parametrize(("task", "vision", "memory", "controller"), list(combinations()))
def test_every_combination_trains_or_is_refused(workspace, task, vision, memory, controller):
    fits = fit_together(task, vision, controller)
    tried = experiment(
        env={"id": task.split()[0], "batch_size": 2, **TASKS[task]},
        vision={"name": vision},
        memory={"name": memory},
        controller={"name": controller},
        ppo={"rollout_steps": 4, "epochs": 1, "batch_size": 8},
        world_model={"sequence_length": 4, "vision_batch_size": 8},
        run={"threads": 1},
    )
    if fits:
        events = list(train(tried, workspace))
        assert events[-1].result["epochs"] == 2
        rows = [e for e in events if isinstance(e, Metrics)]
        assert len(rows) == 2
        assert all(row.values["ppo/first_ratio_error"] <= 1e-5 for row in rows)
    else:
        with pytest.raises(UserError, match=r"does not fit.*what fits: .*[A-Z]"):
            list(train(tried, workspace))
        assert not workspace.runs()


@pytest.mark.parametrize("memory", MEMORIES)
def test_same_seed_same_weights(tmp_path, memory):
    runs = [
        finish(train(experiment(memory={"name": memory}, run={"seed": seed}), Workspace(tmp_path / str(i))))
        for i, seed in enumerate((5, 5, 6))
    ]
    assert same(weights(runs[0]), weights(runs[1]))
    assert not same(weights(runs[0]), weights(runs[2]))


def resumed_equals_whole(tmp_path, whole, half_epochs, resumed_with=None):
    """The weights of a run stopped after some epochs and resumed, against those of the run that was not."""
    straight = finish(train(whole, Workspace(tmp_path / "straight")))
    workspace = Workspace(tmp_path / "halves")
    half = train_until(whole, workspace, half_epochs)
    assert half["stopped_by"] == "stop"
    assert half["epochs"] == half_epochs
    rest = finish(train(resumed_with or whole, workspace, resume=half["run"]))
    assert rest["epochs"] == straight["epochs"]
    assert rest["episodes"] == straight["episodes"]
    latest = [Path(r["checkpoint"]).parent / f"{r['env_steps']}.safetensors" for r in (straight, rest)]
    first, second = (load_model(path)[0] for path in latest)
    assert same(first, second)
    return workspace, rest


@pytest.mark.parametrize("memory", ["History", "LSTMMemory", "TemporalTransformer"])
def test_stopped_and_resumed_is_the_same_run(tmp_path, memory):
    whole = experiment(memory={"name": memory}, train={"epochs": 8}, ppo={"rollout_steps": 32})
    workspace, rest = resumed_equals_whole(tmp_path, whole, 4)
    points = workspace.run(rest["run"]).metrics("ppo/policy_loss")
    assert list(points.epoch) == list(range(1, 9))


def test_resume_is_exact_with_pictures_and_processes(tmp_path):
    whole = experiment(
        env={"id": "CarRacing-v3", "workers": 2, "batch_size": 2, "image_size": 32, "action_repeat": 4},
        vision={"name": "ConvVAE"},
        memory={"name": "MDNRNN", "hidden_dim": 16},
        train={"epochs": 4},
        run={"threads": 2},
    )
    resumed_equals_whole(tmp_path, whole, 2)


@pytest.mark.parametrize("vision", ["Identity", "ConvVAE"])
def test_resume_is_exact_with_memory_trained_on_a_replay(tmp_path, vision):
    """The replay is smaller than the run, lies in a file of its own, and memory trains on what it gives."""
    pictures = {"pixels": True, "image_size": 16} if vision == "ConvVAE" else {}
    settings = {"replay": 200, "memory_updates": 3, "burn_in": 4}
    whole = experiment(
        env=pictures,
        vision={"name": vision},
        memory={"name": "MDNRNN", "hidden_dim": 8},
        world_model=settings,
        train={"epochs": 6},
        run={"threads": 1},
    )
    workspace, rest = resumed_equals_whole(tmp_path, whole, 4)
    (kept,) = (workspace.run(rest["run"]).folder / "frames").iterdir()
    assert kept.name == f"{rest['env_steps']}.replay"
    passes = finish(train(whole.with_values(("world_model.replay", 0)), Workspace(tmp_path / "passes")))
    assert not same(weights(rest), weights(passes))


def test_a_replay_needs_room_for_every_environment(workspace):
    with pytest.raises(UserError, match=r"world_model\.replay of 3 .* 4 environments"):
        finish(train(experiment(memory={"name": "LSTMMemory"}, world_model={"replay": 3}), workspace))
    assert not workspace.runs()


RECENT = {"frame_buffer": 60, "vision_updates": 3}
WARM_UP = {"random_frames": 50, "vision_epochs": 2}
DRIVING = {
    "env": {"id": "CarRacing-v3", "batch_size": 2, "image_size": 32, "action_repeat": 4},
    "vision": {"name": "ConvVAE"},
    "memory": {"name": "History"},
    "world_model": RECENT,
    "warm_up": WARM_UP,
    "run": {"threads": 1},
}


@pytest.mark.parametrize(("epochs", "balance"), [(1, False), (3, False), (3, True)])
def test_resume_is_exact_with_vision_trained_on_recent_frames(tmp_path, epochs, balance):
    whole = experiment(**DRIVING, train={"epochs": 4}).with_values(("world_model.balance", balance))
    control, workspace = JobControl(), Workspace(tmp_path / "halves")
    for event in train(whole, workspace, control):
        if isinstance(event, Progress) and event.stage == "train" and event.done == epochs * 32:
            control.stop()
    half = event.result
    assert half["epochs"] == epochs
    rest = finish(train(whole, workspace, resume=half["run"]))
    straight = finish(train(whole, Workspace(tmp_path / "straight")))
    assert same(weights(rest), weights(straight))
    (frames,) = (workspace.run(half["run"]).folder / "frames").iterdir()
    assert frames.name == f"{rest['env_steps'] + count_of_random_frames(whole)}.frames"


def count_of_random_frames(settings) -> int:
    """Frames that random actions give, less those in which CarRacing's camera comes down."""
    from ewm_studio.data.frames import FrameStore
    from ewm_studio.jobs.collect import collect_random

    goal = settings.warm_up.random_frames
    collecting = collect_random(settings, goal, FrameStore((3, 32, 32), "uint8", 2**20), JobControl())
    while True:
        try:
            next(collecting)
        except StopIteration as end:
            return end.value.without_starts(13).frame_count


@pytest.mark.parametrize("stage", ["collect", "vision"])
def test_a_run_stopped_before_its_first_rollout_is_the_same_run(tmp_path, stage):
    whole = experiment(**DRIVING, train={"epochs": 2})
    workspace, control = Workspace(tmp_path / "halves"), JobControl()
    for event in train(whole, workspace, control):
        if isinstance(event, Progress) and event.stage == stage and event.done >= 3:
            control.stop()
    assert (event.result["epochs"], event.result["stopped_by"]) == (0, "stop")
    rest = finish(train(whole, workspace, resume=event.result["run"]))
    assert same(weights(rest), weights(finish(train(whole, Workspace(tmp_path / "straight")))))


def test_vision_learns_on_random_frames_before_the_first_rollout(workspace):
    def vision(result):
        return {k: v for k, v in weights(result).items() if k.startswith("vision.")}

    events = list(train(experiment(**DRIVING, train={"epochs": 1}), workspace))
    stages = list(dict.fromkeys(e.stage for e in events if isinstance(e, Progress)))
    assert stages == ["collect", "vision", "train"]
    assert next(e for e in events if isinstance(e, RunStarted)).stages == tuple(stages)
    assert sum(isinstance(e, EpisodeFinished) for e in events) == events[-1].result["episodes"]
    assert any(isinstance(e, Message) and "vision trained on" in e.text for e in events)
    frozen = {**DRIVING, "world_model": {**RECENT, "train": False}}
    warmed = list(train(experiment(**frozen, train={"epochs": 1}), workspace))
    assert list(dict.fromkeys(e.stage for e in warmed if isinstance(e, Progress))) == stages
    cold = frozen | {"warm_up": {"vision_epochs": 0}}
    plain = finish(train(experiment(**cold, train={"epochs": 1}), workspace))
    assert not same(vision(warmed[-1].result), vision(plain))
    assert not same(vision(warmed[-1].result), vision(events[-1].result))  # which learned on the rollouts as well


def test_random_frames_need_room(workspace):
    with pytest.raises(UserError, match="frame_buffer"):
        experiment(world_model={"frame_buffer": 5}, warm_up={"random_frames": 10})


@pytest.mark.parametrize("name", ["lr", "clip", "entropy"])
def test_a_schedule_falls_with_the_share_of_the_run_that_is_left(workspace, name):
    tag = {"lr": "lr", "clip": "clip_range", "entropy": "entropy_coef"}[name]
    begin = {"lr": 1e-3, "clip_range": 0.2, "entropy_coef": 0.04}[tag]
    constant = {f"{n}_schedule": "constant" for n in ("lr", "clip", "entropy")}
    for kind, wanted in (("linear", [1, 0.75, 0.5, 0.25]), ("constant", [1] * 4)):
        ppo = {**constant, f"{name}_schedule": kind, "entropy_coef": 0.04}
        rows = [e for e in train(experiment(ppo=ppo, train={"epochs": 4}), workspace) if isinstance(e, Metrics)]
        assert [row.values[f"ppo/{tag}"] for row in rows] == pytest.approx([begin * share for share in wanted])
        assert all(row.values["ppo/first_ratio_error"] <= 1e-5 for row in rows)


def test_the_number_of_processes_changes_nothing(tmp_path):
    runs = [
        finish(train(experiment(env={"workers": workers}), Workspace(tmp_path / str(workers)))) for workers in (0, 2)
    ]
    assert same(weights(runs[0]), weights(runs[1]))


def test_pretraining_repeats_and_resumes(tmp_path):
    whole = experiment(memory={"name": "LSTMMemory"}, pretrain={"epochs": 4}, data={"frames": 400})
    first, second = (finish(pretrain(whole, Workspace(tmp_path / str(i)))) for i in range(2))
    assert same(weights(first), weights(second))

    workspace, control, result = Workspace(tmp_path / "halves"), JobControl(), None
    for event in pretrain(whole, workspace, control):
        if isinstance(event, Metrics) and event.epoch == 2:
            control.stop()
        if isinstance(event, Finished):
            result = event.result
    assert result["stopped_by"] == "stop"
    rest = finish(pretrain(whole, workspace, resume=result["run"]))
    assert rest["epochs"] == 4
    assert same(weights(first), weights(rest))


def collect(settings, steps):
    spaces = spaces_of(settings.env)
    torch.manual_seed(0)
    model = AgentModel(choose_parts(settings, spaces.observation, spaces.action), spaces.observation, spaces.action)
    envs = make_vector(settings.env, 0)
    try:
        collector = LocalCollector(envs, model.eval(), keep_obs=True)
        return model, collector, collector.collect(steps)
    finally:
        envs.close()


def test_rollout_latents_states_and_starts_belong_together():
    model, _, rollout = collect(experiment(memory={"name": "LSTMMemory"}), 120)
    buffer = rollout.buffer
    ended = buffer.terminated | buffer.truncated
    assert ended.any()
    assert torch.equal(buffer.is_first[1:], ended[:-1])
    assert buffer.is_first[0].all()
    assert torch.equal(buffer.z, model.vision.encode(buffer.obs.flatten(0, 1)).view_as(buffer.z))
    h, _ = model.memory.sequence(buffer.z, model.action_encoding(buffer.action), buffer.is_first, rollout.start)
    before = torch.cat([torch.zeros_like(h[:1]), h[:-1]]).masked_fill(buffer.is_first[..., None], 0.0)
    assert torch.allclose(buffer.h, before, atol=1e-5)


def test_a_truncated_episode_bootstraps_from_its_last_observation():
    settings = experiment(
        env={"id": "Pendulum-v1", "max_episode_steps": 7}, memory={"name": "LSTMMemory"}, ppo={"gamma": 0.9}
    )
    model, _, rollout = collect(settings, 20)
    buffer = rollout.buffer
    assert torch.equal(buffer.truncated.any(1).nonzero().flatten(), torch.tensor([6, 13]))
    assert (buffer.final_value[6] != 0).all()
    assert (buffer.final_value[:6] == 0).all()
    # The value of the very next latent of the environment, which the buffer holds only as the next episode's.
    envs = make_vector(settings.env, 0)
    envs.reset()
    for t in range(7):
        step = envs.step(buffer.action[t].numpy())
    h, _ = model.memory.sequence(
        buffer.z[:7], model.action_encoding(buffer.action[:7]), buffer.is_first[:7], rollout.start
    )
    with torch.no_grad():
        final = torch.from_numpy(np.stack([step.final_obs[i] for i in range(4)]))
        value = model.controller.value(model.vision.encode(final), h[-1])
    assert torch.allclose(buffer.final_value[6], value, atol=1e-5)
    envs.close()


def test_bootstrapping_does_not_advance_the_memory():
    """The next rollout goes on from the same state whether or not a value was asked for in between."""
    _, collector, rollout = collect(experiment(memory={"name": "LSTMMemory"}), 5)
    before = collector.state()["memory"]
    collector.refresh(rollout)
    assert all(torch.allclose(before[k], v, atol=1e-5) for k, v in collector.state()["memory"].items())


def test_reward_scaler_divides_by_the_deviation_of_the_discounted_return():
    rng = np.random.default_rng(0)
    reward, ended = torch.from_numpy(rng.normal(3, 2, (500, 4)).astype("f4")), torch.zeros(500, 4, dtype=torch.bool)
    ended[99::100] = True
    scaler = RewardScaler(4, 0.9)
    scaled = torch.cat([scaler(reward[i : i + 50], ended[i : i + 50]) for i in range(0, 500, 50)])
    returns, seen = np.zeros(4), []
    for row, over in zip(reward.numpy(), ended.numpy(), strict=True):
        returns = returns * 0.9 + row
        seen.append(returns)
        returns = np.where(over, 0, returns)
    assert scaled[-1].numpy() == pytest.approx(reward[-1].numpy() / np.std(seen), rel=1e-4)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(workspace):
    from ewm_studio.models.controller.deep_discrete import DeepDiscreteController

    plain, calls = DeepDiscreteController.value, 0

    def broken(self, z, h):
        nonlocal calls
        calls += self.training
        value = plain(self, z, h)
        return value * float("nan") if calls > 20 else value

    DeepDiscreteController.value = broken
    try:
        with pytest.raises(JobError, match="value_loss"):
            list(train(experiment(train={"epochs": 50}, run={"save_freq": 1}), workspace))
    finally:
        DeepDiscreteController.value = plain
    (run,) = workspace.runs()
    assert run.state == "failed"
    tensors, _ = load_model(workspace.run(run.name).latest_checkpoint())
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())


def test_without_training_the_world_model_it_stays_as_it_was(workspace):
    def memory(result):
        return {k: v for k, v in weights(result).items() if k.startswith("memory.")}

    chosen = {"memory": {"name": "LSTMMemory"}}
    first = finish(train(experiment(**chosen, world_model={"train": False}), workspace))
    later = finish(train(experiment(**chosen, world_model={"train": False}, train={"epochs": 4}), workspace))
    trained = finish(train(experiment(**chosen), workspace))
    assert same(memory(first), memory(later))
    assert not same(memory(first), memory(trained))


def test_patience_ends_a_run_that_stands_still(workspace):
    stuck = experiment(train={"epochs": None, "total_steps": 200_000, "patience": 3}, ppo={"lr": 1e-12})
    result = finish(train(stuck, workspace))
    assert result["stopped_by"] == "patience"


def test_total_steps_are_met_exactly_over_all_environments(workspace):
    result = finish(train(experiment(train={"epochs": None, "total_steps": 300}), workspace))
    assert (result["env_steps"], result["stopped_by"]) == (300, "total_steps")


def test_auto_batch_size_says_what_it_chose_and_writes_it_down(workspace):
    events = list(train(experiment(env={"batch_size": "auto"}), workspace))
    assert any(isinstance(e, Message) and e.text.startswith("batch size") for e in events)
    run = workspace.run(events[-1].result["run"])
    assert 'batch_size = "auto"' not in (run.folder / "experiment.toml").read_text()


def test_experiment_toml_starts_the_same_run_again(tmp_path):
    from ewm_studio.settings import Experiment

    first = Workspace(tmp_path / "a")
    result = finish(train(experiment(memory={"name": "MDNRNN", "hidden_dim": 24}, run={"seed": 9}), first))
    again = Experiment.from_toml(first.run(result["run"]).folder / "experiment.toml")
    second = finish(train(again, Workspace(tmp_path / "b")))
    assert same(weights(result), weights(second))


def test_patch_takes_the_named_parts(workspace):
    chosen = {"memory": {"name": "LSTMMemory"}}
    a = finish(train(experiment(**chosen, run={"seed": 1}), workspace))
    b = finish(train(experiment(**chosen, run={"seed": 2}), workspace))
    start = {"load_path": a["run"], "patch_load_path": b["run"], "patch": "m"}
    none = {"epochs": 1}
    c = finish(train(experiment(start=start, world_model={"train": False}, train=none), workspace))
    wa, wb, wc = weights(a), weights(b), weights(c)
    for name in wc:
        if name.startswith("memory."):
            assert torch.equal(wc[name], wb[name])
            assert not torch.equal(wc[name], wa[name]) or torch.equal(wa[name], wb[name])
    with pytest.raises(UserError, match="any of v, m, c"):
        finish(train(experiment(start={**start, "patch": ""}), workspace))
    wide = finish(train(experiment(memory={"name": "LSTMMemory", "hidden_dim": 16}), workspace))
    with pytest.raises(UserError, match=r"hidden size.*take memory and controller from the same model"):
        finish(train(experiment(start={**start, "patch_load_path": wide["run"]}), workspace))


def test_infer_equals_a_loop_over_the_stock_environment(workspace):
    """The README's example: a saved model in a plain Gymnasium loop scores what `infer` says."""
    import gymnasium as gym

    import ewm_studio as ewm

    for settings in (
        experiment(memory={"name": "LSTMMemory"}),
        experiment(
            env={"id": "CarRacing-v3", "batch_size": 2, "image_size": 32, "action_repeat": 8, "max_episode_steps": 200},
            vision={"name": "ConvVAE"},
            train={"epochs": 1},
        ),
    ):
        trained = finish(train(settings, workspace))
        asked = settings.with_values(("start.load_path", trained["run"]), ("infer.episodes", 2), ("run.seed", 40))
        played = finish(infer(asked, workspace))
        agent = ewm.load(trained["checkpoint"])
        env = gym.make(settings.env.id, max_episode_steps=settings.env.max_episode_steps)
        for episode in played["episodes"]:
            obs, _ = env.reset(seed=episode["seed"])
            state, total, over = agent.initial_state(batch=1), 0.0, False
            while not over:
                action, state = agent.act(obs[None], state, greedy=True)
                for _ in range(agent.action_repeat):
                    obs, reward, terminated, truncated, _ = env.step(action[0])
                    total += float(reward)
                    over = terminated or truncated
                    if over:
                        break
            assert total == pytest.approx(episode["reward"], abs=1e-3)
        z = agent.encode(obs[None])
        assert z.shape == (1, agent.model.vision.latent_dim)
        assert len(agent.decode(z)) == 1
        env.close()


def test_pretraining_reports_memory_beside_its_baselines(workspace):
    settings = experiment(
        env={"batch_size": 8},
        memory={"name": "LSTMMemory"},
        pretrain={"epochs": 12},
        data={"frames": 3000},
        world_model={"memory_batch_size": 8, "sequence_length": 16},
    )
    losses = finish(pretrain(settings, workspace))["losses"]
    error = losses["memory/held_out_prediction_error"]
    assert error < 0.9 * losses["memory/held_out_persistence_error"]
    assert error < 0.9 * losses["memory/held_out_untrained_error"]


def test_pretrained_model_is_trained_on(workspace):
    chosen = {"memory": {"name": "MDNRNN", "hidden_dim": 32}}
    first = finish(pretrain(experiment(**chosen, pretrain={"epochs": 1}, data={"frames": 400}), workspace))
    result = finish(train(experiment(start={"load_path": first["run"]}, world_model={"train": False}), workspace))
    a, b = weights(first), weights(result)
    assert all(torch.equal(a[k], b[k]) for k in a if k.startswith("memory."))


def test_tensorboard_files_are_written(workspace):
    result = finish(train(experiment(run={"tensorboard": True}), workspace))
    assert list(workspace.run(result["run"]).folder.glob("events.*"))
