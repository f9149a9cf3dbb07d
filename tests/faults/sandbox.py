"""Reads files in a process of its own, with a limit of memory and of time: what hangs, crashes or floods it is seen."""

import os
import resource
import select
import signal
import subprocess
import sys
import zlib
from pathlib import Path

SECONDS = 60.0  # for one file, on a machine that may have much else to do
MEMORY = 6 * 2**30  # bytes of address space, of which PyTorch takes some 3 to begin with
GROWTH = 600 * 2**20  # bytes in memory that reading one small file may add


class Sandbox:
    """A reader that is started anew when a file ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def read(self, kind: str, path: Path) -> str:
        """What reading came to: "read <digest of what was>", "refused: <line>", or what went wrong."""
        process = self._running()
        process.stdin.write(f"{kind}\t{path}\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], SECONDS)[0]:
            self.close()
            return "hangs"
        answer = process.stdout.readline().rstrip("\n")
        if not answer:
            code = process.wait()
            self._process = None
            return f"ended by {code}"
        return answer

    def close(self) -> None:
        """End the reader."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _running(self) -> subprocess.Popen:
        if self._process is None:
            words = [sys.executable, "-m", "tests.faults.sandbox"]
            pipe = subprocess.PIPE
            environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=environment)
            assert self._process.stdout.readline() == "ready\n"
        return self._process


def held(answer: str) -> bool:
    """Whether a file was read, or refused in one line that names it."""
    return answer.startswith("read ") or refused(answer)


def refused(answer: str) -> bool:
    """Whether a file was refused in one line that names it."""
    return answer.startswith("refused: /") and "Traceback" not in answer


def _read_model(path: Path) -> object:
    from ewm_studio.acting.agent import load_agent

    agent = load_agent(path)
    return [(name, tensor.numpy().tobytes()) for name, tensor in agent.model.state_dict().items()], agent.metadata


def _read_trainer(path: Path) -> object:
    from ewm_studio.workspace.tree import load_tree

    return load_tree(path)


def _read_replay(path: Path) -> object:
    from ewm_studio.workspace.replays import evaluations_in, load_replay

    for evaluation in evaluations_in(path.parent.parent):
        evaluation.episodes()
    replay = load_replay(path)
    return replay.action.tobytes(), replay.reward.tobytes(), replay.env, replay.seed, replay.frames, replay.greedy


def _read_recording(path: Path) -> object:
    import numpy as np

    from ewm_studio.data.frames import FrameStore
    from ewm_studio.data.pictures import episode_frames, thumbnail
    from ewm_studio.data.recordings import Recording, load_experience

    recording = Recording(path.parent)
    data = recording.episode(0)
    thumbnail(path, 32)
    episode_frames(path)
    load_experience(recording, lambda raw: raw, 1, FrameStore(np.shape(data.obs)[1:], data.obs.dtype, 2**24))
    return [np.asarray(getattr(data, name)).tobytes() for name in ("obs", "action", "reward", "manual")], recording.meta


def _read_settings(path: Path) -> object:
    from ewm_studio.settings import Experiment

    return Experiment.from_toml(path)


_READERS = {
    "model": _read_model,
    "trainer": _read_trainer,
    "replay": _read_replay,
    "recording": _read_recording,
    "settings": _read_settings,
}


def _peak() -> int:
    """The most bytes in memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _serve() -> None:
    import torch  # noqa: F401  before memory is limited

    from ewm_studio.errors import UserError

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        kind, name = line.rstrip("\n").split("\t")
        before = _peak()
        try:
            found = _READERS[kind](Path(name))
            answer = f"read {zlib.crc32(repr(found).encode('utf-8', 'replace')):08x}"
        except UserError as error:
            answer = "refused: " + " ".join(str(error).split())
        except BaseException as error:
            answer = f"{type(error).__name__}: " + " ".join(str(error).split())
        if _peak() > before + GROWTH:  # only what reading adds to the most that there was
            answer = f"took {(_peak() - before) >> 20} MB"
        print(answer, file=out, flush=True)


if __name__ == "__main__":
    _serve()
