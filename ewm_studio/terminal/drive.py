"""`pretrain --pretrain-mode manual`: what it trains on is driven first, in a window of its own."""

from __future__ import annotations

from ewm_studio.errors import UserError
from ewm_studio.events import JobControl
from ewm_studio.settings import Experiment
from ewm_studio.ui.window.screen import check_display
from ewm_studio.workspace import Workspace

_WITHOUT = (
    "without one, name what was driven with --recording NAME, or make a recording of a model or the random policy "
    "with ewm-studio record"
)


def driven_first(experiment: Experiment, workspace: Workspace, control: JobControl) -> Experiment:
    """The experiment with what a person drives now as its recording.

    Where driving is not asked for, or a recording is named, the experiment as it is. That the rest of the experiment
    is sound is made sure of before anybody drives.

    Raises:
        UserError: there is no screen, parts do not fit, the environment cannot be driven, or nothing was recorded.
    """
    if experiment.pretrain.mode != "manual" or experiment.data.recording is not None:
        return experiment
    check_display(_WITHOUT)
    from ewm_studio.envs.probe import spaces_of
    from ewm_studio.jobs.setup import build_model
    from ewm_studio.models.randomness import make_generator

    build_model(experiment, spaces_of(experiment.env), workspace, make_generator(experiment.run.seed))
    try:
        from ewm_studio.ui.window.drive_window import drive_alone
    except ImportError as error:
        raise UserError(f"the window cannot open: {' '.join(str(error).split())}; {_WITHOUT}") from None
    name = drive_alone(experiment, workspace, lambda: control.stop_requested)
    return experiment.with_values(("data.recording", name))
