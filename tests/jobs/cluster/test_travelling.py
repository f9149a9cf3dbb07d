"""What travels to a cluster and back, without a cluster: addresses, files, places, words."""

import asyncio
import os
import socket

import pytest

from ewm_studio.errors import JobError, UserError
from ewm_studio.events import CheckpointSaved, Finished, RunStarted
from ewm_studio.jobs.cluster import parcels
from ewm_studio.jobs.cluster.address import check_cluster, cluster_address
from ewm_studio.jobs.cluster.carried import carried
from ewm_studio.jobs.cluster.mirror import Mirror
from ewm_studio.jobs.cluster.parcels import Parcels, Piece
from ewm_studio.jobs.cluster.post import Post
from ewm_studio.jobs.spec import JobSpec
from ewm_studio.settings import Experiment
from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.lock import RunLock


def test_an_address_is_the_one_given_that_of_ray_or_this_computer():
    assert cluster_address("ray://head:7", {}) == "ray://head:7"
    assert cluster_address("ray://head", {}) == "ray://head:10001"
    assert cluster_address("auto", {}) == "ray://127.0.0.1:10001"
    assert cluster_address("auto", {"RAY_ADDRESS": "ray://other:1"}) == "ray://other:1"
    assert cluster_address("auto", {"RAY_ADDRESS": "10.0.0.1:6379"}) == "ray://127.0.0.1:10001"
    for wrong in ("head:10001", "ray://", "ray://head:port"):
        with pytest.raises(UserError, match="should be auto or ray://HOST:10001"):
            cluster_address(wrong, {})


def test_another_machine_is_spoken_to_with_a_token_only(tmp_path):
    with pytest.raises(UserError, match="is another machine, and there is no token to show it"):
        check_cluster("ray://192.0.2.1:1", {}, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"ray://127.0.0.1:{server.getsockname()[1]}"
        assert check_cluster(address, {}, tmp_path) == {}
        assert check_cluster(address, {"RAY_AUTH_TOKEN": "a"}, tmp_path) == {"RAY_AUTH_MODE": "token"}
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("a")
        assert check_cluster(address, {}, tmp_path) == {"RAY_AUTH_MODE": "token"}
        assert check_cluster(address, {"RAY_AUTH_MODE": "disabled"}, tmp_path) == {}
    with pytest.raises(UserError, match=r"no Ray cluster answers at ray://127.0.0.1:\d+ \(.+\); begin one there"):
        check_cluster(address, {}, tmp_path)


def test_a_place_that_is_none_is_named(tmp_path):
    path = tmp_path / "a.study.toml"
    path.write_text("")
    file = read_study(path)
    assert file.placed(on="auto", parallel="3").study.place.model_dump() == {
        "parallel": 3,
        "threads": 1,
        "on": "auto",
        "gpus": 0.0,
    }
    with pytest.raises(
        UserError, match=r"--on: should be auto or an address such as ray://host:10001 \(found 'moon'\)"
    ):
        file.placed(on="moon")
    with pytest.raises(UserError, match="--parallel: "):
        file.placed(parallel="none")


def test_what_changed_is_sent_in_pieces_and_what_is_gone_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(parcels, "PIECE_BYTES", 3)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"12345")
    (tmp_path / "two").write_bytes(b"")
    for stays in (".lock", ".behind", ".x.tmp"):
        (tmp_path / stays).write_bytes(b"here")
    sent = Parcels(tmp_path)
    assert list(sent.pieces()) == [Piece("a/one", True, b"123"), Piece("a/one", False, b"45"), Piece("two", True, b"")]
    assert sent.gone() == []
    assert list(sent.pieces()) == []
    (tmp_path / "two").write_bytes(b"2")
    os.unlink(tmp_path / "a" / "one")
    assert list(sent.pieces()) == [Piece("two", True, b"2")]
    assert sent.gone() == ["a/one"]
    assert list(Parcels(tmp_path, known=True).pieces()) == []


def send(folder, mirror, sent):
    for piece in sent.pieces():
        mirror.take(piece)
    mirror.settle(sent.gone())


def test_a_run_arrives_under_a_name_that_is_free_and_is_taken_up_like_any_other(tmp_path):
    there, here = Workspace(tmp_path / "there"), Workspace(tmp_path / "here")
    own = here.create_run("CartPole-v1", "train", Experiment().to_toml(), seed=5)
    own.finish("finished")
    run = there.create_run("CartPole-v1", "train", Experiment().to_toml(), seed=7)
    run.log_metrics(10, 1, 1.0, {"reward/mean_100": 3.0})
    run.flush()
    sent, mirror = Parcels(run.folder), Mirror(here, "", {})
    mirror.begin(run.name, str(there.path))
    started = mirror.here(RunStarted("train", run.name, str(run.folder), f"in {run.folder}"))
    assert started.run != own.name
    assert started.folder == str(here.runs_folder / started.run)
    send(run.folder, mirror, sent)
    assert here.info(started.run).state == "running"  # somebody holds its lock
    assert here.info(started.run).seed == 7
    saved = CheckpointSaved(f"{run.folder}/checkpoints/1.safetensors", 1, None, True)
    assert mirror.here(saved).path == f"{here.runs_folder / started.run}/checkpoints/1.safetensors"
    ended = mirror.here(Finished("stop", {"run": run.name, "list": [str(run.folder)]}))
    assert ended.result == {"run": started.run, "list": [str(here.runs_folder / started.run)]}
    run.log_metrics(20, 2, 2.0, {"reward/mean_100": 4.0})
    run.finish("finished")
    send(run.folder, mirror, sent)
    mirror.close()
    assert here.info(started.run).state == "finished"
    assert here.run(started.run).metrics("reward/mean_100").value.tolist() == [3.0, 4.0]
    assert own.name != started.run
    assert not (here.runs_folder / started.run / ".arriving").exists()


def test_a_machine_that_dies_leaves_what_was_saved_and_nothing_half(tmp_path):
    there, here = Workspace(tmp_path / "there"), Workspace(tmp_path / "here")
    run = there.create_run("CartPole-v1", "train", Experiment().to_toml())
    sent, mirror = Parcels(run.folder), Mirror(here, "", {})
    mirror.begin(run.name, str(there.path))
    send(run.folder, mirror, sent)
    mirror.take(Piece("checkpoints/9.safetensors", True, b"half"))
    mirror.close()
    assert here.info(run.name).state == "interrupted"
    assert not (here.runs_folder / run.name / "checkpoints").exists()
    nothing = Mirror(here, "", {})
    nothing.begin(run.name, str(there.path))
    nothing.close()
    assert [info.name for info in here.runs()] == [run.name]
    assert os.listdir(here.runs_folder) == [run.name]


def test_nothing_that_comes_from_elsewhere_is_written_outside(tmp_path):
    here = Workspace(tmp_path / "here")
    mirror = Mirror(here, "", {})
    with pytest.raises(JobError, match="came from the cluster before its name"):
        mirror.take(Piece("a", True, b""))
    mirror.begin("2026-01-01-CartPole-v1-1", "/there")
    for path in ("../a", "/tmp/a", "a/../../b", ""):
        with pytest.raises(JobError, match="outside of its run's folder"):
            mirror.take(Piece(path, True, b""))
        if path:
            with pytest.raises(JobError, match="outside of its run's folder"):
                mirror.settle([path])
    mirror.close()


def test_a_run_that_is_written_already_is_left_alone(tmp_path):
    here = Workspace(tmp_path / "here")
    run = here.create_run("CartPole-v1", "train", Experiment().to_toml())
    with pytest.raises(JobError, match="is being trained already"):
        Mirror(here, run.name, {}).begin(run.name, "/there")
    run.finish("stopped")
    assert not RunLock(run.folder).alive()


def test_what_a_job_needs_goes_with_it(tmp_path):
    here = Workspace(tmp_path / "here")
    run = here.create_run("CartPole-v1", "train", Experiment().to_toml())
    run.finish("stopped")
    again = carried(JobSpec("train", str(here.path), {}, run.name), here)
    assert f"runs/{run.name}/experiment.toml" in again.files
    model = tmp_path / "my.safetensors"
    model.write_bytes(b"")
    job = JobSpec("train", str(here.path), {"start": {"load_path": str(model)}})
    assert carried(job, here).models == {"start.load_path": "models/0/my.safetensors"}
    assert carried(job, here).files == {"models/0/my.safetensors": model}
    missing = JobSpec("train", str(here.path), {"warm_up": {"recording": "laps"}})
    with pytest.raises(UserError, match="laps"):
        carried(missing, here)


def test_the_post_keeps_order_and_passes_commands_on():
    async def talk():
        post = Post()
        assert await post.put("a", [("event", 1)], 1) == []
        await post.tell("a", "stop")
        assert await post.put("b", [("event", 2)], 1) == []
        assert await post.put("a", [], 0) == ["stop"]
        assert await post.put("a", [], 0) == []
        assert await post.take(0) == [("a", [("event", 1)]), ("b", [("event", 2)])]
        assert await post.take(0.01) == []

    asyncio.run(talk())
