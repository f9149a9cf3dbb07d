"""A job on a machine of the cluster: unpacked, run, its files and its events sent off as they come."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ewm_studio.errors import JobError
from ewm_studio.events import CheckpointSaved, Event, Finished, JobControl, RunStarted
from ewm_studio.jobs.cluster.parcels import Parcels
from ewm_studio.jobs.cluster.post import Items
from ewm_studio.jobs.failure import failure_of
from ewm_studio.jobs.spec import JobSpec

SEND_SECONDS = 0.5  # between two words to the studio
MOST_WAITING = 2**25  # bytes; with more on their way the job waits
_SAVED = (RunStarted, CheckpointSaved, Finished)  # events after which the run's files are worth sending


@dataclass(frozen=True)
class Order:
    """A job as it travels.

    Attributes:
        id: under which it speaks.
        job: the job in words; its workspace is made on the machine.
        files: of that workspace, by their paths in it: where the cluster keeps what each holds.
        models: settings that name model files, with their paths in that workspace.
        trusted: the environment whose module the person agreed to; empty where there is none to agree to.
        version: of the studio that sends it.
    """

    id: str
    job: dict[str, Any]
    files: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    trusted: str = ""
    version: str = ""


def compute(order: Order, post: Any) -> None:
    """The life of a job on its machine; what goes wrong with it is among what it says."""
    line = Line(order.id, post)
    with tempfile.TemporaryDirectory(prefix="ewm-studio-") as folder:
        try:
            _run(order, Path(folder), line)
        except BaseException as error:
            line.end("failed", failure_of(error))
        else:
            line.end("done", None)


def _run(order: Order, workspace: Path, line: Line) -> None:
    _check(order)
    _unpack(order.files, workspace)
    job = dict(order.job, workspace=str(workspace))
    for setting, path in order.models.items():
        section, _, name = setting.partition(".")
        job["experiment"] = {**job["experiment"], section: {**job["experiment"][section], name: str(workspace / path)}}
    spec = JobSpec.from_dict(job)
    run = Parcels(workspace / "runs" / spec.resume, known=True) if spec.resume else None
    try:
        with contextlib.closing(spec.events(line.control)) as events:
            for event in events:
                if isinstance(event, RunStarted) and event.run:
                    run = run or Parcels(Path(event.folder))
                    line.put("run", (event.run, str(workspace)))
                if run is not None and isinstance(event, _SAVED):
                    _send(run, line)
                line.put("event", event)
                line.wait_while_paused()
    finally:
        if run is not None and run.folder.is_dir():
            _send(run, line)  # how it ended


def _check(order: Order) -> None:
    """See that this machine has the studio that sent the job.

    Raises:
        JobError: it has another. UserError: the environment's module is not here.
    """
    from ewm_studio.envs.trust import import_named
    from ewm_studio.workspace.versions import versions

    here = versions()["ewm-studio"]
    if here != order.version:
        raise JobError(
            f"a machine of the cluster has EWM Studio {here}, this one {order.version}: install the same on all"
        )
    if order.trusted:
        import_named(order.trusted)


def _unpack(files: Mapping[str, Any], workspace: Path) -> None:
    import ray

    for path, kept in files.items():
        place = workspace / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(ray.get(kept))


def _send(run: Parcels, line: Line) -> None:
    for piece in run.pieces():
        line.put("piece", piece, len(piece.data))
    line.put("saved", run.gone())


class Line:
    """What a job says, sent on a thread of its own, many words at a time; what it is told comes back the same way."""

    def __init__(self, job: str, post: Any) -> None:
        self._job, self._post = job, post
        self.control = JobControl()
        self._go = threading.Event()
        self._go.set()
        self._news = threading.Condition()
        self._items: Items = []
        self._bytes = 0
        self._ended = False
        self._thread = threading.Thread(target=self._serve, daemon=True, name="line")
        self._thread.start()

    def put(self, word: str, content: Event | Any, size: int = 256) -> None:
        """Say something soon; waits where much is on its way."""
        with self._news:
            while self._bytes > MOST_WAITING and self._thread.is_alive():
                self._news.wait(SEND_SECONDS)
            self._items.append((word, content))
            self._bytes += size
            if self._bytes > MOST_WAITING:
                self._news.notify_all()

    def wait_while_paused(self) -> None:
        """Return when the job may go on."""
        self._go.wait()

    def end(self, word: str, content: Any) -> None:
        """Say what waits, and then the last word."""
        with self._news:
            self._items.append((word, content))
            self._ended = True
            self._news.notify_all()
        self._thread.join()

    def _serve(self) -> None:
        import ray

        ended = False
        while not ended:
            with self._news:
                if not self._ended and self._bytes <= MOST_WAITING:
                    self._news.wait(SEND_SECONDS)
                items, size, ended = self._items, self._bytes, self._ended
                self._items, self._bytes = [], 0
                self._news.notify_all()
            try:
                for command in ray.get(self._post.put.remote(self._job, items, size)):
                    self._obey(command)
            except ray.exceptions.RayError:  # the studio is gone, and with it the post
                self._obey("stop")
                return

    def _obey(self, command: str) -> None:
        if command == "stop":
            self.control.stop()
        if command == "pause":
            self._go.clear()
        else:
            self._go.set()
