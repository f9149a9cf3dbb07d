"""What `train` and `pretrain` share: all is checked before a run's folder is made, then the run from begin to end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ewm_studio.envs.factory import env_notes
from ewm_studio.envs.probe import EnvProbe, Spaces
from ewm_studio.envs.vector.sizing import choose_batch_size, worker_count
from ewm_studio.errors import UserError
from ewm_studio.events import Event, Finished, Message, RunStarted
from ewm_studio.jobs.failures import explained
from ewm_studio.jobs.resuming import SETTINGS, Previous, differences
from ewm_studio.jobs.setup import build_model, save_path_of
from ewm_studio.models.agent_model import AgentModel
from ewm_studio.models.assembly import load_weights
from ewm_studio.models.device import choose_device, set_threads
from ewm_studio.models.registry import broken_components
from ewm_studio.settings import Experiment
from ewm_studio.training.randomness import Randomness
from ewm_studio.workspace import Run, Workspace
from ewm_studio.workspace.files import write_text
from ewm_studio.workspace.models import load_model, save_model
from ewm_studio.workspace.tree import load_tree
from ewm_studio.workspace.versions import versions


@dataclass(frozen=True)
class PreparedJob:
    """A job that may begin: all of its input was checked, and nothing is written yet."""

    experiment: Experiment  # `auto` decided, every part named in full, versions noted
    spaces: Spaces
    device: torch.device
    model: AgentModel  # on the device
    randomness: Randomness  # draws on the device
    previous: Previous | None  # the run that is resumed
    save_path: Path | None
    notes: list[Message]  # for the log


def prepare(
    experiment: Experiment, workspace: Workspace, previous: Previous | None, probe: EnvProbe, spreads: bool = True
) -> PreparedJob:
    """Check and make what a run needs. Whatever is `auto` is decided here, and kept with the run.

    Args:
        experiment: what the run goes by.
        workspace: holds the run.
        previous: the run to go on with.
        probe: of the run's environment.
        spreads: whether environments are run side by side.

    Raises:
        UserError: bad input.
    """
    origin = experiment.start
    if previous is not None:  # it has a model of its own
        clean = origin.model_copy(update={"load_path": None, "patch_load_path": None, "patch": None})
        experiment = experiment.model_copy(update={"start": clean})
    spaces = probe.spaces
    device = choose_device(experiment.run.device)
    save_path = save_path_of(experiment)
    threads, said = set_threads(experiment.run.threads, spaces.observation)
    experiment = experiment.with_values(("run.threads", threads))
    notes = [Message(line, "warning") for line in [*broken_components(), *env_notes(experiment.env), *said]]
    notes.append(Message(f"observations are taken for {spaces.taken_for}"))
    num_envs = experiment.env.batch_size
    if num_envs == "auto":
        num_envs, sentence = choose_batch_size(probe)
        experiment = experiment.with_values(("env.batch_size", num_envs))
        notes.append(Message(sentence))
    if spreads and experiment.env.workers == "auto" and experiment.env.render_mode != "human":
        experiment = experiment.with_values(("env.workers", worker_count(experiment.env, num_envs, probe)))
    randomness = Randomness(experiment.run.seed)
    model, experiment = build_model(experiment, spaces, workspace, randomness.torch, previous is not None)
    randomness.move_to(device)
    experiment = experiment.model_copy(update={"versions": versions(), "start": origin})
    return PreparedJob(experiment, spaces, device, model.to(device), randomness, previous, save_path, notes)


class ResumableJob(Protocol):
    """A job's state, as `execute` needs to know it."""

    stopped_by: str
    computed_on: dict[str, str] | None

    @property
    def summary(self) -> str:
        """One line that says what is trained on what."""

    @property
    def stages(self) -> tuple[str, ...]:
        """What is to come, in order."""

    def restore(self, run: Run) -> None:
        """Take up a run at its latest checkpoint."""

    def model_file(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and description for a model file."""

    def result(self, run: Run) -> dict[str, Any]:
        """What `--json` prints."""


def execute(
    kind: str,
    start: PreparedJob,
    workspace: Workspace,
    job: ResumableJob,
    work: Callable[[Run], Generator[Event, None, None]],
) -> Generator[Event, None, None]:
    """A job's run from its folder to its last event; `work` is what is done in between.

    Raises:
        UserError: the run to resume has no sound checkpoint, or is being trained; what `work` raises.
    """
    notes = list(start.notes)
    if start.previous is not None:
        job.restore(start.previous.run)
        notes.append(Message(f"going on from {start.previous.run.latest_checkpoint()}"))
        pictures = len(start.spaces.observation.shape) == 3
        notes += differences(job.computed_on, start.device, start.previous.own, pictures)
    with _open_run(kind, start, workspace) as run:
        yield RunStarted(kind, run.name, str(run.folder), f"{job.summary}, {start.device}", job.stages)
        yield from notes
        yield from work(run)
    if run.behind:
        yield Message(
            "the list of runs is held by another program; it takes up this run when it can be read", "warning"
        )
    if start.save_path is not None:
        place = start.save_path
        path = place / f"{run.name}.safetensors" if place.is_dir() else place
        save_model(path, *job.model_file())
        yield Message(f"model saved to {path}")
    yield Finished(job.stopped_by, job.result(run))


@contextlib.contextmanager
def _open_run(kind: str, start: PreparedJob, workspace: Workspace) -> Iterator[Run]:
    """The run to write to; whatever breaks the work off is noted in it."""
    experiment = start.experiment
    if start.previous is not None:
        run = start.previous.run
        run.resume()
        write_text(run.folder / SETTINGS, experiment.to_toml())  # the next resume goes on by these
    else:
        parts = start.model.describe()["parts"]
        run = workspace.create_run(experiment.env.id, kind, experiment.to_toml(), parts, experiment.run.seed)
    try:
        yield run
    except BaseException as error:
        broken_off = isinstance(error, GeneratorExit | KeyboardInterrupt)
        run.finish("interrupted" if broken_off else "failed", error=str(explained(error)))
        raise


def restore_latest(run: Run, model: AgentModel, take_up: Callable[[dict[str, Any]], None]) -> Path:
    """Load a run's latest checkpoint: the weights into `model`, the trainer's state into `take_up`; gives its path.

    Raises:
        UserError: there is none, or it is damaged or of other settings.
    """
    newest, latest = run.newest_model(), run.latest_checkpoint()
    if newest is None:
        again = run.folder / SETTINGS
        raise UserError(f"{run.name} has no checkpoint to resume from; start it again with --config {again}")
    trainer = newest.with_suffix(".trainer")
    tensors, _ = load_model(newest)
    state = load_tree(trainer)
    if newest != latest:
        raise UserError(f"{trainer}: not the state that belongs to {newest.name}; remove both to resume from earlier")
    load_weights(model, tensors, str(newest))
    try:
        take_up(state)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{trainer}: not a state of this experiment ({type(error).__name__}: {error}); resume with the run's own "
            "settings"
        ) from error
    return newest
