"""Environments spread over worker processes, each stepping a group of them.

Actions, observations, rewards and flags go through shared memory; a pipe carries one word a step to start and one to
end it, and rarely more. Workers are made by a fork server (or spawned), never forked from a process with threads.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from ewm_studio.envs.failures import ClosingFailed, said
from ewm_studio.envs.probe import Spaces
from ewm_studio.envs.simulator import Episode
from ewm_studio.envs.vector.base import VectorEnvs
from ewm_studio.envs.vector.group import EnvGroup
from ewm_studio.envs.vector.processes import become_worker, process_context, require_portable_spec
from ewm_studio.errors import JobError, UserError
from ewm_studio.settings import EnvSettings

ANSWER_SECONDS = 60.0  # a worker that is silent for longer is taken for dead
REPLAY_SECONDS = 0.05  # added for each step to replay
_RESULTS = (
    "obs",
    "reward",
    "terminated",
    "truncated",
    "shaping",
    "env_terminated",
)  # in the order of `EnvGroup.write_to`
_FIELDS = (*_RESULTS, "actions")


@dataclass(frozen=True)
class _Layout:
    """Where the arrays of B environments lie in the shared memory."""

    offsets: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    size: int

    @classmethod
    def of(cls, num_envs: int, spaces: Spaces) -> _Layout:
        """The layout for these spaces."""
        observation, action = spaces.observation, spaces.action
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_FIELDS, (num_envs,))
        shapes |= {"obs": (num_envs, *(observation.shape or ())), "actions": (num_envs, *(action.shape or ()))}
        dtypes = dict.fromkeys(_FIELDS, "bool") | dict.fromkeys(("reward", "shaping"), "float32")
        dtypes |= {"obs": str(observation.dtype), "actions": str(action.dtype)}
        offsets, end = {}, 0
        for name in _FIELDS:
            offsets[name] = end
            end += -(-int(np.prod(shapes[name])) * np.dtype(dtypes[name]).itemsize // 64) * 64  # cache lines
        return cls(offsets, shapes, dtypes, max(end, 1))

    def arrays(self, memory: Any) -> dict[str, np.ndarray]:
        """Views of the memory by name."""
        return {
            name: np.ndarray(self.shapes[name], self.dtypes[name], buffer=memory, offset=self.offsets[name])
            for name in _FIELDS
        }


class WorkerVectorEnvs(VectorEnvs):
    """`workers` processes, each stepping its share of `num_envs` environments with these spaces.

    Raises:
        UserError: the environment cannot be made, or exists only in the running script.
        JobError: a worker did not start.
    """

    def __init__(self, settings: EnvSettings, seed: int, num_envs: int, workers: int, spaces: Spaces) -> None:
        self._id = settings.id
        self._workers: list[_Worker] = []
        spec = require_portable_spec(settings.id)
        super().__init__(num_envs, spaces.observation, spaces.action)
        layout = _Layout.of(num_envs, spaces)
        context = process_context()
        memory = context.RawArray("b", layout.size)
        arrays = layout.arrays(memory)
        self.obs, self.reward, self.terminated, self.truncated, self.shaping, self.env_terminated, self._actions = (
            arrays[name] for name in _FIELDS
        )
        try:
            for indices in np.array_split(np.arange(num_envs), workers):
                share = _Share(settings, seed, indices.tolist(), memory, layout, spec)
                self._workers.append(_Worker(context, share))
            for worker in self._workers:
                worker.answer(ANSWER_SECONDS, self._id)
        except BaseException:
            self.close()
            raise

    def render(self, i: int = 0) -> np.ndarray:
        """The picture of environment `i` as it is now, uint8 (H, W, 3).

        Raises:
            UserError: it draws none.
            JobError: it failed, or its worker did.
        """
        (answer,) = self._ask(lambda worker: ("picture", worker.indices.index(i)) if i in worker.indices else None)
        if isinstance(answer, str):
            raise UserError(answer)
        picture: np.ndarray = answer
        return picture

    def _reset(self, seed: int | None) -> None:
        self._ask(lambda _: ("reset", seed))

    def _step(self, actions: np.ndarray) -> tuple[dict[int, np.ndarray], list[Episode]]:
        self._actions[...] = actions
        finals: dict[int, np.ndarray] = {}
        episodes: list[Episode] = []
        for answer in self._ask(lambda _: ("step",)):
            if answer is not None:
                finals.update(answer[0])
                episodes += answer[1]
        return finals, episodes

    def _restore(self, numbers: list[int], actions: list[np.ndarray], seed: int | None) -> None:
        limit = ANSWER_SECONDS + REPLAY_SECONDS * sum(len(rows) for rows in actions)

        def request(worker: _Worker) -> tuple[Any, ...]:
            mine = worker.indices
            return "restore", [numbers[i] for i in mine], [actions[i] for i in mine], seed

        self._ask(request, limit)

    def _ask(self, request_of: Callable[[_Worker], tuple[Any, ...] | None], limit: float | None = None) -> list[Any]:
        """The answers to a request to each worker, within `limit` seconds; None: that worker is not asked."""
        if not self._workers:
            raise JobError("the environments are closed")
        asked = [(worker, request) for worker in self._workers if (request := request_of(worker)) is not None]
        try:
            for worker, request in asked:
                worker.send(request, self._id)
            return [worker.answer(limit or ANSWER_SECONDS, self._id) for worker, _ in asked]
        except BaseException:
            self.close()  # the others may be in the middle of a step: nothing sensible can follow
            raise

    def close(self) -> None:
        """End the environments and the workers; one that does not end by itself within a second is ended.

        Raises:
            ClosingFailed: an environment did not let itself be ended, unless another failure is the reason to end.
        """
        workers, self._workers = self._workers, []
        deadline, failures = time.monotonic() + 1.0, list[str]()
        if sys.exc_info()[0] is None:
            for worker in workers:
                worker.ask_to_close()
            failures = [line for worker in workers if (line := worker.failure_at_close(deadline, self._id))]
        for worker in workers:
            worker.hang_up()
        for worker in workers:
            worker.end(deadline)
        if failures:
            raise ClosingFailed(failures[0])


@dataclass(frozen=True)
class _Share:
    """What one worker steps."""

    settings: EnvSettings
    seed: int
    indices: list[int]  # in a row
    memory: Any  # shared, of all environments
    layout: _Layout
    spec: EnvSpec


class _Worker:
    """One worker process, seen from the run."""

    def __init__(self, context: Any, share: _Share) -> None:
        self.indices = share.indices
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, share), daemon=True, name="ewm-studio-envs")
        self._process.start()
        theirs.close()

    def send(self, request: tuple[Any, ...], name: str) -> None:
        """Ask; the answer is fetched by `answer`."""
        try:
            self._pipe.send(request)
        except OSError:
            # Dying, it may have said why.
            self.answer(1.0, name)
            raise self._death(name) from None

    def answer(self, limit: float, name: str) -> Any:
        """The answer to the last request, waited for up to `limit` seconds.

        Raises:
            JobError: the worker failed, died or was silent.
        """
        if not wait([self._pipe, self._process.sentinel], limit):
            raise JobError(
                f"a worker process of {name} (environments {self._span()}) did not answer within {limit:.0f} s"
            )
        try:
            # The pipe first: a worker that dies after its last words is heard.
            kind, content = self._pipe.recv() if self._pipe.poll(0) else (None, None)
        except (EOFError, OSError):
            kind, content = None, None
        if kind is None:
            raise self._death(name)
        if kind == "user":
            raise UserError(content)
        if kind == "job":
            raise JobError(content)
        return content

    def ask_to_close(self) -> None:
        """Let it end its environments."""
        with contextlib.suppress(OSError):
            self._pipe.send(("close",))

    def failure_at_close(self, deadline: float, name: str) -> str:
        """What went wrong while it ended its environments; nothing if all is well, or if it is silent until then."""
        if not wait([self._pipe, self._process.sentinel], max(deadline - time.monotonic(), 0.0)):
            return ""
        try:
            self.answer(0.0, name)
        except (JobError, UserError) as error:
            return str(error)
        return ""

    def hang_up(self) -> None:
        """Let the worker see that nothing more comes."""
        self._pipe.close()

    def end(self, deadline: float) -> None:
        """Wait until `deadline`, then end it by force."""
        self._process.join(max(deadline - time.monotonic(), 0.0))
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _death(self, name: str) -> JobError:
        self._process.join(1.0)
        code = self._process.exitcode
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        hint = "; the machine may be out of memory" if code == -9 else ""
        return JobError(f"a worker process of {name} (environments {self._span()}) {how}{hint}")

    def _span(self) -> str:
        first, last = self.indices[0], self.indices[-1]
        return str(first) if first == last else f"{first} to {last}"


def _serve(pipe: Connection, share: _Share) -> None:
    """A worker's life: answer requests until the pipe closes."""
    become_worker()
    with contextlib.suppress(EOFError, OSError):
        try:
            _answer_all(pipe, share)
        except UserError as error:
            pipe.send(("user", str(error)))
        except JobError as error:
            pipe.send(("job", str(error)))
        except (EOFError, OSError):
            raise
        except BaseException as error:
            pipe.send(("job", f"a worker process of {share.settings.id} failed: {said(error)}"))


def _answer_all(pipe: Connection, share: _Share) -> None:
    gym.registry.setdefault(share.spec.id, share.spec)
    group = EnvGroup(share.settings.model_copy(update={"render_mode": "rgb_array"}), share.seed, share.indices)
    mine = slice(share.indices[0], share.indices[-1] + 1)
    arrays = {name: array[mine] for name, array in share.layout.arrays(share.memory).items()}
    group.write_to(*(arrays[name] for name in _RESULTS))
    pipe.send(("ready", None))
    try:
        _answer_until_closed(pipe, group, arrays["actions"])
    except BaseException:
        with contextlib.suppress(ClosingFailed):
            group.close()
        raise
    group.close()
    pipe.send(("done", None))


def _answer_until_closed(pipe: Connection, group: EnvGroup, actions: np.ndarray) -> None:
    while (request := pipe.recv())[0] != "close":
        if request[0] == "step":
            finals, episodes = group.step(actions.copy())
            pipe.send(("done", (finals, episodes) if episodes else None))
        elif request[0] == "picture":
            pipe.send(("done", _picture(group, request[1])))
        else:
            begin = group.reset if request[0] == "reset" else group.restore
            begin(*request[1:])
            pipe.send(("done", None))


def _picture(group: EnvGroup, i: int) -> np.ndarray | str:
    """The picture of environment `i` of the group; if it draws none, the line that says so."""
    try:
        return group.picture(i)
    except UserError as refusal:
        return str(refusal)
