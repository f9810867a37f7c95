"""Procedures, one file each: ways to train a placement of any adapter kinds; their registry."""

from autoplace.procedures._base import Procedure, ProcedureConfig, ProcedureError, Refined
from autoplace.procedures._drop import Drop, drop_adapters, without_blocks
from autoplace.procedures._listing import ProcedureInfo, describe_procedures
from autoplace.procedures._mera import merge_adapters
from autoplace.procedures._mergeable import Cost, Method, check_mergeable
from autoplace.procedures._prune import Prune, widen
from autoplace.procedures._registry import list_procedures, parse_procedure, register_procedure
from autoplace.procedures._share import Share
from autoplace.procedures._switch import Switch
from autoplace.procedures._trainer import Trainer
from autoplace.procedures._transport import Solver, transport_plan

__all__ = [
    "Cost",
    "Drop",
    "Method",
    "Procedure",
    "ProcedureConfig",
    "ProcedureError",
    "ProcedureInfo",
    "Prune",
    "Refined",
    "Share",
    "Solver",
    "Switch",
    "Trainer",
    "check_mergeable",
    "describe_procedures",
    "drop_adapters",
    "list_procedures",
    "merge_adapters",
    "parse_procedure",
    "register_procedure",
    "transport_plan",
    "widen",
    "without_blocks",
]
