"""Misbehaving environments by the command line: train, infer, record and pretrain, in this process and in workers.

Whatever an environment raises or gives, the command ends with exit code 1 and one line that names it; nothing hangs,
no traceback is shown, and what was good before is kept. What ends its process cannot be caught in that process: it is
tried in workers, and alone in a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ewm_studio.cli import main
from tests.support import ROOT
from tests.support.misbehaving_envs import DIES, ENDS, RESETS, STEPS, env_id

SMALL = ["--set", "ppo.rollout_steps=16", "--set", "ppo.epochs=1", "--total-steps", "96", "--batch-size", "2"]
VALUES = {name: word for name, (_, word) in {**STEPS, **RESETS}.items()} | {"no_seed": "old Gym"}
SECONDS = 120  # a command that takes longer hangs


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workspace, and a model that plays all of these environments."""
    folder = tmp_path_factory.mktemp("environments")
    code, _, err = command(
        ["train", "--env", env_id("well"), "--save-path", str(folder / "good.safetensors"), *SMALL], folder
    )
    assert code == 0, err
    return folder


def command(words: list[str], folder: Path) -> tuple[int | str, str, str]:
    """Exit code, stdout and stderr of a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code: int | str = main([*words, "--workspace", str(folder / "ws"), "--device", "cpu"])
        except BaseException as error:  # the very thing that must not happen
            code = f"{type(error).__name__} came through"
    return code, out.getvalue(), err.getvalue()


def jobs(id: str, workers: int, folder: Path, number: int = 0) -> Iterator[list[str]]:
    """The commands that play in an environment."""
    spread = ["--set", f"env.workers={workers}"]
    yield ["train", "--env", id, *SMALL, *spread]
    model = str(folder / "good.safetensors")
    yield ["infer", "--env", id, "--load-path", model, "--episodes", "3", *spread]
    if workers == 0:
        yield ["record", "--env", id, "--recording", f"r{number}", "--frames", "60"]
    pretrain = ["pretrain", "--env", id, "--memory", "LSTMMemory", "--frames", "80", "--batch-size", "2"]
    yield [*pretrain, "--epochs", "1", *spread]


def named(err: str, name: str, word: str = "") -> bool:
    """Whether the last line of stderr, and only a line, names the environment and what it did."""
    lines = [line for line in err.splitlines() if line.strip()]
    return bool(lines) and name in lines[-1] and word in lines[-1] and "Traceback" not in err


@pytest.mark.parametrize("workers", [0, 2])
def test_what_ends_more_than_a_step(tally, place: Path, workers: int) -> None:
    faults = ENDS if workers == 0 else {name: ENDS[name] for name in ("error", "exit0", "strange", "interrupt")}
    where = {0: "in the process", 2: "in workers"}[workers]
    for number, (fault, at) in enumerate((f, p) for f in faults for p in ("init", "reset", "step")):
        for words in jobs(env_id(fault, at), workers, place, 1000 * workers + number):
            code, out, err = command(words, place)
            codes = (1, 2) if (fault, at) == ("error", "init") else (1,)
            held = code in codes and not out and named(err, f"{fault}.{at}-v0")
            tally.count(
                f"environments that raise or exit, {where}", held, f"{words[0]} {fault}.{at}: {code} {err[-200:]}"
            )


@pytest.mark.parametrize("workers", [0, 2])
def test_what_fails_to_close(tally, place: Path, workers: int) -> None:
    for number, fault in enumerate(ENDS):
        for words in jobs(env_id(fault, "close"), workers, place, 5000 + number):
            code, out, err = command([*words, "--json"], place)
            name, job = f"{fault}.close-v0", words[0]
            if job == "infer" and workers:  # its processes have ended by then, and all scores are here
                held = code == 0 and "Traceback" not in err
            elif job == "pretrain":  # it closes what it collected in, and goes on
                held = code == 0 and any("when it was closed" in line and name in line for line in err.splitlines())
            else:
                held = code == 1 and named(err, name, "when it was closed")
            held &= len(out.splitlines()) == 1 and bool(json.loads(out))
            tally.count(
                "environments that fail to close", held, f"{job} {fault}, {workers} workers: {code} {err[-200:]}"
            )


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_no_number(tally, place: Path, workers: int) -> None:
    faults = VALUES if workers == 0 else {n: VALUES[n] for n in ("nan_obs", "short_obs", "none_reward", "old_gym")}
    where = {0: "in the process", 2: "in workers"}[workers]
    for number, (fault, word) in enumerate(faults.items()):
        for words in jobs(env_id(fault), workers, place, 2000 * (workers + 1) + number):
            code, out, err = command(words, place)
            held = code == 1 and not out and named(err, f"{fault}.step-v0", word) and "learning rate" not in err
            tally.count(
                f"wrong observations, rewards and flags, {where}", held, f"{words[0]} {fault}: {code} {err[-200:]}"
            )


def test_what_ends_its_process(tally, place: Path) -> None:
    """In a worker it is told; in the process of the command that one ends, and the run is there still."""
    for at in ("reset", "step"):
        for words in jobs(env_id(DIES, at), 2, place):
            code, out, err = command(words, place)
            held = code == 1 and not out and named(err, f"{DIES}.{at}-v0")
            tally.count("environments that end a worker's process", held, f"{words[0]} {at}: {code} {err[-200:]}")
    words = ["train", "--env", env_id(DIES), *SMALL, "--set", "env.workers=0", "--workspace", str(place / "ws2")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SDL_VIDEODRIVER": "dummy"}
    ended = subprocess.run(
        [sys.executable, "-m", "ewm_studio", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    code, out, _ = command_in(place / "ws2", ["runs", "--json"])
    runs = json.loads(out) if code == 0 else []
    states = [run["state"] for run in runs]
    held = (ended.returncode, states) == (
        7,
        ["interrupted"],
    ) and "Traceback" not in ended.stderr
    tally.count("environments that end the studio's process", held, f"{ended.returncode} {runs} {ended.stderr[-200:]}")


def command_in(workspace: Path, words: list[str]) -> tuple[int | str, str, str]:
    """A listing command in a workspace."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code: int | str = main([*words, "--workspace", str(workspace)])
    return code, out.getvalue(), err.getvalue()
