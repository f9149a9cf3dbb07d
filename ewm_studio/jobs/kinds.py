"""The kinds of jobs: one table that the command line, the window and the jobs' own processes read.

Another package adds a kind by an entry point in the group `ewm_studio.jobs` that names a `JobKind`. Neither torch nor
Qt is imported before a job is run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from importlib import import_module

from ewm_studio.errors import UserError, nearest
from ewm_studio.events import Event
from ewm_studio.models.plugins import load_plugin, plugins, same_name

ENTRY_POINTS = "ewm_studio.jobs"


@dataclass(frozen=True)
class JobKind:
    """What a user can start.

    Attributes:
        name: its word on the command line, in files and in events.
        title: what its button says.
        function: `module:function`. It takes experiment, workspace and `JobControl`, by name `resume` where it may
            resume and `feed` where it is fed, and gives a generator of events.
        summary: its line in `--help`; empty where it is no command.
        examples: lines below its `--help`.
        makes_run: whether it writes a run of the workspace.
        may_resume: whether it can go on with a run of its kind.
        plays: whether it plays a saved model, with that model's own settings.
        fed: whether it learns from what is driven meanwhile, and leaves the machine to the driver.
    """

    name: str
    title: str
    function: str
    summary: str = ""
    examples: str = ""
    makes_run: bool = False
    may_resume: bool = False
    plays: bool = False
    fed: bool = False

    def load(self) -> Callable[..., Generator[Event, None, None]]:
        """Import the function, and torch with it."""
        module, _, name = self.function.partition(":")
        found: Callable[..., Generator[Event, None, None]] = getattr(import_module(module), name)
        return found


_TABLE = (
    JobKind(
        "train",
        "Train",
        "ewm_studio.jobs.train_job:train",
        "Train the controller with PPO or in the memory's dreams, and vision and memory along with it.",
        "  ewm-studio train --env CartPole-v1 --memory LSTMMemory --seed 1\n"
        "  ewm-studio train --env CarRacing-v3 --load-path PRETRAINED_RUN --total-steps 500000\n"
        "  ewm-studio train --config resources/presets/carracing-dream.toml\n"
        "  ewm-studio train --resume RUN",
        makes_run=True,
        may_resume=True,
    ),
    JobKind(
        "pretrain",
        "Pretrain",
        "ewm_studio.jobs.pretrain_job:pretrain",
        "Train vision and memory on random, recorded or driven data, before the controller.",
        "  ewm-studio pretrain --env CarRacing-v3 --vision ConvVAE --memory MDNRNN --frames 10000\n"
        "  ewm-studio pretrain --env CarRacing-v3 --pretrain-mode manual --frames 5000\n"
        "  ewm-studio pretrain --env CarRacing-v3 --recording monday,tuesday --random-share 0.3",
        makes_run=True,
        may_resume=True,
    ),
    JobKind(
        "infer",
        "Evaluate",
        "ewm_studio.jobs.infer_job:infer",
        "Play a saved model and report its rewards.",
        "  ewm-studio infer --load-path RUN --episodes 100 --json",
        plays=True,
    ),
    JobKind(
        "record",
        "Record",
        "ewm_studio.jobs.record_job:record",
        "Write a recording: of a saved model's play, or of the random policy.",
        "  ewm-studio record --env CarRacing-v3 --recording laps --frames 5000",
    ),
    JobKind(
        "assess",
        "Assess",
        "ewm_studio.jobs.assess_job:assess",
        "Measure how far a model's memory can be trusted as a world.",
        "  ewm-studio assess --load-path RUN --episodes 5 --seed 100000 --json\n"
        "  ewm-studio assess --load-path RUN --recording laps",
        plays=True,
    ),
    JobKind(
        "dream",
        "Dream",
        "ewm_studio.jobs.dream_drive_job:dream",
        "Drive in what a model believes, from any real frame on, with reality beside it.",
        "  ewm-studio dream --load-path RUN --from RUN/1:574 --steps 200 --video dream.mp4\n"
        "  ewm-studio dream --load-path RUN --from laps/3:500 --actions recorded --json\n"
        "  ewm-studio dream --load-path RUN --from track:7 --actions left,left,gas*10,left+gas --temperature 0.5\n"
        "  ewm-studio dream --load-path RUN --from random:1 --fan 7 --video strip.png",
        plays=True,
    ),
    JobKind("live", "Learn while driving", "ewm_studio.jobs.live_job:live", makes_run=True, fed=True),
)
KINDS: dict[str, JobKind] = {kind.name: kind for kind in _TABLE}


def job_kinds() -> dict[str, JobKind]:
    """All kinds by name; one of another package never takes the place of one that is here."""
    return look_for_kinds()[0]


def look_for_kinds() -> tuple[dict[str, JobKind], list[str]]:
    """All kinds by name, and a line on each package that brings one that is left out, or that printed something."""
    found, lines = dict(KINDS), list[str]()
    for point in plugins(ENTRY_POINTS):
        said = f"job '{point.name}' of {point.value}"
        kind, reason, printed = load_plugin(point)
        if printed:
            lines.append(f"{said} printed when it was imported: {printed}")
        if reason:
            lines.append(f"{said} cannot be imported: {reason}")
        elif not isinstance(kind, JobKind):
            lines.append(f"{said} is left out: it is no JobKind")
        elif (own := same_name(kind.name, found)) is not None:
            lines.append(f"{said} is left out: there is a job called {own} already")
        else:
            found[kind.name] = kind
    return found, lines


def job_kind(name: str) -> JobKind:
    """The kind of this name.

    Raises:
        UserError: there is none; names the nearest.
    """
    if name in KINDS:
        return KINDS[name]
    known = job_kinds()
    if name not in known:
        raise UserError(f"no job '{name}'; {nearest(name, list(known))}")
    return known[name]
