"""What is wrong with a study's cells, before any of them begins."""

from __future__ import annotations

from collections.abc import Sequence

from ewm_studio.envs.probe import Spaces, spaces_of
from ewm_studio.errors import UserError
from ewm_studio.models.assembly import choose_parts
from ewm_studio.models.device import choose_device
from ewm_studio.settings.study_file import RunPlan, StudyFile


def check_cells(file: StudyFile, plans: Sequence[RunPlan]) -> None:
    """Make one environment of each kind, and see whether every cell's parts fit it.

    Raises:
        UserError: one cannot be made or does not fit; names the cell.
    """
    known: dict[str, Spaces] = {}
    checked: set[str] = set()
    for plan in plans:
        if plan.cell.name in checked:
            continue
        checked.add(plan.cell.name)
        env = plan.experiment.env
        try:
            place = env.model_dump_json()
            if place not in known:
                known[place] = spaces_of(env)
            spaces = known[place]
            choose_device(plan.experiment.run.device)
            if not plan.experiment.start.load_path:
                choose_parts(plan.experiment, spaces.observation, spaces.action)
        except UserError as error:
            raise UserError(f"{file.path}: cell '{plan.cell.name}': {error}") from None
