"""A study on a Ray cluster of two nodes of one core, by a client that has its token."""

import os
import subprocess
import sys

import pytest

from ewm_studio.errors import UserError
from ewm_studio.events import Finished, Message, StudyRunMoved
from ewm_studio.jobs.cluster.address import TOKEN
from ewm_studio.jobs.cluster.pool import RayPool
from ewm_studio.jobs.studies.conditions import kept_conditions
from ewm_studio.jobs.studies.study_job import run_study
from ewm_studio.settings.study import PlaceSettings
from ewm_studio.settings.study_file import read_study
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.models import load_model
from ewm_studio.workspace.studies import StudyFolder
from tests.support import ROOT
from tests.support.ray_cluster import kill_second, ray_cluster
from tests.support.studies import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="clusters are of Linux machines")]
STUDY = (
    SMALL
    + """
[seeds]
reported = [0, 1]
[budget]
frames = 320
[judge]
episodes = 3
"""
)


@pytest.fixture
def cluster():
    with ray_cluster() as found:
        yield found


def study(folder, text=STUDY):
    path = folder / "small.study.toml"
    path.write_text(text)
    return read_study(path)


def kept(workspace):
    return StudyFolder(workspace.path, "small").records()


def weights(workspace, record):
    tensors, _ = load_model(workspace.run(record.run).folder / record.trained["model"])
    return {name: tensor.tolist() for name, tensor in tensors.items()}


def test_the_same_weights_as_on_this_computer_and_a_node_that_is_killed_costs_a_retry(tmp_path, cluster):
    process, address = cluster
    here, there, killed = (Workspace(tmp_path / name) for name in ("here", "there", "killed"))
    file = study(tmp_path)

    *_, alone = run_study(file.placed(parallel="1"), here)
    *_, spread = run_study(file.placed(on=address), there)
    assert isinstance(alone, Finished)
    assert (alone.result["finished"], spread.result["finished"]) == (4, 4)
    one, other = kept(here), kept(there)
    for key in one:
        assert weights(here, one[key]) == weights(there, other[key])
        assert one[key].scores == other[key].scores
        run, twin = here.run(one[key].run), there.run(other[key].run)
        assert run.tags() == twin.tags()
        assert run.episodes().reward.tolist() == twin.episodes().reward.tolist()
        assert there.info(twin.name).state == "finished"
        assert there.info(twin.name).title.startswith("small: ")
        assert str(there.path) not in (twin.folder / "experiment.toml").read_text()
    assert "2 nodes, 2 cores" in kept_conditions(StudyFolder(there.path, "small")).machine["computed on"]

    wrong = "import sys; from ewm_studio.jobs.cluster.pool import RayPool; from ewm_studio.settings.study import *\n"
    wrong += f"try: RayPool(PlaceSettings(on='{address}'))\nexcept Exception as error: print(error); sys.exit(7)"
    strangers = {**os.environ, TOKEN: "b" * 40, "PYTHONPATH": str(ROOT)}
    said = subprocess.run([sys.executable, "-c", wrong], env=strangers, capture_output=True, text=True, timeout=200)
    assert said.returncode == 7
    assert "does not let this studio in" in said.stdout

    with pytest.raises(UserError, match=r"has 0 GPUs, and place\.gpus asks for 1"):
        RayPool(PlaceSettings(on=address, gpus=1))

    gone, lines = False, []
    long = study(tmp_path, STUDY.replace("frames = 320", "frames = 12_000"))
    for event in run_study(long.placed(on=address), killed):
        if isinstance(event, Message):
            lines.append(event.text)
        shares = {key: record.state for key, record in kept(killed).items()} if not gone else {}
        if isinstance(event, StudyRunMoved) and not gone and list(shares.values()).count("running") == 2:
            gone = event.share > 0.05
            if gone:
                kill_second(process)
    assert isinstance(event, Finished)
    assert (event.result["finished"], event.result["failed"]) == (4, 0)
    failures = [record.failures for record in kept(killed).values() if record.failures]
    assert [len(each) for each in failures] == [1]
    assert "machine of the cluster is gone" in failures[0][0]
    assert any("it is tried once more" in line for line in lines)
