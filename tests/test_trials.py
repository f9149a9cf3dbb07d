"""What the benchmarks stand on: trials that go on where they were broken off, and what is read of them."""

import contextlib
import os
import signal
import threading
import time
from dataclasses import replace

import pytest

from ewm_studio.errors import UserError
from ewm_studio.events import JobControl
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from tests.benchmarks import trials
from tests.benchmarks.curves import TRAINING, curve, first
from tests.benchmarks.trials import BEST, LAST, Play, Trial, Work, alone, ask, both, changed, read, run_all
from tests.support.jobs import experiment, finish

PLAYS = (*both(BEST, 3), Play("100", episodes=2), Play(LAST, episodes=2))


@pytest.fixture
def trial():
    small = experiment(train={"epochs": 5}, run={"save_freq": 1, "keep_checkpoints": 1})
    return Trial("small, seed 3", alone(small, 3), (100, 200), PLAYS)


class StopsLater(JobControl):
    """Asks to stop at the n-th look."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    @property
    def stop_requested(self):
        self.looks -= 1
        return self.looks < 0


def work(folder, trial, control=None):
    """Bring a trial to its end in this process; whether it got there."""
    ask(folder, trial)
    with contextlib.closing(Workspace(folder)) as workspace:
        one = Work(folder, trial.slug, workspace)
        one.control = control or one.control
        return one.go()


def test_a_trial_is_trained_and_played_and_its_models_at_the_marks_are_kept(tmp_path, trial):
    assert work(tmp_path, trial)
    found = read(tmp_path, trial)
    assert found.trained["env_steps"] == 5 * 64
    assert found.kept == {"100": 128, "200": 192}  # the nearest, of 64, 128, 192 ...
    assert all(len(found.score(play)["rewards"]) == play.episodes for play in PLAYS)
    assert found.cpu_seconds > 0
    with contextlib.closing(Workspace(tmp_path)) as workspace:
        assert workspace.info(found.run).title == trial.name
        assert not (workspace.run(found.run).folder / "checkpoints" / "192.safetensors").exists()
        points = curve(workspace, found, TRAINING)
    assert points[-1].steps == 320
    assert 0 < points[0].cpu_seconds < points[-1].cpu_seconds <= found.cpu_seconds
    assert first(points, points[2].value).value >= points[2].value
    assert first(points, 1e9) is None


def test_one_that_was_broken_off_goes_on_to_the_same_scores(tmp_path, trial):
    assert work(tmp_path / "whole", trial)
    for looks in (2, 2, 20):  # twice while it trains, then while it plays
        assert not work(tmp_path / "parts", trial, StopsLater(looks))
    assert work(tmp_path / "parts", trial)
    whole, again = read(tmp_path / "whole", trial), read(tmp_path / "parts", trial)
    assert [again.score(play)["rewards"] for play in PLAYS] == [whole.score(play)["rewards"] for play in PLAYS]
    assert again.kept == whole.kept


def test_what_is_done_is_only_read(tmp_path, trial, monkeypatch, capsys):
    assert work(tmp_path, trial)
    monkeypatch.setattr(trials.subprocess, "Popen", None)
    found, done = run_all([trial], tmp_path)
    assert done
    assert found[trial.name].trained


def test_one_of_other_settings_is_refused_before_anything_begins(tmp_path, trial):
    ask(tmp_path, trial)
    other = replace(trial, experiment=changed(trial.experiment, ["ppo.gamma=0.5"]))
    with pytest.raises(UserError, match=r"ppo\.gamma 0\.99, now it is to be 0\.5"):
        run_all([other], tmp_path)
    faster = replace(trial, experiment=changed(trial.experiment, ["env.workers=2"]))
    assert read(tmp_path, faster).run == ""


def test_each_runs_in_a_process_with_a_log_and_one_that_fails_is_told(tmp_path, trial, capsys):
    bad = Trial("bad", changed(trial.experiment, ["controller.name=Nothing"]))
    found, done = run_all([replace(trial, plays=(Play(episodes=2),)), bad], tmp_path, jobs=2)
    assert not done
    assert found[trial.name].score(Play(episodes=2))
    assert "320 steps" in (tmp_path / "trials" / trial.slug / "log.txt").read_text()
    said = capsys.readouterr().out
    assert "bad: failed: " in said
    assert "Nothing" in said


def test_asked_to_stop_all_stop_and_go_on_later(tmp_path, trial):
    endless = replace(trial, experiment=changed(trial.experiment, ["train.epochs=1000000"]))
    place = ask(tmp_path, endless)
    asked = threading.Thread(target=signal_when_saved, args=(place / "log.txt",))
    asked.start()
    found, done = run_all([endless], tmp_path)
    asked.join()
    assert not done
    assert found[trial.name].run
    assert not found[trial.name].trained
    with contextlib.closing(Workspace(tmp_path)) as workspace:
        assert workspace.info(found[trial.name].run).state == "stopped"


def signal_when_saved(log):
    """Send this process a signal, twice as `timeout` does, once the trial has saved something."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not (log.exists() and "128 steps" in log.read_text()):
        time.sleep(0.1)
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)


def test_another_component_drops_what_was_the_old_ones():
    dreamt = Experiment.from_dict({"memory": {"name": "MDNRNN", "mixtures": 3}})
    other = changed(dreamt, ["memory.name=RSSM", "memory.dropout=0.2", "dream.horizon=5"])
    assert (other.memory.given, other.dream.horizon) == ({"dropout": 0.2}, 5)
    assert changed(dreamt, ["memory.dropout=0.2"]).memory.given == {"mixtures": 3, "dropout": 0.2}


def test_the_dream_benchmark_reads_ppos_own_figures_from_the_card():
    from tests.benchmarks.carracing_dream import MARKS, ppo

    assert [one["seed"] for one in ppo()] == [0, 1, 2]
    assert all(one["marks"][f"{mark:g}"]["frames"] > 300_000 for one in ppo() for mark in MARKS)


def test_no_unseen_track_is_met_by_the_runs_of_the_dream_benchmark():
    from ewm_studio.resources import resource
    from tests.benchmarks.carracing_dream import met

    preset = Experiment.from_toml(resource("presets", "carracing-dream.toml"))
    for seed in (0, 1, 2):
        tracks = met(alone(preset, seed), 3000)
        assert len(tracks) > 20_000
        assert not tracks.intersection(range(trials.UNSEEN, trials.UNSEEN + 100))


def test_every_variant_of_the_ablation_is_an_agent_that_dreams_and_twins_share_their_runs():
    from argparse import Namespace

    from ewm_studio.envs.probe import spaces_of
    from ewm_studio.models.agent_model import AgentModel
    from ewm_studio.models.assembly import choose_parts
    from ewm_studio.training.dreaming import Dreaming
    from tests.benchmarks.dream_ablation import VARIANTS, WHOLE, trials

    args = Namespace(set=[], frames=60_000, tracks=20, workers="0", seeds=[0, 1])
    asked = trials(list(VARIANTS), args)
    assert asked["MDNRNN", 1].name == f"{WHOLE}, seed 1"
    assert len({trial.name for trial in asked.values()}) >= 2 * 7
    spaces = spaces_of(asked[WHOLE, 0].experiment.env)
    for name in VARIANTS:
        experiment = asked[name, 0].experiment
        parts = choose_parts(experiment, spaces.observation, spaces.action)
        model = AgentModel(parts, spaces.observation, spaces.action)
        Dreaming(model, experiment.dream, experiment.ppo)  # refuses what does not go together
        assert experiment.train.total_steps == 20_000


@pytest.mark.parametrize(
    ("memory", "parts"), [({"name": "MDNRNN", "hidden_dim": 8}, "vm"), ({"name": "NoMemory"}, "v")]
)
def test_a_linear_controller_evolves_in_the_dreams_of_another_model_and_goes_on(tmp_path, memory, parts):
    from ewm_studio.jobs import pretrain, record
    from tests.benchmarks.linear_evolution import evolve_in_dreams

    with contextlib.closing(Workspace(tmp_path)) as workspace:
        finish(record(experiment(data={"recording": "walks", "frames": 200}), workspace))
        learned = {"memory": {"name": "MDNRNN", "hidden_dim": 8}, "pretrain": {"memory": True, "epochs": 1}}
        world = finish(pretrain(experiment(**learned, data={"recording": "walks"}), workspace))["run"]
        plan = experiment(
            memory=memory,
            controller={"name": "LinearController"},
            train={"learner": "cma_es", "epochs": 2},
            evolution={"population": 4, "episodes": 2},
            dream={"horizon": 5},
            data={"recording": "walks"},
            start={"patch_load_path": str(workspace.resolve_model(world)), "patch": parts},
        )
        done = finish(evolve_in_dreams(plan, workspace))
        assert (done["epochs"], done["episodes"]) == (2, 2 * 4 * 2)
        assert done["env_steps"] <= 2 * 4 * 2 * 5
        more = finish(evolve_in_dreams(plan.with_values(("train.epochs", 3)), workspace, resume=done["run"]))
        assert (more["epochs"], more["run"]) == (3, done["run"])
