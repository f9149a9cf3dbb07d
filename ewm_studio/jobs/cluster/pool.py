"""Jobs handed in to a Ray cluster, and watched from outside: this process is a client of the cluster, no part of it."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.events import Finished
from ewm_studio.jobs.cluster.address import cluster_address
from ewm_studio.jobs.cluster.carried import Carried, carried
from ewm_studio.jobs.cluster.client import connected, line_of
from ewm_studio.jobs.cluster.mirror import Mirror
from ewm_studio.jobs.cluster.node import Order, compute
from ewm_studio.jobs.cluster.post import Items, Post
from ewm_studio.jobs.failure import Failure, JobFailed
from ewm_studio.jobs.runners.runner import Command, Events, PlaceLost
from ewm_studio.jobs.spec import JobSpec, new_job_id
from ewm_studio.settings.study import PlaceSettings
from ewm_studio.workspace import Workspace
from ewm_studio.workspace.versions import versions

TAKE_SECONDS = 0.5  # that the cluster waits for something to say before it answers
_ON_HEAD = {"node:__internal_head__": 0.001}

Inbox = queue.SimpleQueue[Items | BaseException]


class RayPool:
    """The machines of a cluster, which give each job the cores and GPUs that it asks for.

    Raises:
        UserError: Ray is not here, nobody answers, the token is wrong, or the cluster has not what one run asks for.
    """

    def __init__(self, place: PlaceSettings) -> None:
        self.address = cluster_address(place.on, os.environ)
        self._asked = {"num_cpus": place.threads, "num_gpus": place.gpus}
        self._ray, self._mine = connected(place.on)
        resources = self._ray.cluster_resources()
        cores, gpus = int(resources.get("CPU", 0)), resources.get("GPU", 0.0)
        fit = cores // place.threads
        if place.gpus:
            fit = min(fit, int(gpus / place.gpus))
        self.slots = max(1, fit) if place.parallel == "auto" else place.parallel
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        self.machines = f"a Ray {self._ray.__version__} cluster of {nodes} nodes, {cores} cores, {gpus:g} GPUs"
        if fit < 1 and place.gpus > gpus:
            raise UserError(f"{self.address} has {gpus:g} GPUs, and place.gpus asks for {place.gpus:g} for each run")
        self._post = self._ray.remote(Post).options(num_cpus=0, resources=_ON_HEAD).remote()
        self._compute = self._ray.remote(compute).options(**self._asked, max_retries=0)
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int, int], Any] = {}  # files that the cluster keeps
        self._inboxes: dict[str, Inbox] = {}
        self._tasks: dict[Any, str] = {}
        self._lost: PlaceLost | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._deliver, daemon=True, name="cluster")
        self._thread.start()

    def runner(self, job: JobSpec) -> RayRunner:
        """A task of the cluster for one job."""
        return RayRunner(job, self)

    def close(self) -> None:
        """Leave the cluster; nothing of this studio is left there."""
        self._closing.set()
        self._thread.join()
        if self._mine:
            self._ray.shutdown()

    def hand_in(self, id: str, job: JobSpec, workspace: Workspace, needs: Carried) -> tuple[Any, Inbox]:
        """Hand a job in; gives its task, and where what it says will come.

        Raises:
            PlaceLost: the cluster is out of reach.
        """
        inbox: Inbox = queue.SimpleQueue()
        env = job.experiment.get("env", {}).get("id", "")
        with self._lock:
            if self._lost is not None:
                raise self._lost
            with self._reaching():
                files = {path: self._keep(file) for path, file in needs.files.items()}
                trusted = env if ":" in env else ""
                order = Order(id, job.to_dict(), files, needs.models, trusted, versions()["ewm-studio"])
                task = self._compute.remote(order, self._post)
            self._inboxes[id], self._tasks[task] = inbox, id
        return task, inbox

    def forget(self, id: str, task: Any) -> None:
        """A job has ended; its task too, within the time."""
        with self._lock:
            self._inboxes.pop(id, None)
            self._tasks.pop(task, None)

    def tell(self, id: str, command: Command) -> None:
        """Leave word for a job; of a cluster that is gone its runner will know."""
        with contextlib.suppress(PlaceLost), self._reaching():
            self._post.tell.remote(id, command)

    def end(self, task: Any) -> None:
        """End a task at once, if there still is a cluster."""
        with contextlib.suppress(PlaceLost), self._reaching():
            self._ray.cancel(task, force=True)

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Speak to the cluster.

        Raises:
            PlaceLost: it does not answer.
        """
        try:
            yield
        except (OSError, RuntimeError, self._ray.exceptions.RayError) as error:
            raise PlaceLost(
                f"the cluster at {self.address} is out of reach ({line_of(error)}); what it has sent is kept; go on "
                "when it answers"
            ) from error

    def _keep(self, file: Path) -> Any:
        """What a file holds, in the cluster: sent once, however many jobs need it."""
        status = file.stat()
        stamp = (str(file), status.st_mtime_ns, status.st_size)
        if stamp not in self._kept:
            self._kept[stamp] = self._ray.put(file.read_bytes())
        return self._kept[stamp]

    def _deliver(self) -> None:
        """Bring what the jobs say to their inboxes, and the deaths of those that cannot say it."""
        ended: list[Any] = []
        while not self._closing.is_set():
            try:
                with self._reaching():
                    said = self._ray.get(self._post.take.remote(TAKE_SECONDS))
                    for id, items in said:
                        self._bring(id, items)
                    # A task that ended before has said its last word by now, if it could.
                    for task in ended:
                        self._bring(self._tasks.get(task, ""), _death(self._ray, task))
                    with self._lock:
                        tasks = list(self._tasks)
                    ended = self._ray.wait(tasks, num_returns=len(tasks), timeout=0)[0] if tasks else []
            except PlaceLost as lost:
                with self._lock:
                    self._lost = lost
                    for inbox in self._inboxes.values():
                        inbox.put(lost)
                return

    def _bring(self, id: str, content: Items | BaseException) -> None:
        with self._lock:
            inbox = self._inboxes.get(id)
        if inbox is not None:
            inbox.put(content)


class RayRunner:
    """Runs a job on a machine of the cluster; its run's files come to the job's workspace as they are saved."""

    pid = 0

    def __init__(self, job: JobSpec, pool: RayPool) -> None:
        self._job, self._pool, self._id = job, pool, new_job_id()
        self._lock = threading.Lock()
        self._task: Any = None
        self._commands: list[Command] = []  # so far
        self._killed = self._begun = False

    def events(self) -> Generator[Events, None, None]:
        """Hand it in and give its events as they come.

        Raises:
            JobFailed: it failed there, or its machine is gone. PlaceLost: the cluster is out of reach.
            UserError: what it needs is not there.
        """
        with contextlib.closing(Workspace(self._job.workspace)) as workspace:
            self._job.check_trusted(workspace)
            needs = carried(self._job, workspace)
            start = self._job.experiment.get("start", {})
            said = {place: str(start.get(path.partition(".")[2])) for path, place in needs.models.items()}
            mirror = Mirror(workspace, self._job.resume, said)
            task, inbox = self._pool.hand_in(self._id, self._job, workspace, needs)
            over = False
            try:
                self._begin(task)
                while not over:
                    items = self._next(inbox)
                    if items is None:
                        yield [(self._id, Finished("stop"))]
                        return
                    batch: Events = []
                    over = yield from self._said(items, mirror, batch)
                    if batch:
                        yield batch
            finally:
                if not over:
                    self._pool.end(task)
                self._pool.forget(self._id, task)
                mirror.close()

    def _begin(self, task: Any) -> None:
        """Pass on what was said before it was handed in."""
        with self._lock:
            self._task = task
            commands = list(self._commands)
        for command in commands:
            self._pool.tell(self._id, command)
        if self._killed:
            self._pool.end(task)

    def _next(self, inbox: Inbox) -> Items | None:
        """What it says next; None where it is to stop and no machine has begun with it."""
        while True:
            try:
                items = inbox.get(timeout=TAKE_SECONDS)
            except queue.Empty:
                if not self._begun and "stop" in self._commands:
                    return None
                continue
            if isinstance(items, BaseException):
                raise items
            self._begun = True
            return items

    def _said(self, items: Items, mirror: Mirror, batch: Events) -> Generator[Events, None, bool]:
        """Do with each word what it asks for; events gather in `batch`. Gives whether that was the last.

        Raises:
            JobFailed: it failed.
        """
        for word, content in items:
            if word == "event":
                batch.append((self._id, mirror.here(content)))
            elif word == "run":
                mirror.begin(*content)
            elif word == "piece":
                mirror.take(content)
            elif word == "saved":
                mirror.settle(content)
            elif word == "failed":
                if batch:
                    yield list(batch)
                raise JobFailed(content)
        last: bool = items[-1][0] == "done"
        return last

    def tell(self, command: Command) -> None:
        """Pause, resume or stop; returns at once."""
        with self._lock:
            self._commands.append(command)
            task = self._task
        if task is not None:
            self._pool.tell(self._id, command)

    def kill(self) -> None:
        """End it at once; what it has saved has come, or is lost."""
        with self._lock:
            self._killed = True
            task = self._task
        if task is not None:
            self._pool.end(task)


def _death(ray: Any, task: Any) -> BaseException:
    """Why a task ended that has not said so itself."""
    try:
        ray.get(task)
    except (OSError, RuntimeError, ray.exceptions.RayError) as error:
        what = f"its machine of the cluster is gone, or ended its process: {line_of(error)}"
        return JobFailed(Failure("The job's machine is gone", what, str(error)))
    return JobFailed(Failure("The job's machine is gone", "it ended without a word", ""))
