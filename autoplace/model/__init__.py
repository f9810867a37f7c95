"""The adapted network: chain, adapters and head, run as a whole or from cached activations."""

from autoplace.model._adapted import AdaptedModel, frozen_activations, frozen_features
from autoplace.model._alone import Alone
from autoplace.model._artifact import load_adapted, read_pictures, save_adapted
from autoplace.model._head import LinearHead, fit_head
from autoplace.model._merge import MergedModel, merge_adapters
from autoplace.model._population import Population
from autoplace.model._run import Adapters, Reading, SiteReading
from autoplace.model._schedule import Pass, Schedule
from autoplace.model._trainable import Trainable
from autoplace.model._tuned import FullTuning, TunedModel

__all__ = [
    "AdaptedModel",
    "Adapters",
    "Alone",
    "FullTuning",
    "LinearHead",
    "MergedModel",
    "Pass",
    "Population",
    "Reading",
    "Schedule",
    "SiteReading",
    "Trainable",
    "TunedModel",
    "fit_head",
    "frozen_activations",
    "frozen_features",
    "load_adapted",
    "merge_adapters",
    "read_pictures",
    "save_adapted",
]
