"""The commands, one module each; `steps/` contains the steps that they are made of."""

from autoplace.agent._collect import collect, collect_task
from autoplace.agent._doctor import Examination, examine
from autoplace.agent._dry_run import DryRun, dry_run
from autoplace.agent._logs import Transfer, export_log, import_log
from autoplace.agent._merge import merge
from autoplace.agent._pick import pick
from autoplace.agent._predict import predict
from autoplace.agent._probe import ProbeResult, probe
from autoplace.agent._refine import RefineResult, Side, refine
from autoplace.agent._resume import resume
from autoplace.agent._retrain import RetrainResult, retrain
from autoplace.agent._sync import SyncResult, sync
from autoplace.agent.steps import (
    open_task,
    parameter_budget,
    probe_task,
    read_placements,
    sample_trials,
    training_set,
)
from autoplace.agent.steps._errors import NothingFinishedError
from autoplace.agent.steps._image_files import read_path_list
from autoplace.agent.steps._load import load
from autoplace.agent.steps._merge_result import MergeResult
from autoplace.agent.steps._pick_result import PickResult, Tested
from autoplace.agent.steps._prediction import Prediction, check_out, write_predictions
from autoplace.agent.steps._progress import Progress

__all__ = [
    "DryRun",
    "Examination",
    "MergeResult",
    "NothingFinishedError",
    "PickResult",
    "Prediction",
    "ProbeResult",
    "Progress",
    "RefineResult",
    "RetrainResult",
    "Side",
    "SyncResult",
    "Tested",
    "Transfer",
    "check_out",
    "collect",
    "collect_task",
    "dry_run",
    "examine",
    "export_log",
    "import_log",
    "load",
    "merge",
    "open_task",
    "parameter_budget",
    "pick",
    "predict",
    "probe",
    "probe_task",
    "read_path_list",
    "read_placements",
    "refine",
    "resume",
    "retrain",
    "sample_trials",
    "sync",
    "training_set",
    "write_predictions",
]
