"""What there is to know of every procedure, for people and programs."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import Any

from autoplace.procedures._registry import list_procedures, procedure_class


@dataclass(frozen=True)
class ProcedureInfo:
    """A procedure.

    Attributes
    ----------
    name : str
        Name in the text form.
    does : str
        What it does, in a sentence.
    options : dict of str to (int or float or str or bool or None)
        Options with their defaults.
    paper : str
        Where it was published.

    Examples
    --------
    >>> (info,) = describe_procedures("share")
    >>> info.options["rate"]
    0.5
    """

    name: str
    does: str
    options: dict[str, int | float | str | bool | None]
    paper: str


def describe_procedures(pattern: str = "*") -> list[ProcedureInfo]:
    """Describe the procedures whose names match a shell pattern.

    Examples
    --------
    >>> [info.name for info in describe_procedures("s*")]
    ['share', 'switch']
    """
    return [_describe(name) for name in list_procedures(pattern)]


def _describe(name: str) -> ProcedureInfo:
    procedure = procedure_class(name)
    does = (inspect.getdoc(procedure) or "").split("\n\n")[0].replace("\n", " ")
    options: dict[str, Any] = {field.name: field.default for field in fields(procedure.Config)}
    return ProcedureInfo(name, does, options, procedure.paper)
