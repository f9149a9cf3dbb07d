"""Signals at any instant, to a command alone or to its group: it saves, ends with 130 and leaves nothing behind."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from ewm_studio.workspace import Workspace
from tests.support.stops import Ended, Nursery, left_of

if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)

SMALL = ("--batch-size", "4", "--rollout-steps", "32", "--ppo-epochs", "2", "--seed", "1")
TINY = ("--memory", "LSTMMemory", "--set", "memory.hidden_dim=8")
LONG = ("--total-steps", "100000000")
GATHER = ("--set", "warm_up.random_frames=3000", "--set", "world_model.frame_buffer=3000", *TINY)
PASSES = ("--set", "warm_up.vision_epochs=0", "--set", "warm_up.memory_epochs=100000")
# A signal, and whether it goes to the whole group. Every moment meets the first two and one of the others.
ALWAYS = ((signal.SIGTERM, True), (signal.SIGHUP, True))
IN_TURN = ((signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGHUP, False), (signal.SIGINT, False))


@dataclass(frozen=True)
class Moment:
    """What runs, and when the signal comes: up to `later` seconds after stderr holds `word`."""

    kind: str
    argv: tuple[str, ...]
    word: str
    later: float
    makes_run: bool = True


def moments(model: str) -> list[Moment]:
    """All of them, without and with workers."""
    found = []
    for workers in ("0", "2"):
        spread = ("--set", f"env.workers={workers}")
        train = ("train", *SMALL, *spread, *LONG)
        beside = f", {workers} workers"
        found += [
            Moment("start" + beside, train, "", 0.8),
            Moment("training" + beside, train, "train:", 0.6),
            Moment("saving" + beside, (*train, "--save-freq", "1"), "train:", 0.3),
            Moment("warm-up, gathering" + beside, (*train, *GATHER), "train ", 0.4),
            Moment("warm-up, learning" + beside, (*train, *GATHER, *PASSES), "memory:", 0.4),
            Moment(
                "pretraining" + beside,
                ("pretrain", "--frames", "2000", "--epochs", "100000", "--batch-size", "4", *spread, *TINY),
                "memory:",
                0.4,
            ),
            Moment(
                "evaluation" + beside,
                ("infer", "--load-path", model, "--episodes", "100000", *spread),
                "infer:",
                0.3,
                makes_run=False,
            ),
        ]
    return [*found, Moment("recording", ("record", "--frames", "1000000"), "record:", 0.3, makes_run=False)]


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    made = Nursery(tmp_path_factory.mktemp("stops"))
    yield made
    made.close()


def test_signals_save_and_end_with_130(nursery, tally, tmp_path):
    rng = random.Random(13)
    made = nursery.run("train", *SMALL, "--epochs", "1", "--json", "--workspace", str(tmp_path / "model"))
    assert made.code == 0, made.err
    turns = itertools.cycle(IN_TURN)
    tries = [(m, *sent) for m in moments(made.result["checkpoint"]) for sent in (*ALWAYS, next(turns))]
    for moment, number, group in tries:
        place = tmp_path / f"ws{time.monotonic_ns()}"
        nursery.start(*moment.argv, "--json", "--workspace", str(place))
        reached = nursery.wait_for(moment.word)
        time.sleep(rng.uniform(0.0, moment.later))
        nursery.signal(number, group)
        ended = nursery.end()
        wrong = "not reached" if not reached else wrong_with(ended)
        if not wrong and moment.makes_run and (place / "runs").exists():
            wrong = wrong_with_resuming(nursery, moment, place)
        to = "its group" if group else "the process"
        tally.count(f"{number.name} to {to}", not wrong, f"{moment.kind}: {wrong}: {ended.code} {ended.err[-300:]}")


def wrong_with(ended: Ended) -> str:
    """What is wrong with how a command ended; empty where nothing is."""
    if "Traceback" in ended.err:
        return "a traceback"
    if ended.code != 130:
        return f"exit code {ended.code}"
    return f"left behind: {ended.left}" if ended.left else ""


def wrong_with_resuming(nursery: Nursery, moment: Moment, place) -> str:
    """What is wrong with the run that was stopped, and with going on from there."""
    workspace = Workspace(place)
    (info,) = workspace.runs()
    run = workspace.run(info.name)
    latest = run.latest_checkpoint()
    workspace.close()
    if latest is None or info.state != "stopped":
        return f"{info.state}, checkpoint {latest}"
    command = moment.argv[0]
    ends = ("--total-steps", "1") if command == "train" else ("--epochs", "1")
    if "warm-up" in moment.kind:
        ends = (*ends, "--set", "warm_up.memory_epochs=1")
    again = nursery.run(command, "--resume", info.name, *ends, "--json", "--workspace", str(place))
    return "" if again.code == 0 else f"resumed: exit code {again.code}, {again.err[-300:]}"


WINDOW = """
import sys
from ewm_studio.ui.window import app
from ewm_studio.ui.window.studio import Studio

class Training(Studio):
    def begin(self):
        super().begin()
        for path, value in (("train.total_steps", 10**9), ("env.workers", 2), ("env.batch_size", 4)):
            self.services.document.set(path, value)
        self.services.start("train")

app.Studio = Training
sys.exit(app.main(sys.argv[1]))
"""


@pytest.mark.parametrize(("number", "group"), ALWAYS)
def test_the_windows_job_saves_too(tally, tmp_path, number, group):
    place = tmp_path / "ws"
    environ = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", WINDOW, str(place)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ, start_new_session=True) as process:
        until = time.monotonic() + 90
        while not list(place.glob("runs/*/experiment.toml")) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(random.Random(number).uniform(0.2, 1.5))
        (os.killpg if group else os.kill)(process.pid, number)
        _, err = process.communicate(timeout=90)
    workspace = Workspace(place)
    states = [(info.state, workspace.run(info.name).latest_checkpoint()) for info in workspace.runs()]
    workspace.close()
    left = left_of(process.pid)
    saved = [state for state, _ in states] == ["stopped"] and states[0][1] is not None
    held = saved and not left and "Traceback" not in err and process.returncode == 0
    to = "its group" if group else "the process"
    tally.count(f"{number.name} to {to}, the window", held, f"{process.returncode} {states} {left} {err[-300:]}")
