"""Whether a run of a study was begun with the settings that its file has now: nothing is reported under others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ewm_studio.errors import UserError
from ewm_studio.formatting import plain
from ewm_studio.settings.experiment import COMPONENTS, present_path
from ewm_studio.settings.paths import all_fields
from ewm_studio.settings.study import JudgeSettings
from ewm_studio.settings.study_file import RunPlan, StudyFile
from ewm_studio.workspace.studies import RunRecord

# What changes nothing but the speed, and what is a matter of the figures drawn from the scores.
_FREE = {"env.workers", "env.render_mode", "run.device", "train.collect_on"}
_AFTERWARDS = {"floor", "target", "level", "resamples"}
_UNKNOWN = object()


def asked_for(plan: RunPlan, judge: JudgeSettings) -> dict[str, Any]:
    """All that a run's scores depend on: settings by their paths."""
    nested = {**plan.experiment.model_dump(mode="json"), "judge": judge.model_dump(mode="json", exclude=_AFTERWARDS)}
    flat = {
        f"{section}.{name}": value
        for section, group in nested.items()
        if section != "versions"
        for name, value in group.items()
    }
    return {path: value for path, value in flat.items() if path not in _FREE}


def check_same(record: RunRecord, plan: RunPlan, judge: JudgeSettings, source: Path) -> None:
    """Refuse to go on with a run that was begun with other settings.

    Raises:
        UserError: names the first that differs.
    """
    _check_asked(record, asked_for(plan, judge), source)


def check_reported(file: StudyFile, records: Sequence[RunRecord]) -> None:
    """Refuse to report runs under other settings than they were begun with.

    Args:
        file: the study.
        records: of all its runs, in its order.

    Raises:
        UserError: names the first setting that differs.
    """
    asked = {plan.cell.name: asked_for(plan, file.study.judge) for plan in file.check()}  # alike but for the seed
    for record, (_, cell, seed) in zip(records, file.named_runs(), strict=True):
        _check_asked(record, {**asked[cell.name], "run.seed": seed}, file.path)


def _check_asked(record: RunRecord, now: Mapping[str, Any], source: Path) -> None:
    if not record.asked:
        return  # it was never begun
    before = {present_path(path): value for path, value in record.asked.items()}
    for path in sorted(before.keys() | now.keys(), key=lambda path: (not path.endswith(".name"), path)):
        was, found = (values[path] if path in values else _unsaid(path, values) for values in (before, now))
        if was is not _UNKNOWN and found is not _UNKNOWN and was != found:
            raise UserError(
                f"{source}: {path} is {found!s:.60}, but run {record.key} of this study was begun with {was!s:.60}: "
                "set it back, or give the file another name to begin a new study"
            )


def _unsaid(path: str, values: Mapping[str, Any]) -> Any:
    """What a setting is where nobody says it: its default, if the part that has it is known.

    A setting that came with a later version is so by what it was before it could be set; of one that is gone nothing
    can be said.
    """
    section, _, name = path.partition(".")
    if section == "judge":
        field = JudgeSettings.model_fields.get(name)
        return _UNKNOWN if field is None else plain(field.get_default(call_default_factory=True))
    if section not in COMPONENTS or name == "name":
        declared = all_fields().get(path)
        return _UNKNOWN if declared is None else plain(declared.default)
    from ewm_studio.models.registry import (
        components,  # brings torch: only for a part's setting that one side does not say
    )

    part = components(section).get(str(values.get(f"{section}.name")))
    field = part.Settings.model_fields.get(name) if part is not None else None
    return _UNKNOWN if field is None else plain(field.get_default(call_default_factory=True))
