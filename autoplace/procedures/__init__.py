"""Procedures, one file each: what acts on a placement whatever its kinds; their registry."""

from autoplace.procedures._base import Procedure, ProcedureConfig, ProcedureError, Refined
from autoplace.procedures._mera import check_mergeable, merge_adapters, transport_plan
from autoplace.procedures._registry import list_procedures, parse_procedure, register_procedure
from autoplace.procedures._trainer import Trainer

__all__ = [
    "Procedure",
    "ProcedureConfig",
    "ProcedureError",
    "Refined",
    "Trainer",
    "check_mergeable",
    "list_procedures",
    "merge_adapters",
    "parse_procedure",
    "register_procedure",
    "transport_plan",
]
