"""Training in dreams: it runs on what there is, is the same run however often it is stopped, and learns."""

import contextlib

import numpy as np
import pytest
import torch

from ewm_studio.data.frames import FrameStore
from ewm_studio.data.sequence_replay import SequenceReplay
from ewm_studio.errors import UserError
from ewm_studio.events import CheckpointSaved, Finished, JobControl, Message, Metrics, Progress, RunStarted
from ewm_studio.jobs import train
from ewm_studio.settings import Experiment
from ewm_studio.training.reward_scaler import RewardScaler
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from tests.support.jobs import finish

SMALL = {
    "env": {"batch_size": 2, "workers": 0},
    "memory": {"name": "MDNRNN", "hidden_dim": 8, "mixtures": 2, "dropout": 0.1, "feedback_steps": 2},
    "train": {"epochs": 4, "total_steps": None},
    "world_model": {"sequence_length": 8, "memory_batch_size": 4, "vision_batch_size": 8},
    "dream": {
        "train": True,
        "random_steps": 40,
        "round_steps": 80,
        "first_memory_updates": 4,
        "memory_updates": 3,
        "updates": 3,
        "starts": 8,
        "horizon": 4,
        "context": 4,
        "vision_updates": 3,
        "vision_refresh": 2,
        "vision_rounds": "2",
        "judge_every": 2,
        "judge_episodes": 2,
    },
    "run": {"threads": 1, "save_freq": 1},
}
PICTURES = {"env": {"pixels": True, "image_size": 16}, "vision": {"name": "ConvVAE", "latent_dim": 4}}


def small(**sections) -> Experiment:
    values = {name: dict(group) for name, group in SMALL.items()}
    for name, group in sections.items():
        values[name] = values.get(name, {}) | group
    return Experiment.from_dict(values)


def weights_of(workspace: Workspace, run: str) -> dict[str, torch.Tensor]:
    path = workspace.run(run).latest_checkpoint()
    assert path is not None
    return load_model(path)[0]


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def logged(event) -> list[tuple[int, dict[str, float]]]:
    """What a round's metrics say of it, whatever time it took."""
    if not isinstance(event, Metrics):
        return []
    return [(event.epoch, {tag: value for tag, value in event.values.items() if not tag.startswith("speed/")})]


DOUBTED = {"ensemble": 2, "pessimism": 1.0}


@pytest.mark.parametrize(
    ("sections", "dreams"),
    [
        ({}, {}),
        ({}, {"learner": "ppo"}),
        (PICTURES, {}),
        (PICTURES, {"learner": "ppo"}),
        (PICTURES, DOUBTED),
        ({}, {"learner": "ppo", **DOUBTED}),
        (PICTURES, {"learner": "ppo", "precision": "bfloat16"}),
        ({}, {"bursts": 0.2}),
        ({}, {"bursts": 0.2, "real_epochs": 2}),
        ({"ppo": {"rollout_steps": 40}}, {"bursts": 0.2, "real_share": 0.6}),
    ],
    ids=[
        *("vectors", "vectors, ppo", "pictures", "pictures, ppo"),
        *("doubted", "doubted, ppo", "bfloat16", "bursts", "real policy", "for real at last"),
    ],
)
def test_a_run_stopped_anywhere_and_resumed_is_the_unbroken_run(tmp_path, sections, dreams):
    chosen = {name: SMALL.get(name, {}) | group for name, group in sections.items()}
    settings = small(**chosen, dream=SMALL["dream"] | dreams)
    whole = Workspace(tmp_path / "whole")
    expected, rows, judged = [], [], 0
    for event in train(settings, whole):
        expected += logged(event)
        unbroken = event.result if isinstance(event, Finished) else None
    workspace, run, stops = Workspace(tmp_path / "broken"), None, 0
    while True:
        control, seen, result = JobControl(), 0, None
        for event in train(settings, workspace, control, resume=run):
            if isinstance(event, RunStarted):
                run = event.run
            rows += logged(event)
            if isinstance(event, Progress):
                seen += event.stage != "judge"
                judging = event.stage == "judge" and judged < 2 and event.done == 2 * judged  # greedy, sampled
                if seen == 7 + stops or judging:  # in another stage every time
                    judged += judging
                    control.stop()
            if isinstance(event, Finished):
                result = event.result
        assert result is not None
        if result["stopped_by"] != "stop":
            break
        stops += 1
    assert stops >= 3
    assert judged == 2
    assert rows == expected
    assert result["env_steps"] == unbroken["env_steps"] == 40 + 3 * 80
    assert result["episodes"] == unbroken["episodes"]
    assert result["judged_steps"] == unbroken["judged_steps"] > 0
    assert same(weights_of(workspace, run), weights_of(whole, unbroken["run"]))
    whole.close()
    workspace.close()


def test_the_last_share_is_learned_for_real_by_the_controller_alone(tmp_path):
    """From the round on at which no more than `real_share` is left; by then nobody touches vision and memory."""
    settings = small(
        train={"epochs": None, "total_steps": 420},
        dream=SMALL["dream"] | {"real_share": 0.5, "random_steps": 100},
        ppo={"rollout_steps": 45, "entropy_coef": 0.01, "entropy_schedule": "linear"},
    )
    with contextlib.closing(Workspace(tmp_path)) as workspace:
        rounds, models = {}, {}
        for event in train(settings, workspace):
            if isinstance(event, Metrics):
                rounds[event.step] = event.values
            elif isinstance(event, CheckpointSaved):
                models[event.step] = load_model(event.path)[0]
            elif isinstance(event, Progress) and event.stage == "train":
                assert event.done <= 420
        assert list(rounds) == [100, 180, 260, 350, 420]  # 260: less than half is left; 420: the last one is cut
        dreamt = {step: "dream/reward" in values for step, values in rounds.items()}
        assert dreamt == {100: True, 180: True, 260: True, 350: False, 420: False}
        entropy = [values["ppo/entropy_coef"] for step, values in rounds.items() if step > 260]
        assert entropy == pytest.approx([0.01 * 160 / 210, 0.01 * 70 / 210])
        before, after = models[260], models[420]
        changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
        assert changed == {"controller"}


def test_a_later_end_goes_back_to_dreams_until_its_own_last_share(tmp_path):
    short = {"train": {"epochs": None, "total_steps": 260}, "ppo": {"rollout_steps": 40}}
    dream = SMALL["dream"] | {"real_share": 0.5, "random_steps": 100, "bursts": 0.2}
    with contextlib.closing(Workspace(tmp_path)) as workspace:
        run = finish(train(small(dream=dream, **short), workspace))["run"]
        kinds = []
        longer = small(dream=dream, **{**short, "train": {"epochs": None, "total_steps": 700}})
        for event in train(longer, workspace, resume=run):
            if isinstance(event, Metrics):
                kinds.append((event.step, "dream/reward" in event.values))
        assert kinds == [(340, True), (420, True), (500, False), (580, False), (660, False), (700, False)]
        replay = SequenceReplay(FrameStore((4,), np.float32, 2**20), 2)
        folder = workspace.run(run).folder / "replay"
        replay.load(folder, sorted(int(path.stem.partition("-")[2]) for path in folder.iterdir()))
        seam = (100 + 80) // 2  # rows of two environments; the 80 decisions after them were learned for real alone
        assert replay.column("ended")[seam - 1].all()
        assert replay.column("is_first")[seam].all()


def test_a_last_share_of_a_run_without_an_end_is_refused(tmp_path):
    settings = small(train={"epochs": None, "patience": 2}, dream=SMALL["dream"] | {"real_share": 0.5})
    with pytest.raises(UserError, match=r"dream.real_share: .* give train.total_steps"):
        list(train(settings, Workspace(tmp_path)))


def test_what_was_not_saved_is_done_again(tmp_path):
    """As after a kill: the round since the last checkpoint is lost, and nothing else."""
    settings = small()
    whole, workspace = Workspace(tmp_path / "whole"), Workspace(tmp_path / "broken")
    unbroken = finish(train(settings, whole))
    run, saves = "", 0
    events = train(settings, workspace)
    for event in events:
        run = event.run if isinstance(event, RunStarted) else run
        saves += isinstance(event, CheckpointSaved)
        if saves == 2 and isinstance(event, Progress):
            break
    events.close()
    finish(train(settings, workspace, resume=run))
    assert same(weights_of(workspace, run), weights_of(whole, unbroken["run"]))
    whole.close()
    workspace.close()


def test_the_round_says_what_was_dreamt_and_what_came_of_it(tmp_path):
    workspace = Workspace(tmp_path)
    events = list(train(small(), workspace))
    rows = [event.values for event in events if isinstance(event, Metrics)]
    assert len(rows) == 4
    assert "dream/real_reward" not in rows[0]
    for row in rows[1:]:
        assert row["dream/real_reward"] == 1  # CartPole pays 1 a step
        assert 0.1 < row["dream/real_worth"] < 0.9  # and what counts is how many there are
        assert row["dream/gap"] == pytest.approx(row["dream/worth"] - row["dream/real_worth"])
    assert [("real/score" in row) for row in rows] == [False, True, False, True]
    for row in rows[1::2]:
        assert row["real/score"] == pytest.approx((row["real/greedy"] + row["real/sampled"]) / 2)
    result = events[-1].result
    steps = [row["real/steps"] for row in rows[1::2]]
    least = [2 * (row["real/greedy"] + row["real/sampled"]) for row in rows[1::2]]  # CartPole pays 1 a step
    assert steps[0] >= least[0]
    assert steps[1] >= steps[0] + least[1]
    assert result["judged_steps"] == steps[1]
    best = max(row["real/score"] for row in rows[1::2])
    assert result["best_mean_reward"] == pytest.approx(best)
    assert load_model(result["checkpoint"])[1]["checkpoint"]["mean_reward"] == pytest.approx(best)
    workspace.close()


def test_dreams_are_no_sequel_to_those_before(tmp_path, monkeypatch):
    begun, take_in = [], RewardScaler.take_in

    def seen(scaler, reward, ended):
        begun.append(scaler.returns.copy())
        take_in(scaler, reward, ended)

    monkeypatch.setattr(RewardScaler, "take_in", seen)
    once = {"train": {"epochs": 1, "total_steps": None}, "dream": {**SMALL["dream"], "learner": "ppo"}}
    workspace = Workspace(tmp_path)
    finish(train(small(**once), workspace))
    assert len(begun) == 3
    assert not any(returns.any() for returns in begun)
    workspace.close()


def test_a_memory_that_predicts_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="predicts nothing"):
        list(train(Experiment.from_dict(SMALL | {"memory": {"name": "NoMemory"}}), Workspace(tmp_path)))


def test_random_steps_of_which_no_sequence_can_be_made_are_refused(tmp_path):
    scarce = {"env": {"batch_size": 16, "workers": 0}, "train": {"epochs": 1, "total_steps": None}}
    workspace = Workspace(tmp_path)
    with pytest.raises(UserError, match=r"dream\.random_steps: give at least two decisions for each of 16"):
        list(train(small(**scarce, dream={**SMALL["dream"], "random_steps": 16}), workspace))
    assert not list(workspace.runs())
    finish(train(small(**scarce, dream={**SMALL["dream"], "random_steps": 17}), workspace))
    workspace.close()


def test_several_memories_part_and_only_the_agents_own_is_in_its_file(tmp_path):
    workspace = Workspace(tmp_path)
    once = {"epochs": 2, "total_steps": None}
    events = list(train(small(train=once, dream=SMALL["dream"] | DOUBTED), workspace))
    assert all(event.values["dream/disagreement"] > 0 for event in events if isinstance(event, Metrics))
    plain = finish(train(small(train=once), workspace))
    assert weights_of(workspace, events[-1].result["run"]).keys() == weights_of(workspace, plain["run"]).keys()
    workspace.close()


def test_pessimism_of_one_memory_is_refused(tmp_path):
    workspace = Workspace(tmp_path)
    with pytest.raises(UserError, match=r"dream\.pessimism: one memory .*; give dream\.ensemble 2"):
        list(train(small(dream=SMALL["dream"] | {"pessimism": 0.5}), workspace))
    assert not list(workspace.runs())


def test_a_warm_up_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"begins with dream\.random_steps"):
        list(train(small(warm_up={"random_frames": 100}), Workspace(tmp_path)))


def test_patience_counts_the_rounds_since_the_best_judgement(tmp_path):
    nothing = {"updates": 0, "memory_updates": 0, "first_memory_updates": 0}  # the same policy, and so the same score
    frozen = {**SMALL["dream"], **nothing, "judge_every": 1}
    workspace = Workspace(tmp_path)
    ends = {"epochs": None, "total_steps": None, "patience": 3}
    result = finish(train(small(dream=frozen, train=ends), workspace))
    assert (result["stopped_by"], result["epochs"]) == ("patience", 4)
    workspace.close()


def test_without_a_choice_the_memory_is_one_that_dreams(tmp_path):
    workspace = Workspace(tmp_path)
    run = finish(train(Experiment.from_dict(SMALL | {"memory": {}, "train": {"epochs": 1}}), workspace))["run"]
    assert Experiment.from_toml(workspace.run(run).folder / "experiment.toml").memory.name == "MDNRNN"
    workspace.close()


def test_a_dreamt_run_says_so(tmp_path):
    workspace = Workspace(tmp_path)
    events = list(train(small(train={"epochs": 1, "total_steps": None}), workspace))
    started = next(event for event in events if isinstance(event, RunStarted))
    assert started.stages == ("collect", "memory", "dream", "train")
    assert "in dreams of CartPole-v1" in started.summary
    assert any(isinstance(event, Message) and "for real" in event.text for event in events)
    workspace.close()


@pytest.mark.parametrize("memory", ["LSTMMemory", "TemporalTransformer", "RSSM"])
def test_any_memory_that_predicts_and_any_actions_do(tmp_path, memory):
    workspace = Workspace(tmp_path)
    chosen = SMALL | {"env": {"id": "Pendulum-v1", "batch_size": 2, "workers": 0}, "memory": {"name": memory}}
    events = list(train(Experiment.from_dict(chosen | {"train": {"epochs": 2, "total_steps": None}}), workspace))
    row = [event.values for event in events if isinstance(event, Metrics)][-1]
    assert row["real/score"] < 0  # Pendulum's rewards are
    assert row["dream/real_reward"] < 0
    workspace.close()


def test_vision_and_memory_stay_as_they_are_where_they_are_not_to_learn(tmp_path):
    """A world that is good already: only the controller learns in its dreams."""
    with contextlib.closing(Workspace(tmp_path)) as workspace:
        run = finish(train(small(), workspace))["run"]
        before, path = weights_of(workspace, run), str(workspace.run(run).latest_checkpoint())
        settings = small(world_model=SMALL["world_model"] | {"train": False}, start={"load_path": path})
        after = weights_of(workspace, finish(train(settings, workspace))["run"])
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"controller"}


DRIVING = {
    "env": {"id": "CarRacing-v3", "batch_size": 2, "workers": 0, "image_size": 16, "idle_limit": 5},
    "vision": {"name": "ConvVAE", "latent_dim": 4},
}


def test_an_end_by_the_rules_is_one_for_the_controller_and_none_for_memory(tmp_path):
    """Nobody who stands still is paid for what he would do if it went on."""
    found = []
    for terminates in (False, True):
        env = DRIVING["env"] | {"idle_terminates": terminates}
        settings = small(**DRIVING | {"env": env}, train={"epochs": 1, "total_steps": None})
        with contextlib.closing(Workspace(tmp_path / str(terminates))) as workspace:
            found.append(weights_of(workspace, finish(train(settings, workspace))["run"]))
    changed = {name.partition(".")[0] for name in found[0] if not torch.equal(found[0][name], found[1][name])}
    assert changed == {"controller"}
