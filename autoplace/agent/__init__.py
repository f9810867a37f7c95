"""The loop that decides: probe, propose, predict, train, observe, choose."""

from autoplace.agent._candidates import parameter_budget
from autoplace.agent._classify import classify
from autoplace.agent._collect import collect, collect_task, read_placements, sample_requests
from autoplace.agent._doctor import examine
from autoplace.agent._dry_run import DryRun, dry_run
from autoplace.agent._logs import Transfer, export_log, import_log
from autoplace.agent._open import open_task, probe_task
from autoplace.agent._pick import NothingFinishedError, pick
from autoplace.agent._probe_command import ProbeResult, probe
from autoplace.agent._progress import Progress
from autoplace.agent._result import PickResult, Tested
from autoplace.agent._retrain import RetrainResult, gate, predictor_card, retrain, training_set
from autoplace.agent._winner import load

__all__ = [
    "DryRun",
    "NothingFinishedError",
    "PickResult",
    "ProbeResult",
    "Progress",
    "RetrainResult",
    "Tested",
    "Transfer",
    "classify",
    "collect",
    "collect_task",
    "dry_run",
    "examine",
    "export_log",
    "gate",
    "import_log",
    "load",
    "open_task",
    "parameter_budget",
    "pick",
    "predictor_card",
    "probe",
    "probe_task",
    "read_placements",
    "retrain",
    "sample_requests",
    "training_set",
]
