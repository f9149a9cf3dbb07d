"""What can be compared in a world: the parts that fit it, and the controls that reviewers ask for."""

from __future__ import annotations

from ewm_studio.analysis.inspection import Catalog, ComponentInfo, Inspection
from ewm_studio.settings import Experiment
from ewm_studio.ui.study.part_picker import Choice

_LAST = 4  # latents and actions that the plainest memory keeps


def base_name(kind: str, experiment: Experiment, inspection: Inspection) -> str:
    """The part that an experiment has, `auto` resolved."""
    name: str = getattr(experiment, kind).name
    return inspection.chosen.get(kind, inspection.automatic.get(kind, name))


def choices(kind: str, catalog: Catalog, experiment: Experiment, inspection: Inspection) -> list[Choice]:
    """The parts of a kind, those that fit first, then its controls."""
    known, misfits = catalog.components[kind], inspection.misfits.get(kind, {})
    found = [
        Choice(name, {kind: {"name": name}}, misfits.get(name, info.summary), name not in misfits)
        for name, info in known.items()
    ]
    base = base_name(kind, experiment, inspection)
    if kind == "memory":
        found += _memory_controls(base, known, misfits)
    if kind == "vision":
        learns = [name for name in (base, *known) if name in known and _can_be_frozen(known[name])]
        fits = [name for name in learns if name not in misfits]
        if fits:
            tip = f"{fits[0]} as it was drawn: it never learns. Does vision have to?"
            found.append(Choice("random V", {kind: {"name": fits[0], "frozen": True}}, tip, control=True))
    return found


def _memory_controls(base: str, known: dict[str, ComponentInfo], misfits: dict[str, str]) -> list[Choice]:
    found = []
    if "History" in known and "History" not in misfits:
        tip = f"The last {_LAST} latents and actions as they were: no memory that learns"
        found.append(Choice(f"last {_LAST} z", {"memory": {"name": "History", "steps": _LAST}}, tip, control=True))
    for name in dict.fromkeys((base, "LSTMMemory")):
        if name in known and name not in misfits and _can_be_frozen(known[name]):
            tip = f"{name} as it was drawn: it never learns. Is it training, or only recurrence?"
            found.append(Choice(f"untrained {name}", {"memory": {"name": name, "frozen": True}}, tip, control=True))
    return found


def _can_be_frozen(info: ComponentInfo) -> bool:
    return "frozen" in info.settings.model_fields
