"""Short jobs on the real engine, for tests."""

from collections.abc import Generator, Iterable
from typing import Any

from ewm_studio.events import Event, Finished, JobControl
from ewm_studio.jobs import train
from ewm_studio.settings import Experiment
from ewm_studio.workspace import Workspace

SMALL = {
    "env": {"batch_size": 4, "workers": 0},
    "ppo": {"rollout_steps": 16, "epochs": 2, "batch_size": 32},
    "train": {"epochs": 2, "total_steps": None},
    "world_model": {"sequence_length": 8, "vision_batch_size": 16},
}


def experiment(**sections: dict[str, Any]) -> Experiment:
    """A small experiment with sections overridden: `experiment(memory={"name": "LSTMMemory"}, run={"seed": 3})`."""
    values = {name: dict(group) for name, group in SMALL.items()}
    for name, group in sections.items():
        values[name] = values.get(name, {}) | group
    return Experiment.from_dict(values)


def finish(events: Iterable[Event]) -> dict[str, Any]:
    """Run a job to its end; its result."""
    result = None
    for event in events:
        if isinstance(event, Finished):
            result = event.result
    assert result is not None
    return result


def returned(generator: Generator[Any, Any, Any]) -> Any:
    """What a generator comes to."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def train_until(experiment: Experiment, workspace: Workspace, epochs: int) -> dict[str, Any]:
    """Train and ask to stop after some epochs; the result."""
    from ewm_studio.events import Progress

    control, seen, result = JobControl(), 0, None
    for event in train(experiment, workspace, control):
        if isinstance(event, Progress):
            seen += 1
            if seen == epochs:
                control.stop()
        if isinstance(event, Finished):
            result = event.result
    assert result is not None
    return result
