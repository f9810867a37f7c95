"""The functions of the front door: the commands, with the options as keyword arguments.

The defaults are those of `autoplace.settings`, where the help of every option stands. Nothing heavy
is imported before one of these functions is called.
"""

from autoplace._api._collect import collect
from autoplace._api._merge import merge
from autoplace._api._pick import pick
from autoplace._api._probe import probe
from autoplace._api._refine import refine
from autoplace._api._resume import resume
from autoplace._api._retrain import retrain
from autoplace._api._sync import sync
from autoplace._api._winner import load, predict

__all__ = [
    "collect",
    "load",
    "merge",
    "pick",
    "predict",
    "probe",
    "refine",
    "resume",
    "retrain",
    "sync",
]
