"""Settings from names and values, as given in YAML or by a caller."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from dataclasses import Field, fields
from difflib import get_close_matches
from typing import Any, TypeVar

from autoplace.errors import UserError
from autoplace.settings._base import Settings

SettingsT = TypeVar("SettingsT", bound=Settings)


def create_settings(kind: type[SettingsT], options: Mapping[str, Any]) -> SettingsT:
    """Create settings from names and values, as given in YAML or by a caller.

    Parameters
    ----------
    kind : type of Settings
        The class of settings to create.
    options : mapping of str to value
        Dashes and underscores in a name are the same.

    Raises
    ------
    UserError
        A name is unknown (the message suggests a similar one), or a value has the wrong type.

    Examples
    --------
    >>> from autoplace.settings import PickSettings
    >>> create_settings(PickSettings, {"top-k": 3, "lr": "1e-3"}).lr
    0.001
    """
    known = {each.name: each for each in fields(kind)}
    values = {}
    for name, value in options.items():
        field_name = name.replace("-", "_")
        if field_name not in known:
            near = get_close_matches(field_name, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise UserError(f"unknown option '{name}'; {hint}")
        values[field_name] = _converted(known[field_name], value)
    return kind(**values)


def value_type(each: Field[Any]) -> type:
    """Return the Python type of a field's value, leaving out None.

    Examples
    --------
    >>> from dataclasses import fields
    >>> from autoplace.settings import StoreSettings
    >>> [value_type(field) for field in fields(StoreSettings)]
    [<class 'str'>]
    """
    return {"int": int, "float": float, "str": str, "bool": bool}[str(each.type).split(" ")[0]]


def _converted(each: Field[Any], value: Any) -> Any:
    wanted = value_type(each)
    if wanted is bool and isinstance(value, bool):
        return value
    if value is None or wanted is bool or (wanted is int and isinstance(value, bool)):
        if value is None and "None" in str(each.type):
            return None
    elif wanted is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 1e-3, without a point, as text
        except (ValueError, OverflowError):
            pass
    elif isinstance(value, wanted):
        return value
    elif wanted is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    flag = "--" + each.name.replace("_", "-")
    expected = {str: "text", bool: "true or false"}.get(wanted, "a number")
    raise UserError(f"{flag} is {reprlib.repr(value)}; give {expected}")
