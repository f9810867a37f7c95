"""AdapterSpec: the kind of adapter on an edge, with its options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from autoplace.placement._errors import PlacementError

OptionValue = int | float | str

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_VALUE = re.compile(r"[A-Za-z0-9_.+-]+")


@dataclass(frozen=True, order=True)
class AdapterSpec:
    """The name of an adapter kind with its options; the text form is `bottleneck:r=8`.

    Names and options are not checked here; `autoplace.adapters` knows which ones exist.

    Parameters
    ----------
    kind : str
        Name of the adapter kind.
    options : tuple of (str, int or float or str), default=()
        Names and values of the options; sorted by name.

    Raises
    ------
    PlacementError
        If an option is given twice.

    Examples
    --------
    >>> spec = AdapterSpec.of("bottleneck", r=8)
    >>> str(spec)
    'bottleneck:r=8'
    >>> AdapterSpec.parse("bottleneck:r=8") == spec
    True
    """

    kind: str
    options: tuple[tuple[str, OptionValue], ...] = ()

    def __post_init__(self) -> None:
        names = [name for name, _ in self.options]
        if len(set(names)) != len(names):
            raise PlacementError(f"'{self}' gives an option twice; give each option once")
        object.__setattr__(self, "options", tuple(sorted(self.options)))

    @classmethod
    def of(cls, kind: str, **options: OptionValue) -> Self:
        """Create a spec from keyword arguments, as in `AdapterSpec.of("bottleneck", r=8)`."""
        return cls(kind, tuple(options.items()))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a spec from text such as `bottleneck:r=8`.

        Raises
        ------
        PlacementError
            If the text cannot be read.
        """
        kind, colon, tail = text.strip().partition(":")
        expected = "expected KIND or KIND:OPTION=VALUE,..., for example bottleneck:r=8"
        if not _NAME.fullmatch(kind) or (colon and not tail):
            raise PlacementError(f"'{text}' is not an adapter; {expected}")
        options = []
        for item in tail.split(",") if tail else ():
            name, equals, value = item.partition("=")
            if not _NAME.fullmatch(name) or not equals or not _VALUE.fullmatch(value):
                raise PlacementError(f"'{item}' in '{text}' is not an adapter option; {expected}")
            options.append((name, _value(value)))
        return cls(kind, tuple(options))

    def __str__(self) -> str:
        if not self.options:
            return self.kind
        return self.kind + ":" + ",".join(f"{name}={value}" for name, value in self.options)


def _value(text: str) -> OptionValue:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
