"""What is kept of a study: `studies/<name>/` in its workspace, a small file for each of its runs.

One process at a time runs a study and writes these files; who looks on reads them. The runs themselves are runs of the
workspace like any other.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ewm_studio.errors import UserError
from ewm_studio.formatting import plain
from ewm_studio.workspace.files import check_path, write_error, write_text
from ewm_studio.workspace.lock import RunLock
from ewm_studio.workspace.record import is_number

STUDIES, RECORDS, STOP = "studies", "runs", "stop"
PACE, LOG = "pace.json", "log.txt"  # how far every run is; what the process said that runs the study
COPY, BASE = "study.toml", "base.toml"  # of its file, and of the one that this is based on
RESULTS, PARQUET, REPORT = "results.csv", "results.parquet", "report.html"
RunState = Literal["waiting", "running", "stopped", "finished", "failed"]


@dataclass
class RunRecord:
    """What is known of one run of a study.

    Attributes:
        key: its name in the study.
        cell: the option taken on each axis.
        seed: of the run.
        asked: all its settings, and how it is to be judged: what must not change while it is under way.
        state: how it stands; `running` is true as long as the study is run.
        runs: names of the workspace's runs that it had, the last being the one that counts.
        failures: why it failed, each time.
        trained: steps, frames and seconds that learning took, what ended it, and the model that is judged.
        scores: by the way of playing, the episodes played: seed, reward and steps of each.
        moments: how it was judged on its way: steps, frames, minutes and mean reward of each, in order.
        curve: how it learned, kept when the study is shared without its runs.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(allow_inf_nan=False)

    key: str
    cell: dict[str, str]
    seed: int
    asked: dict[str, Any] = field(default_factory=dict)
    state: RunState = "waiting"
    runs: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    trained: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)
    moments: list[tuple[int, float, float, float]] = field(default_factory=list)
    curve: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The options of its cell in a row."""
        return " + ".join(self.cell.values()) or "all"

    @property
    def run(self) -> str:
        """The workspace's run that counts; empty before there is one."""
        return self.runs[-1] if self.runs else ""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in ("finished", "failed")


@dataclass(frozen=True)
class Pace:
    """How far the runs are that are under way.

    Attributes:
        shares: of each run's work, 0 to 1, by key.
        left: seconds until all are done, as it looks; None before anything can be said.
        at: when this was so, in seconds since 1970.
        doing: what each is at, in a few letters, where its share does not say it.
    """

    shares: dict[str, float] = field(default_factory=dict)
    left: float | None = None
    at: float = 0.0
    doing: dict[str, str] = field(default_factory=dict)


class StudyFolder:
    """The folder of one study."""

    def __init__(self, workspace: Path, name: str) -> None:
        self.name, self.path = name, workspace / STUDIES / name
        self._lock = RunLock(self.path)

    @property
    def begun(self) -> bool:
        """Whether it was ever run."""
        return (self.path / COPY).is_file()

    @property
    def running(self) -> bool:
        """Whether a process runs it now."""
        return self._lock.alive()

    @property
    def stop_asked(self) -> bool:
        """Whether somebody asked for its stop since it was begun or gone on with."""
        return (self.path / STOP).exists()

    def ask_to_stop(self) -> None:
        """Have the process that runs it stop all runs, which save first.

        Raises:
            UserError or JobError: it cannot be written.
        """
        write_text(self.path / STOP, "")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Be the one who runs it.

        Raises:
            UserError: another process does, or the folder cannot be made.
        """
        check_path(self.path, "study")
        try:
            (self.path / RECORDS).mkdir(parents=True, exist_ok=True)
            free = self._lock.acquire()
        except OSError as error:
            raise write_error(self.path, error) from error
        if not free:
            raise UserError(f"study {self.name} is being run already; stop it with ewm-studio study stop {self.name}")
        try:
            (self.path / STOP).unlink(missing_ok=True)
            yield
        finally:
            self._lock.release()

    def write(self, record: RunRecord) -> None:
        """Keep what is known of a run.

        Raises:
            UserError or JobError: it cannot be written; what was there stands.
        """
        write_text(self._path(record.key), json.dumps(plain(asdict(record)), indent=1) + "\n")

    def read(self, key: str) -> RunRecord | None:
        """What is known of a run; None before anything is.

        Raises:
            UserError: its file is damaged.
        """
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            return _record(json.loads(path.read_text("utf-8")), key)
        except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise UserError(
                f"{path}: not what a study keeps of a run ({error}); delete it to begin that run anew"
            ) from None

    def records(self) -> dict[str, RunRecord]:
        """What is known of all runs that were ever begun, by key.

        Raises:
            UserError: as `read`.
        """
        try:
            names = sorted(os.listdir(self.path / RECORDS))
        except OSError:
            return {}
        keys = [name.removesuffix(".json") for name in names if name.endswith(".json") and name[0] != "."]
        return {key: record for key in keys if (record := self.read(key)) is not None}

    def keep_pace(self, pace: Pace) -> None:
        """Keep how far the runs are: a nicety for whoever looks on, so that it is not forced to disk."""
        aside = self.path / f".{PACE}"
        with contextlib.suppress(OSError):
            aside.write_text(json.dumps(plain(asdict(pace))), "utf-8")
            aside.replace(self.path / PACE)

    def pace(self) -> Pace:
        """How far the runs are; where nothing sound says so, nothing is known."""
        try:
            values = json.loads((self.path / PACE).read_text("utf-8"))
            shares = {str(key): min(1.0, max(0.0, float(share))) for key, share in values["shares"].items()}
            left, doing = values["left"], {str(key): str(what) for key, what in values.get("doing", {}).items()}
            return Pace(shares, None if left is None else max(0.0, float(left)), float(values["at"]), doing)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return Pace()

    def _path(self, key: str) -> Path:
        return self.path / RECORDS / f"{key}.json"


def study_names(workspace: Path) -> list[str]:
    """The studies of a workspace that were ever run."""
    try:
        names = sorted(os.listdir(workspace / STUDIES))
    except OSError:
        return []
    return [name for name in names if StudyFolder(workspace, name).begun]


def _record(values: Any, key: str) -> RunRecord:
    """A record whose fields are what they should be.

    Raises:
        ValueError: one is not, in one line.
    """
    try:
        record = TypeAdapter(RunRecord).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'all'}: {first['msg']}") from None
    if record.key != key:
        raise ValueError(f"key {record.key!r:.80}")
    needed = ("steps", "frames", "seconds") if record.trained or record.scores else ()
    for name in (*needed, *record.trained.keys() & {"frames_before"}):
        if not is_number(record.trained.get(name)):
            raise ValueError(f"trained.{name}: {record.trained.get(name)!r:.80}")
    return record
