"""Procedures, one file each: what acts on a placement whatever its kinds; their registry."""

from autoplace.procedures._base import Procedure, ProcedureConfig, ProcedureError, Refined
from autoplace.procedures._drop import Drop, drop_adapters, without_blocks
from autoplace.procedures._prune import Prune, widen
from autoplace.procedures._registry import list_procedures, parse_procedure, register_procedure
from autoplace.procedures._trainer import Trainer

__all__ = [
    "Drop",
    "Procedure",
    "ProcedureConfig",
    "ProcedureError",
    "Prune",
    "Refined",
    "Trainer",
    "drop_adapters",
    "list_procedures",
    "parse_procedure",
    "register_procedure",
    "widen",
    "without_blocks",
]
