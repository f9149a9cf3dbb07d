"""Commands of the studio in sessions of their own, started quickly, and signals to them at chosen instants."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LEFT_SECONDS = 10.0  # for what a command started to be gone after its end

# Forks a process with torch imported for each line it reads, and says its id, then its exit code.
_NURSERY = """
import json, os, signal, sys
from ewm_studio import cli
import ewm_studio.jobs.runners.engine
for line in sys.stdin:
    order = json.loads(line)
    pid = os.fork()
    if not pid:
        os.setsid()
        sys.path[:0] = order["path"]
        os.environ.update(order["env"])
        for number, name in enumerate(("in", "out", "err")):
            os.dup2(os.open(order[name], os.O_RDONLY if name == "in" else os.O_WRONLY | os.O_CREAT, 0o600), number)
        sys.argv[1:] = order["argv"]
        sys.exit(cli.main())
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@dataclass
class Ended:
    """How a command ended.

    Attributes:
        left: what it started and what was there still, a name and an id each.
    """

    code: int
    out: str
    err: str
    seconds: float = 0.0
    left: list[str] = field(default_factory=list)

    @property
    def result(self) -> dict[str, Any]:
        """What `--json` printed; empty where that is not one object."""
        try:
            found = json.loads(self.out)
        except json.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}


class Nursery:
    """Runs commands one after the other, each in a process that has torch imported already."""

    def __init__(self, place: Path) -> None:
        self.place, self._count = place, 0
        environ = {**os.environ, "OMP_NUM_THREADS": "1", "SDL_VIDEODRIVER": "dummy"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
        )

    def start(self, *argv: str, out: str = "", path: tuple[str, ...] = (), **env: str) -> Path:
        """Begin a command; gives the file of its stderr. `end` is called next.

        Args:
            argv: its words.
            out: takes its stdout, in place of a file that is read.
            path: folders in which packages are found, too.
            env: variables of its environment.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._count += 1
        self._out, err = (self.place / f"{self._count}.{name}" for name in ("out", "err"))
        for file in (self._out, err):
            file.touch()
        files = {"in": os.devnull, "out": out or str(self._out), "err": str(err)}
        order = {"argv": argv, "env": env, "path": path, **files}
        print(json.dumps(order), file=self._process.stdin, flush=True)
        self.pid = int(self._process.stdout.readline())
        self._err, self._since = err, time.monotonic()
        return err

    def wait_for(self, word: str, seconds: float = 60.0) -> bool:
        """Wait until stderr holds a word."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and alive(self.pid):
            if word in self._err.read_text():
                return True
            time.sleep(0.01)
        return False

    def signal(self, number: int, group: bool) -> None:
        """To the command alone, or to all that it started as well."""
        send = os.killpg if group else os.kill
        try:
            send(self.pid, number)
        except ProcessLookupError:
            return

    def end(self) -> Ended:
        """Wait for its end."""
        assert self._process.stdout is not None
        code = int(self._process.stdout.readline())
        seconds = time.monotonic() - self._since
        return Ended(code, self._out.read_text(), self._err.read_text(), seconds, left_of(self.pid))

    def run(self, *argv: str, **options: Any) -> Ended:
        """A command from its start to its end; the options are those of `start`."""
        self.start(*argv, **options)
        return self.end()

    def close(self) -> None:
        """End."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def session_of(pid: int) -> list[str]:
    """The living processes of a session, a name and an id each."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                name, _, rest = (folder / "stat").read_text().rpartition(")")
            except OSError:
                continue
            state, _, _, session = rest.split()[:4]
            if int(session) == pid and state != "Z":
                found.append(f"{name.partition('(')[2]} {folder.name}")
    return found


def left_of(pid: int) -> list[str]:
    """What is left of a session whose leader has ended; a moment is given."""
    until = time.monotonic() + LEFT_SECONDS
    while (left := session_of(pid)) and time.monotonic() < until:
        time.sleep(0.02)
    return left
