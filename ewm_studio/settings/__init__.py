"""Every setting of an experiment, declared once: type, range, unit, help and flag.

The command line's flags, the window's forms, `experiment.toml` and the documentation are all made from these
declarations. A component's own settings stand beside the component (`models/*/`); here a component is only
chosen: `ComponentChoice` holds its name and whatever settings were given, and the registry checks them.
"""

from ewm_studio.settings.data import DataSettings
from ewm_studio.settings.declare import EVERY, ComponentSettings, TrainedSettings, declared, setting
from ewm_studio.settings.dreaming import DreamSettings
from ewm_studio.settings.evolution import EvolutionSettings
from ewm_studio.settings.experiment import ComponentChoice, Experiment, explain, read_sections, read_settings
from ewm_studio.settings.learning import (
    PPOSettings,
    PretrainSettings,
    TrainSettings,
    WarmUpSettings,
    WorldModelSettings,
)
from ewm_studio.settings.planning import PlannerSettings
from ewm_studio.settings.running import EnvSettings, InferSettings, RunSettings, StartSettings

__all__ = [
    "EVERY",
    "ComponentChoice",
    "ComponentSettings",
    "DataSettings",
    "DreamSettings",
    "EnvSettings",
    "EvolutionSettings",
    "Experiment",
    "InferSettings",
    "PPOSettings",
    "PlannerSettings",
    "PretrainSettings",
    "RunSettings",
    "StartSettings",
    "TrainSettings",
    "TrainedSettings",
    "WarmUpSettings",
    "WorldModelSettings",
    "declared",
    "explain",
    "read_sections",
    "read_settings",
    "setting",
]
