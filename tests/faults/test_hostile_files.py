"""Files from elsewhere: damaged, grown, made up and out of place; each is refused in one line or read unchanged."""

import json
import os
import socket
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ewm_studio.data.recordings import RecordingWriter
from ewm_studio.settings import EnvSettings, Experiment
from ewm_studio.workspace.container import KEY
from ewm_studio.workspace.models import load_model, save_model
from ewm_studio.workspace.pretrained import pretrained_model
from ewm_studio.workspace.replays import EvaluationWriter, Replay, copy_model
from ewm_studio.workspace.tree import save_tree
from tests.faults.mutations import MUTATIONS
from tests.faults.sandbox import Sandbox, held, refused
from tests.support.canary import Canary
from tests.support.recorded import META, episode

FUZZED = {"model": 700, "trainer": 700, "replay": 700, "recording": 900, "recording of 0.1.0": 200, "settings": 700}
WORDS = {
    "model": "models",
    "trainer": "trainer states",
    "replay": "replays",
    "settings": "settings files",
    "recording of 0.1.0": "recordings of 0.1.0",
}


@pytest.fixture
def sandbox():
    made = Sandbox()
    yield made
    made.close()


def put_model(target: Path) -> None:
    copy_model(pretrained_model("cartpole").model, target)


def sound(kind: str, folder: Path) -> list[Path]:
    """Sound files of a kind, each where its reader looks for it."""
    if kind == "model":
        put_model(folder / "model.safetensors")
        return [folder / "model.safetensors"]
    if kind == "trainer":
        state = {"optimizer": {"m": torch.randn(300), 3: [1, (2.5, None)]}, "rng": np.arange(50), "text": "x" * 50}
        save_tree(folder / "1.trainer", state)
        return [folder / "1.trainer"]
    if kind == "replay":
        env = EnvSettings(id="CartPole-v1")
        writer = EvaluationWriter(folder / "replays", "a model", "Identity", put_model)
        replay = Replay(env, 3, True, np.arange(90) % 2, np.ones(90), 90, True, None, {"numpy": "2"})
        return [writer.add(replay)]
    if kind == "settings":
        (folder / "experiment.toml").write_text(Experiment().to_toml())
        return [folder / "experiment.toml"]
    paths = []
    for number, shape in enumerate(((12, 12, 3), (5,))):
        paths.append(RecordingWriter(folder / str(number), META).add_episode(**episode(3, 60, shape)))
    if kind == "recording of 0.1.0":
        for path in paths:
            data = path.read_bytes()
            path.write_bytes(data[: -16 - int.from_bytes(data[-16:-8], "little")])
            with h5py.File(path, "r+") as file:
                del file.attrs["sealed"]
    return paths


@pytest.mark.parametrize("kind", FUZZED)
def test_fuzzed(kind, sandbox, tally, tmp_path):
    reader = kind.split()[0]
    files = [(path, path.read_bytes()) for path in sound(kind, tmp_path)]
    expected = {path: sandbox.read(reader, path) for path, _ in files}
    assert all(answer.startswith("read ") for answer in expected.values()), expected
    checked = reader not in ("settings",) and "0.1.0" not in kind  # a letter changed in a text is another text
    for number in range(FUZZED[kind]):
        path, good = files[number % len(files)]
        mutation = MUTATIONS[number // len(files) % len(MUTATIONS)]
        path.write_bytes(mutation(good, np.random.default_rng(number)))
        answer = sandbox.read(reader, path)
        fine = held(answer) and (not checked or not answer.startswith("read") or answer == expected[path])
        tally.count(f"fuzzed {WORDS.get(kind, kind + 's')}", fine, f"{mutation.__name__} {number}: {answer[:200]}")
        path.write_bytes(good)
    assert {path: sandbox.read(reader, path) for path, _ in files} == expected  # nothing was written


def resealed(path: Path, change) -> None:
    """A file whose header was changed by somebody who sealed it again: damage is found, this is read."""
    import hashlib

    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    described = json.loads(header["__metadata__"][KEY])
    change(described, header)
    header["__metadata__"] = {"sha256": "0" * 64, "format": "pt", KEY: json.dumps(described)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    whole = len(text).to_bytes(8, "little") + text + data[8 + length :]
    digest = hashlib.sha256(whole).hexdigest().encode()
    path.write_bytes(whole.replace(b'"sha256":"' + b"0" * 64, b'"sha256":"' + digest, 1))


def set_at(tree, keys, value) -> None:
    for key in keys[:-1]:
        tree = tree[key]
    tree[keys[-1]] = value


NUMBERS = [None, True, -1, 0, 10**6, 10**12, 10**400, 1e308]
ODD = [*NUMBERS, "", "x" * 10_000, "\x1b[2J", [], {}, [[[[1]]]], {"a": {}}, "NaN"]


def leaves(tree, at=()):
    yield at
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from leaves(value, (*at, key))


@pytest.mark.parametrize("kind", ["model", "trainer", "replay"])
def test_made_up_descriptions(kind, sandbox, tally, tmp_path):
    (path,) = sound(kind, tmp_path)
    good = path.read_bytes()
    length = int.from_bytes(good[:8], "little")
    described = json.loads(json.loads(good[8 : 8 + length])["__metadata__"][KEY])
    places = [at for at in leaves(described) if at and at[0] not in ("format", "version")]
    rng = np.random.default_rng(7)
    for number in range(150):
        at, value = places[int(rng.integers(len(places)))], ODD[number % len(ODD)]
        path.write_bytes(good)
        resealed(path, lambda d, _, at=at, value=value: set_at(d, at, value))
        answer = sandbox.read(kind, path)
        tally.count(f"made-up descriptions of {WORDS[kind]}", held(answer), f"{at} = {value!r:.30}: {answer[:200]}")


def grown(kind: str, folder: Path) -> list[tuple[str, Path]]:
    """Small files that declare a great deal."""
    made = []
    if kind == "model":
        tensors, metadata = load_model(pretrained_model("cartpole").model)
        for size in (512, 4096, 8192):
            for part, name, settings in (
                ("memory", "LSTMMemory", {"hidden_dim": size}),
                ("memory", "TemporalTransformer", {"hidden_dim": size, "layers": 64}),
                ("memory", "MDNRNN", {"hidden_dim": size, "mixtures": 64}),
                ("controller", "DeepDiscreteController", {"hidden_size": size, "layers": 8}),
                ("controller", "StochasticController", {"hidden_size": size}),
            ):
                path = folder / f"{name}-{size}.safetensors"
                parts = metadata["parts"] | {part: {"name": name, "settings": settings}}
                save_model(path, {"x": torch.zeros(1)}, metadata | {"parts": parts})
                made.append((path.name, path))
        for count in (10**7, 10**9, 10**12, 10**18):
            for space in ("observation", "raw_observation", "action"):
                path = folder / f"{space}-{count}.safetensors"
                box = {"type": "Box", "shape": [count], "dtype": "float32", "low": -1, "high": 1}
                save_model(path, tensors, metadata | {"spaces": metadata["spaces"] | {space: box}})
                made.append((path.name, path))
    elif kind == "trainer":
        for times in (10, 1000, 30_000):
            path = folder / f"{times}.trainer"
            save_tree(path, np.zeros(2**20, np.uint8))
            resealed(path, lambda d, _, n=times: d.update(tree=[d["tree"]] * n))
            made.append((f"one array {times} times", path))
    elif kind == "recording":
        for rows in (10**5, 10**7, 10**9):
            for name in ("obs", "action", "reward"):
                path = RecordingWriter(folder / f"{name}-{rows}", META).add_episode(**episode(3, 12))
                data = path.read_bytes()
                path.write_bytes(data[: -16 - int.from_bytes(data[-16:-8], "little")])
                with h5py.File(path, "r+") as file:
                    del file.attrs["sealed"]
                    shape, dtype = file[name].shape[1:], file[name].dtype
                    del file[name]
                    file.create_dataset(name, (rows, *shape), dtype, chunks=(min(rows, 2**20 // 4), *shape))
                made.append((f"{name} of {rows} rows", path))
    return made


@pytest.mark.parametrize("kind", ["model", "trainer", "recording"])
def test_sizes_that_are_only_declared(kind, sandbox, tally, tmp_path):
    for what, path in grown(kind, tmp_path):
        answer = sandbox.read(kind, path)
        tally.count("sizes that are only declared", refused(answer), f"{what}: {answer[:200]}")


def archives() -> dict[str, bytes]:
    import io

    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../../escaped", b"x")
        file.writestr("action.npy", bytes(2**28))
    of_36_gb = b"{'descr': '<f4', 'fortran_order': False, 'shape': (9000000000,), }"
    numpy = io.BytesIO()
    np.savez_compressed(numpy, action=np.zeros(2**24))
    return {
        "a zip bomb": bomb.getvalue(),
        "an npz": numpy.getvalue(),
        "a pickle": b"cos\nsystem\n(S'touch it-ran'\ntR.",
        "a compressed bomb": zlib.compress(bytes(2**28)),
        "an array of 36 GB": b"\x93NUMPY\x01\x00v\x00" + of_36_gb.ljust(117) + b"\n",
        "a header without end": (2**63).to_bytes(8, "little") + b"{",
        "a header of 99 MB": (99_000_000).to_bytes(8, "little") + b"{",
        "nothing": b"",
        "text": b"hello\n" * 100,
    }


def odd_places(folder: Path, name: str, target: Path) -> list[tuple[str, Path]]:
    """What is no file of its own, and files of any content, under a name that is looked for."""
    made = []

    def place(what: str) -> Path:
        at = folder / f"case-{len(made)}" / "0" / name
        at.parent.mkdir(parents=True)
        made.append((what, at))
        return at

    os.mkfifo(place("a pipe"))
    place("a folder").mkdir()
    place("a link in a circle").symlink_to(name)
    place("a link to a device").symlink_to("/dev/zero")
    place("a link to nothing").symlink_to("nowhere")
    place("a link to another kind").symlink_to(target)
    with socket.socket(socket.AF_UNIX) as sock:
        before = os.getcwd()
        at = place("a socket")
        os.chdir(at.parent)
        try:
            sock.bind(name)
        finally:
            os.chdir(before)
    sparse = place("a sparse file of a terabyte")
    sparse.touch()
    os.truncate(sparse, 2**40)
    for what, content in archives().items():
        place(what).write_bytes(content)
    return made


NAMES = {
    "model": "model.safetensors",
    "trainer": "1.trainer",
    "replay": "000000.replay",
    "recording": "000001.h5",
    "settings": "experiment.toml",
}


@pytest.mark.parametrize("kind", NAMES)
def test_out_of_place(kind, sandbox, tally, tmp_path):
    (tmp_path / "text").write_text("some text")
    for what, path in odd_places(tmp_path, NAMES[kind], tmp_path / "text"):
        answer = sandbox.read(kind, path)
        fine = held(answer) if (kind, what) == ("settings", "nothing") else refused(answer)  # no settings: all defaults
        tally.count("what is no file, or any other", fine, f"{kind}, {what}: {answer[:200]}")
    assert not list(tmp_path.rglob("escaped"))
    assert not list(tmp_path.rglob("it-ran"))


def commands(workspace: Path, config: Path, model: Path, run: str) -> list[list[str]]:
    """Everything on the command line that reads what a file says of an environment."""
    return [
        *([job, "--config", str(config)] for job in ("train", "pretrain", "infer", "record")),
        *([job, "--load-path", str(model)] for job in ("train", "pretrain", "infer", "record")),
        ["train", "--env", "CartPole-v1", "--patch-load-path", str(model), "--patch", "c", "--total-steps", "64"],
        ["train", "--resume", run],
        ["pretrain", "--resume", run],
        ["infer", "--load-path", run],
        ["card", run, "--out", str(workspace / "card")],
        ["runs"],
        ["recordings"],
        ["recordings", "export", "laps", "laps-v0"],
        ["recordings", "merge", "laps", "laps-2", "--into", "both"],
        ["pretrain", "--recording", "laps"],
        ["envs", "canary"],
        ["components"],
        ["models"],
    ]


def test_no_code_of_a_file_runs(tally, tmp_path):
    canary = Canary(tmp_path / "elsewhere", None)
    workspace, config = tmp_path / "ws", tmp_path / "hostile.toml"
    config.write_text(f'[env]\nid = "{canary.id}"\n')
    tensors, metadata = load_model(pretrained_model("cartpole").model)
    model = tmp_path / "hostile.safetensors"
    save_model(model, tensors, metadata | {"env": metadata["env"] | {"id": canary.id}})
    run = workspace / "runs" / "2026-01-01-canary-1"
    (run / "checkpoints").mkdir(parents=True)
    (run / "experiment.toml").write_text(config.read_text())
    (run / "checkpoints" / "1.safetensors").write_bytes(model.read_bytes())
    for name in ("laps", "laps-2"):
        RecordingWriter(workspace / "recordings" / name, META | {"env": canary.id}).add_episode(**episode(3, 12))
    environment = os.environ | {
        "PYTHONPATH": f"{Path(__file__).parents[2]}{os.pathsep}{canary.folder}",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "MINARI_DATASETS_PATH": str(tmp_path / "minari"),
        "QT_QPA_PLATFORM": "offscreen",
    }
    environment.pop("EWM_STUDIO_TRUST_ENV", None)
    for words in commands(workspace, config, model, run.name):
        command = [sys.executable, "-m", "ewm_studio", *words]
        if words[0] != "models":
            command += ["--workspace", str(workspace)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=tmp_path)
        quiet = "Traceback" not in done.stderr and done.returncode in (0, 2)
        tally.count(
            "code that a file names", not canary.ran and quiet, f"{words}: {done.returncode} {done.stderr[-300:]}"
        )
    loads = "import sys, ewm_studio as ewm; ewm.load(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", loads, str(model)], env=environment, capture_output=True, text=True)
    tally.count("code that a file names", done.returncode == 0 and not canary.ran, f"ewm.load: {done.stderr[-300:]}")
    trusted = [sys.executable, "-m", "ewm_studio", "infer", "--load-path", str(model), "--episodes", "1", "--trust-env"]
    subprocess.run([*trusted, "--workspace", str(workspace)], env=environment, check=True, capture_output=True)
    assert canary.ran  # it is one that would have
