"""Models go to the Hugging Face Hub and come from it: here a folder on the disk plays the Hub, and nothing is sent."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from fnmatch import fnmatch

import pytest

from ewm_studio.acting.agent import load_agent
from ewm_studio.cli import main
from ewm_studio.errors import JobError, UserError
from ewm_studio.jobs import train
from ewm_studio.workspace import Workspace, hub
from ewm_studio.workspace.pretrained import pretrained_model
from tests.support.jobs import experiment, finish

MODEL = "model.safetensors"


class FolderHub:
    """What of `HfApi` is used, with repositories that are folders."""

    def __init__(self, root):
        self.root, self.private = root, {}

    def create_repo(self, repo_id, *, private, exist_ok, repo_type):
        assert exist_ok
        assert repo_type == "model"
        self.private.setdefault(repo_id, private)
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)

    def snapshot_download(self, repo_id, *, revision, local_dir, allow_patterns):
        if not (self.root / repo_id).is_dir():
            raise RepositoryNotFoundError(f"404 for {repo_id}")
        for path in (self.root / repo_id).iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                local_dir.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, local_dir / path.name)


class RepositoryNotFoundError(OSError):
    """Told by its name, as huggingface_hub's own are, which need the extra."""


class Offline:
    """A Hub that cannot be reached."""

    def __getattr__(self, name):
        def fail(*args, **kwargs):
            raise ConnectionError("no route")

        return fail


@pytest.fixture
def the_hub(tmp_path, monkeypatch):
    made = FolderHub(tmp_path / "hub")
    monkeypatch.setattr(hub, "hub_api", lambda: made)
    monkeypatch.setenv("EWM_WORKSPACE", str(tmp_path / "ws"))
    return made


def told(capsys, *words):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def refused(capsys, *words, code=2):
    capsys.readouterr()
    assert main(list(words)) == code
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_shipped_model_goes_up_and_comes_down(the_hub, tmp_path, capsys):
    sent = told(capsys, "models", "push", "cartpole", "me/pole", "--private")
    assert sent["files"] == ["README.md", "card.json", "card.md", "curve.png", "experiment.toml", MODEL]
    assert the_hub.private == {"me/pole": True}
    readme = (the_hub.root / "me" / "pole" / "README.md").read_text()
    assert readme.startswith("---\nlibrary_name: ewm-studio\n")
    assert "license: mit" in readme
    assert "`ewm-studio models pull me/pole`" in readme
    assert "## Score" in readme  # the card
    got = told(capsys, "models", "pull", "me/pole")
    assert got["name"] == "me-pole"
    here, there = load_agent(got["model"]), load_agent(pretrained_model("cartpole").model)
    assert all((here.model.state_dict()[name] == value).all() for name, value in there.model.state_dict().items())
    rows = told(capsys, "models")
    assert rows[-1] == {"name": "me-pole", "path": got["model"], "env": "CartPole-v1"}
    for name in ("me-pole", "me/pole"):
        found = told(capsys, "infer", "--load-path", name, "--episodes", "1", "--no-keep-replays")
        assert found["mean"] == 500
    assert "is there already" in refused(capsys, "models", "pull", "me/pole")
    assert told(capsys, "models", "pull", "me/pole", "--name", "again")["name"] == "again"


def test_of_a_run_its_best_model_and_its_settings_go_up(the_hub, tmp_path, capsys):
    workspace = Workspace(tmp_path / "ws")
    run = finish(train(experiment(), workspace))["run"]
    sent = told(capsys, "models", "push", run, "me/run")
    assert sent["files"] == ["README.md", "experiment.toml", MODEL]
    assert "# run" in (the_hub.root / "me" / "run" / "README.md").read_text()
    alone = tmp_path / "alone.safetensors"
    shutil.copyfile(workspace.resolve_model(run), alone)
    assert told(capsys, "models", "push", str(alone), "me/alone")["files"] == ["README.md", MODEL]


def test_only_what_is_no_code_comes_down_and_only_a_model_of_ours(the_hub, tmp_path, capsys):
    told(capsys, "models", "push", "cartpole", "me/pole")
    there = the_hub.root / "me" / "pole"
    for name in ("weights.pt", "evil.py", "a.pkl"):
        (there / name).write_bytes(pickle.dumps(print))
    got = told(capsys, "models", "pull", "me/pole")
    assert set(got["files"]) == {"README.md", "card.json", "card.md", "curve.png", "experiment.toml", MODEL}
    models = tmp_path / "ws" / "models"
    (there / MODEL).write_bytes((there / MODEL).read_bytes()[:-10])
    refused(capsys, "models", "pull", "me/pole", "--name", "cut")
    (there / MODEL).write_bytes(pickle.dumps({"weights": print}))
    refused(capsys, "models", "pull", "me/pole", "--name", "pickled")
    (there / MODEL).unlink()
    assert "expected a model.safetensors" in refused(capsys, "models", "pull", "me/pole", "--name", "none")
    assert [path.name for path in models.iterdir()] == ["me-pole"]


def test_what_fails_is_one_line(the_hub, tmp_path, capsys, monkeypatch):
    for words in (("push", "cartpole", "pole"), ("pull", "../../etc"), ("pull", "a/b/c"), ("pull", "me/.x")):
        assert "no repository of the Hub" in refused(capsys, "models", *words)
    assert "no such repository" in refused(capsys, "models", "pull", "me/nothing")
    assert "letters, digits" in refused(capsys, "models", "pull", "me/pole", "--name", "a b")
    assert "no action 'push-it'" in refused(capsys, "models", "push-it")
    assert "no run 'nothing'" in refused(capsys, "models", "push", "nothing", "me/pole")
    monkeypatch.setattr(hub, "hub_api", Offline)
    assert "no route" in refused(capsys, "models", "pull", "me/pole", code=1)
    assert main(["models", "push", "cartpole", "me/pole"]) == 1
    assert "no route" in capsys.readouterr().err.splitlines()[-1]
    assert not list((tmp_path / "ws" / "models").glob("*"))


def test_nothing_goes_up_that_happens_to_lie_near(the_hub, tmp_path, capsys, monkeypatch):
    here = tmp_path / "mine"
    (here / "models").mkdir(parents=True)
    monkeypatch.chdir(here)
    for name in (MODEL, "models/driver.safetensors"):
        shutil.copyfile(pretrained_model("cartpole").model, here / name)
    for name in ("README.md", "bank-statement.png", "experiment.toml", "card.md", "card.json"):
        (here / name).write_text("private")
    for model in (MODEL, "models/driver.safetensors", str(here / MODEL)):
        assert main(["models", "push", model, "me/one"]) == 0
        assert capsys.readouterr().err == f"{model} goes to me/one: README.md, {MODEL}\n"
        assert sorted(path.name for path in (the_hub.root / "me" / "one").iterdir()) == ["README.md", MODEL]
        assert "private" not in (the_hub.root / "me" / "one" / "README.md").read_text()


def test_what_was_pulled_goes_up_whole_and_no_link_with_it(the_hub, tmp_path, capsys):
    told(capsys, "models", "push", "cartpole", "me/pole")
    model = told(capsys, "models", "pull", "me/pole")["model"]
    (tmp_path / "bank-statement.png").write_text("private")
    (tmp_path / "ws" / "models" / "me-pole" / "bank-statement.png").symlink_to(tmp_path / "bank-statement.png")
    assert told(capsys, "models", "push", model, "me/again")["files"] == [
        "README.md",
        "card.json",
        "card.md",
        "curve.png",
        "experiment.toml",
        MODEL,
    ]


def test_who_may_not_enter_is_told_how(tmp_path):
    class Closed(FolderHub):
        def create_repo(self, repo_id, **settings):
            error = OSError("401 Client Error")
            error.response = type("Response", (), {"status_code": 401})()
            raise error

    with pytest.raises(UserError, match="hf auth login"):
        hub.push_model(pretrained_model("cartpole").model, "me/pole", Closed(tmp_path), Workspace(tmp_path / "ws"))
    with pytest.raises(JobError, match="cannot be reached"):
        hub.push_model(pretrained_model("cartpole").model, "me/pole", Offline(), Workspace(tmp_path / "ws"))


def test_the_hub_is_not_even_imported_unasked():
    code = "import sys, ewm_studio.cli as c; c.main(['models']); assert 'huggingface_hub' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_api_is_hugging_faces_own():
    pytest.importorskip("huggingface_hub")
    import inspect

    api = hub.hub_api()
    for name in ("create_repo", "upload_folder", "snapshot_download"):
        ours = inspect.signature(getattr(FolderHub, name)).parameters
        assert set(ours) - {"self"} <= set(inspect.signature(getattr(api, name)).parameters)
