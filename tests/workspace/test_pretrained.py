"""Models that come with the studio: the card that is made of trained runs, and the models that lie in the package."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile

import numpy as np
import pytest
from PIL import Image

from ewm_studio.cli import main
from ewm_studio.errors import JobError, UserError
from ewm_studio.events import EpisodeFinished, Finished, JobControl, Message
from ewm_studio.jobs import card as card_job
from ewm_studio.jobs import infer, train
from ewm_studio.jobs.card import write_card
from ewm_studio.jobs.card_dreams import judgements
from ewm_studio.jobs.kept_assessment import keep_assessment, kept_assessment
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.pretrained import pretrained_model, pretrained_models
from tests.support.jobs import experiment, finish

NAMES = ("carracing", "carracing-dream", "cartpole", "cartpole-dream", "cartpole-without-velocities")
EPISODES, CHOOSING = 4, 3
MARKS = (15, 1e6)  # passed, and out of reach


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """With two short CartPole runs of one preset, seeds 0 and 1, and one of another."""
    made = Workspace(tmp_path_factory.mktemp("ws"))
    for seed, lr in ((0, 1e-3), (1, 1e-3), (2, 1e-4)):
        finish(train(experiment(run={"seed": seed}, ppo={"lr": lr}, train={"epochs": 20}), made))
    yield made
    made.close()


def names(workspace) -> list[str]:
    return sorted(run.name for run in workspace.runs())


@pytest.fixture(scope="module")
def card(workspace, tmp_path_factory):
    """The folder of a card, and the job's result."""
    folder = tmp_path_factory.mktemp("shipped") / "pole"
    result = finish(
        write_card(
            names(workspace)[:2],
            folder,
            workspace,
            episodes=EPISODES,
            choosing=CHOOSING,
            marks=MARKS,
            limits="Falls over.",
        )
    )
    return folder, result


def test_a_cards_figures_are_those_of_playing_its_model(card, workspace):
    folder, result = card
    figures = json.loads((folder / "card.json").read_text())
    evaluation = figures["evaluation"]
    assert evaluation["choosing"] == {"episodes": CHOOSING, "first_seed": evaluation["first_seed"] + EPISODES}
    best = max((0, 1), key=lambda i: figures["seeds"][i]["choosing"]["mean"])
    assert figures["shipped_seed"] == best == result["shipped_seed"]
    settings = Experiment.from_toml(folder / "experiment.toml")
    assert settings.run.seed == best
    for mode in ("greedy", "sampled"):
        asked = settings.with_values(
            ("start.load_path", str(folder / "model.safetensors")),
            ("infer.episodes", EPISODES),
            ("infer.greedy", mode == "greedy"),
            ("run.seed", figures["evaluation"]["first_seed"]),
        )
        played = finish(infer(asked, workspace))
        assert figures["score"][mode]["mean"] == pytest.approx(played["mean"], abs=0.01)
        assert figures["score"][mode]["max"] == played["max"]
        rewards = sorted(e["reward"] for e in played["episodes"])
        assert [e["reward"] for e in figures["score"][mode]["worst"]] == pytest.approx(rewards[:5])
    assert figures["sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert [row["seed"] for row in figures["seeds"]] == [0, 1]
    assert all(row["env_steps"] == 20 * 64 and row["seconds"] > 0 for row in figures["seeds"])


def test_a_card_says_what_its_memorys_dreams_are_worth(workspace, tmp_path):
    name = names(workspace)[0]
    run, folder = workspace.run(name), tmp_path / "dreaming"
    picture = np.zeros((4, 4, 3), np.uint8)
    found = {
        "checkpoint": workspace.resolve_model(run.folder).stem,
        "on": "episodes of seeds 7 to 9, sampled",
        "horizons": [1, 4],
        "z_error": {"mean_of_draws": [0.11, 0.46], "mean_latent": [1.0, 1.01]},
        "action_ratio": float("nan"),
    }
    try:
        keep_assessment(run.folder, found, {"strip": picture})
        finish(write_card([name], folder, workspace, episodes=2))
        figures, text = json.loads((folder / "card.json").read_text()), (folder / "card.md").read_text()
        assert figures["assessment"]["z_error"] == found["z_error"]
        assert figures["assessment"]["action_ratio"] is None
        assert "measured on episodes of seeds 7 to 9, sampled" in text
        assert "| Mean of 16 draws | 0.110 | 0.460 |" in text
        assert "(assessment-strip.png)" in text
        assert (folder / "assessment-strip.png").is_file()
        keep_assessment(run.folder, found | {"checkpoint": "of old"}, {})
        events = list(write_card([name], folder, workspace, episodes=2))
        assert any(isinstance(e, Message) and "another checkpoint" in e.text for e in events)
        assert "Dreams" not in (folder / "card.md").read_text()
        assert not (folder / "assessment-strip.png").exists()
    finally:
        (run.folder / "assessment.json").unlink()


def dreamer(round_steps, total_steps):
    """Settings of a short run in dreams, judged after every round."""
    return experiment(
        memory={"name": "MDNRNN", "hidden_dim": 8, "mixtures": 2, "feedback_steps": 2},
        dream={"train": True, "random_steps": 48, "round_steps": round_steps, "first_memory_updates": 1}
        | {"memory_updates": 1, "updates": 1, "starts": 4, "horizon": 2, "context": 4}
        | {"judge_every": 1, "judge_episodes": 2},
        train={"total_steps": total_steps},
        world_model={"sequence_length": 8, "memory_batch_size": 2},
    )


def test_who_never_ended_an_episode_has_a_card_of_judgements(tmp_path):
    made = Workspace(tmp_path / "ws")
    finish(train(dreamer(4, 52), made))  # too few decisions for a pole to fall
    (name,) = names(made)
    assert len(made.run(name).episodes().step) == 0
    finish(write_card([name], tmp_path / "dreamer", made, episodes=2))
    row = json.loads((tmp_path / "dreamer" / "card.json").read_text())["seeds"][0]
    assert (row["env_steps"], row["frames"]) == (52, 0)
    assert row["seconds"] > 0
    made.close()


def test_a_card_says_how_a_model_was_learned_in_dreams(tmp_path):
    made = Workspace(tmp_path / "ws")
    finish(train(dreamer(160, 360), made))
    (name,) = names(made)
    folder = tmp_path / "dreamer"
    finish(write_card([name], folder, made, episodes=2))
    judged = json.loads((folder / "card.json").read_text())["judgements"]
    curve = made.run(name).metrics("real/greedy")
    assert [row["env_steps"] for row in judged] == curve.step.tolist()
    assert [row["greedy"] for row in judged] == pytest.approx(curve.value.tolist(), abs=0.05)
    assert all(row["frames"] == row["env_steps"] and row["cpu_seconds"] > 0 for row in judged)
    assert judged[-1]["judging_frames"] > judged[0]["judging_frames"] > 0
    text = (folder / "card.md").read_text()
    assert "## Learned in dreams" in text
    assert f"| {judged[-1]['frames']:,} | {judged[-1]['judging_frames']:,} |" in text
    made.close()


def test_a_judgement_after_rounds_without_dreams_tells_no_worth_of_them(tmp_path):
    made = Workspace(tmp_path / "ws")
    half = dreamer(160, 720).with_values(("train.epochs", None), ("dream.real_share", 0.5))
    finish(train(half, made))
    rows = judgements(made.run(names(made)[0]), 1)
    made.close()
    dreamt = [row["env_steps"] for row in rows if row["dreamt"] is not None and row["real"] is not None]
    assert 0 < len(dreamt) < len(rows)
    assert max(dreamt) < 720 == rows[-1]["env_steps"]
    assert rows[-1]["dreamt"] is None is rows[-1]["real"]


def test_a_card_says_when_training_passed_a_mark(card, workspace):
    folder, _ = card
    rows = json.loads((folder / "card.json").read_text())["seeds"]
    for row, name in zip(rows, names(workspace), strict=False):
        run = workspace.run(name)
        curve, episodes = run.metrics("reward/mean_100"), run.episodes()
        first = next(i for i, value in enumerate(curve.value) if value >= MARKS[0])
        frames = sum(int(n) for n, at in zip(episodes.length, episodes.step, strict=True) if at <= curve.step[first])
        assert row["marks"]["15"] == {
            "env_steps": curve.step[first],
            "frames": frames,
            "seconds": pytest.approx(curve.seconds[first], abs=0.1),
        }
        assert 0 < frames <= curve.step[first]
        assert row["marks"]["1e+06"] is None
    assert "| seed | 15 | 1e+06 |" in (folder / "card.md").read_text()


def test_a_card_can_be_read_by_people(card):
    folder, _ = card
    text = (folder / "card.md").read_text()
    for words in ("# pole", "CartPole-v1", "Falls over.", "MIT", "curve.png", "experiment.toml", "--greedy", "seed"):
        assert words in text
    with Image.open(folder / "curve.png") as picture:
        assert picture.size == (960, 480)
        assert len(picture.convert("RGB").getcolors(100_000) or []) > 10  # something is drawn


def test_a_model_with_a_card_is_found_by_its_folders_name(card):
    folder, result = card
    (model,) = pretrained_models(folder.parent)
    assert (model.name, model.env, model.score) == ("pole", "CartPole-v1", pytest.approx(result["greedy"], abs=0.01))
    (folder.parent / "without-card").mkdir()
    assert [m.name for m in pretrained_models(folder.parent)] == ["pole"]


def test_runs_of_different_settings_or_of_one_seed_make_no_card(workspace, tmp_path):
    first, _, other = names(workspace)
    with pytest.raises(UserError, match=f"{first} and {other} are of different settings"):
        finish(write_card([first, other], tmp_path / "x", workspace, episodes=2))
    with pytest.raises(UserError, match="seeds 0, 0"):
        finish(write_card([first, first], tmp_path / "x", workspace, episodes=2))
    assert not (tmp_path / "x").exists()


def test_where_no_card_can_be_written_nothing_is_played(workspace, tmp_path, monkeypatch):
    played = []
    monkeypatch.setattr(card_job, "infer", lambda *_: played.append(1) or iter(()))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "experiment.toml").write_text("mine")
    for place, words in (
        ("file", "is a file"),
        ("file/in", "is a file"),
        ("mine", "holds experiment.toml and no card"),
    ):
        with pytest.raises(UserError, match=words):
            finish(write_card(names(workspace)[:2], tmp_path / place, workspace, episodes=2))
    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    with pytest.raises(UserError, match="cannot be written to"):
        finish(write_card(names(workspace)[:2], tmp_path / "new", workspace, episodes=2))
    assert not played
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "file",
        "mine",
        "mine/experiment.toml",
    ]


def refused(**_):
    raise PermissionError(13, "Permission denied")


def test_what_a_run_lacks_is_seen_before_another_is_played(workspace, tmp_path, monkeypatch):
    played = []
    monkeypatch.setattr(card_job, "infer", lambda *_: played.append(1) or iter(()))
    last = workspace.run(names(workspace)[1])
    (last.folder / "assessment.json").write_text("nonsense")
    try:
        with pytest.raises(UserError, match="not an assessment"):
            finish(write_card(names(workspace)[:2], tmp_path / "x", workspace, episodes=2))
    finally:
        (last.folder / "assessment.json").unlink()
    assert not played


def test_a_card_whose_writing_fails_leaves_the_earlier_files(workspace, tmp_path, monkeypatch):
    (name,), folder = names(workspace)[:1], tmp_path / "pole"
    finish(write_card([name], folder, workspace, episodes=2))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def half(path, *_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(card_job, "draw_curves", half)
    with pytest.raises(JobError, match=r"curve\.png: cannot be written"):
        finish(write_card([name], folder, workspace, episodes=2))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_card_that_is_stopped_writes_nothing(workspace, tmp_path):
    control = JobControl()
    for event in write_card(names(workspace)[:2], tmp_path / "x", workspace, control, episodes=50):
        if isinstance(event, EpisodeFinished):
            control.stop()
    assert isinstance(event, Finished)
    assert event.stopped_by == "stop"
    assert not (tmp_path / "x").exists()


def test_the_models_that_ship_are_small_and_whole():
    models = pretrained_models()
    assert tuple(model.name for model in models) == NAMES
    assert sum(path.stat().st_size for m in models for path in m.folder.iterdir()) < 30e6
    for model in models:
        assert model.card["sha256"] == hashlib.sha256(model.model.read_bytes()).hexdigest()
        made_by = Experiment.from_toml(model.folder / "experiment.toml")
        assert made_by.env.id == model.env
        assert made_by.run.seed == model.card["shipped_seed"]
        assert {path.name for path in model.folder.iterdir()} >= {"card.md", "curve.png"}


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-dream")])
def test_what_ships_to_be_dreamt_in_was_assessed(name):
    model = pretrained_model(name)
    found = kept_assessment(model.folder)
    assert found == model.card["assessment"]
    assert found["trust"]["usual"]
    assert kept_assessment(pretrained_model("cartpole").folder) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_ships_was_made_by_its_preset(name):
    from ewm_studio.resources import resource

    def plain(settings):
        values = settings.model_dump(mode="json", exclude={"run", "versions", "start", "infer"})
        values["env"].pop("workers")
        values["data"].pop("frames")  # of no meaning to training; what shipped was made when decisions were counted
        return values

    model = pretrained_model(name)
    made_by, preset = Experiment.from_toml(model.folder / "experiment.toml"), resource("presets", f"{name}.toml")
    asked = plain(Experiment.from_toml(preset))
    found = plain(made_by)
    for kind in ("vision", "memory", "controller"):  # a run names the parts in full
        given = asked.pop(kind)
        made = found.pop(kind)
        assert given["name"] in ("auto", made["name"])
        assert all(made[key] == value for key, value in given.items() if key != "name")
    assert found == asked


def test_a_model_plays_by_its_name_and_the_list_names_it(capsys, tmp_path):
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert [row["name"] for row in listed] == list(NAMES)
    playing = ["infer", "--load-path", "cartpole", "--episodes", "2", "--json", "--workspace", str(tmp_path / "none")]
    assert main(playing) == 0
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])["mean"] == 500
    assert not (tmp_path / "none").exists()


def test_a_run_or_folder_of_the_same_name_comes_first(tmp_path, monkeypatch, workspace):
    run = workspace.run(names(workspace)[0])
    own = Workspace(tmp_path / "own")
    assert own.resolve_model("cartpole") == pretrained_model("cartpole").model
    shutil.copytree(run.folder, tmp_path / "cartpole")
    monkeypatch.chdir(tmp_path)
    assert own.resolve_model("cartpole").is_relative_to("cartpole")
    own.close()


def test_a_folder_without_a_model_hides_none_of_its_name(tmp_path, monkeypatch, workspace):
    name = names(workspace)[0]
    for folder in ("cartpole", name, "other"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    assert workspace.resolve_model("cartpole") == pretrained_model("cartpole").model
    assert workspace.run_of(workspace.resolve_model(name)) == name
    with pytest.raises(UserError, match="other: expected a run with a checkpoint"):
        workspace.resolve_model("other")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["greedy", "sampled"])
@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_ships_scores_what_its_card_says(name, mode, tmp_path):
    model = pretrained_model(name)
    evaluation, score = model.card["evaluation"], model.card["score"][mode]
    asked = Experiment.from_toml(model.folder / "experiment.toml").with_values(
        ("start.load_path", name),
        ("infer.episodes", evaluation["episodes"]),
        ("infer.greedy", mode == "greedy"),
        ("run.seed", evaluation["first_seed"]),
        ("env.workers", "auto"),
    )
    played = finish(infer(asked, Workspace(tmp_path / "ws")))
    assert abs(played["mean"] - score["mean"]) <= 2 * score["standard_error"] + 0.01
