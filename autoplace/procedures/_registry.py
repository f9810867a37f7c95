"""The registry of procedures: register, list, and read from text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from difflib import get_close_matches
from fnmatch import filter as fnmatch_filter
from typing import Any, TypeVar

from autoplace.procedures._base import Procedure, ProcedureError

ProcedureT = TypeVar("ProcedureT", bound=Procedure)

_PROCEDURES: dict[str, type[Procedure]] = {}
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


def register_procedure(name: str) -> Callable[[type[ProcedureT]], type[ProcedureT]]:
    """Register a procedure under a name; a class decorator.

    Parameters
    ----------
    name : str
        Name of the procedure in text forms and on the command line.

    Returns
    -------
    callable
        Decorator that sets the class's `name` and returns it.

    Raises
    ------
    ValueError
        If the name is taken; raised by the decorator.

    Examples
    --------
    The shipped procedures are registered like this. A name that is taken cannot be overwritten:

    >>> from autoplace.procedures import Prune
    >>> @register_procedure("prune")
    ... class Other(Prune):
    ...     pass
    Traceback (most recent call last):
    ValueError: procedure 'prune' is already registered; choose another name
    """

    def register(procedure: type[ProcedureT]) -> type[ProcedureT]:
        if name in _PROCEDURES:
            raise ValueError(f"procedure '{name}' is already registered; choose another name")
        procedure.name = name
        _PROCEDURES[name] = procedure
        return procedure

    return register


def list_procedures(pattern: str = "*") -> list[str]:
    """List the names of procedures, sorted.

    Parameters
    ----------
    pattern : str, default="*"
        Shell pattern that names must match.

    Examples
    --------
    >>> list_procedures("pr*")
    ['prune']
    """
    return sorted(fnmatch_filter(_PROCEDURES, pattern))


def procedure_class(name: str) -> type[Procedure]:
    """Return the class of a registered procedure."""
    return _PROCEDURES[name]


def parse_procedure(text: str) -> Procedure:
    """Read a procedure from its text form, such as `prune:score=snip,sparsity=0.8`.

    Parameters
    ----------
    text : str
        Name, and options after a colon; an option without a value is switched on.

    Returns
    -------
    Procedure
        Ready to run; `str` gives its canonical text form.

    Raises
    ------
    ProcedureError
        If the text cannot be read, the procedure or an option is unknown, or a value is not
        allowed.

    Examples
    --------
    >>> print(parse_procedure("drop:blocks=5"))
    drop:blocks=5
    >>> try:
    ...     parse_procedure("prune:sparsty=0.5")
    ... except ProcedureError as error:
    ...     print(str(error).partition("its options")[0])
    procedure 'prune' has no option 'sparsty'; did you mean 'sparsity'?
    """
    name, colon, tail = text.strip().partition(":")
    if name not in _PROCEDURES:
        known = list_procedures()
        raise ProcedureError(
            f"unknown procedure '{name}'; {_near(name, known)}known procedures: {', '.join(known)}"
        )
    procedure = _PROCEDURES[name]
    known = sorted(option.name for option in fields(procedure.Config))
    options: dict[str, Any] = {}
    for item in tail.split(",") if colon else ():
        option, equals, value = item.partition("=")
        if not _NAME.fullmatch(option) or (equals and not value):
            raise ProcedureError(
                f"'{item}' in '{text}' is not an option; expected OPTION=VALUE, as in "
                "prune:sparsity=0.8"
            )
        if option not in known:
            raise ProcedureError(
                f"procedure '{name}' has no option '{option}'; "
                f"{_near(option, known)}its options: {', '.join(known) or 'none'}"
            )
        if option in options:
            raise ProcedureError(f"'{text}' gives {option} twice; give each option once")
        options[option] = _value(value) if equals else True
    return procedure(procedure.Config(**options))


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean '{near[0]}'? " if near else ""


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
