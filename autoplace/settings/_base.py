"""What a group of options is: dataclass fields with help, which are checked on creation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from autoplace.errors import UserError


def option(default: Any, help_text: str, **extra: Any) -> Any:
    """Make a dataclass field with its help.

    `choices`, `low` (inclusive), `above` (exclusive) and `high` are checked on creation.
    """
    return field(default=default, metadata={"help": help_text, **extra})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base class of all settings; it checks ranges and choices.

    Raises
    ------
    UserError
        A value is out of range. The message names the option, its value and what is allowed.

    Examples
    --------
    >>> from autoplace.settings import PickSettings
    >>> PickSettings(top_k=3).as_dict()["top_k"]
    3
    >>> PickSettings(top_k=0)
    Traceback (most recent call last):
    autoplace.errors.UserError: --top-k is 0; it must be at least 1
    """

    heading: ClassVar[str] = "Options"  # of the class's own options, in the help

    @classmethod
    def heading_of(cls, name: str) -> str:
        """Return the heading of an option: that of the class which declares it first.

        Examples
        --------
        >>> from autoplace.settings import PickSettings
        >>> PickSettings.heading_of("epochs"), PickSettings.heading_of("top_k")
        ('Training', 'Options')
        """
        for each in reversed(cls.__mro__):  # a subclass may change the default
            if name in vars(each).get("__annotations__", {}):
                return str(vars(each).get("heading", Settings.heading))
        raise AttributeError(f"{cls.__name__} has no option '{name}'")

    def __post_init__(self) -> None:
        for each in fields(self):
            value, rules = getattr(self, each.name), each.metadata
            flag = "--" + each.name.replace("_", "-")
            if value is None:
                continue
            if "choices" in rules and value not in rules["choices"]:
                raise UserError(
                    f"{flag} is '{value}'; choose one of: {', '.join(rules['choices'])}"
                )
            if isinstance(value, float) and math.isinf(value):
                raise UserError(f"{flag} is {value}; it must be a finite number")
            # Not `value < low`: that lets not-a-number through.
            if "low" in rules and not value >= rules["low"]:
                raise UserError(f"{flag} is {value}; it must be at least {rules['low']}")
            if "above" in rules and not value > rules["above"]:
                raise UserError(f"{flag} is {value}; it must be above {rules['above']}")
            if "high" in rules and value > rules["high"]:
                raise UserError(f"{flag} is {value}; it must be at most {rules['high']}")

    def as_dict(self) -> dict[str, Any]:
        """Return names and values, for MLflow parameters and the resolved config."""
        return asdict(self)
