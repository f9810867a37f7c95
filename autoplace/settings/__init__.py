"""Every option, defined once: flags, YAML, environment and MLflow parameters come from here.

This package does not import torch, so that the command line can show its help quickly.
"""

from autoplace.settings._base import Settings
from autoplace.settings._commands import (
    CollectSettings,
    MergeSettings,
    PickSettings,
    ProbeCommandSettings,
    RefineSettings,
    ResumeSettings,
)
from autoplace.settings._create import create_settings, value_type
from autoplace.settings._executor import ExecutorSettings
from autoplace.settings._groups import (
    PROBE_IMAGES,
    PROBE_IMAGES_PER_CLASS,
    BackboneSettings,
    DataSettings,
    InputSettings,
    PlacementSettings,
    PredictorSettings,
    ProbeSettings,
    StoreSettings,
    TaskSettings,
    TrialSettings,
)

__all__ = [
    "PROBE_IMAGES",
    "PROBE_IMAGES_PER_CLASS",
    "BackboneSettings",
    "CollectSettings",
    "DataSettings",
    "ExecutorSettings",
    "InputSettings",
    "MergeSettings",
    "PickSettings",
    "PlacementSettings",
    "PredictorSettings",
    "ProbeCommandSettings",
    "ProbeSettings",
    "RefineSettings",
    "ResumeSettings",
    "Settings",
    "StoreSettings",
    "TaskSettings",
    "TrialSettings",
    "create_settings",
    "value_type",
]
