"""AdapterSpec: which kind of adapter sits on an edge, and with which options."""

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
    """An adapter kind by name, with its options; the text form is `bottleneck:r=8`.

    The placement room knows no adapter kinds: `autoplace.adapters` says which names and options
    exist.
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
        """`AdapterSpec.of("bottleneck", r=8)`."""
        return cls(kind, tuple(options.items()))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"bottleneck:r=8"`. Raises PlacementError naming the text and what was expected."""
        kind, colon, tail = text.strip().partition(":")
        expected = "expected KIND or KIND:OPTION=VALUE,..., for example bottleneck:r=8"
        if not _NAME.fullmatch(kind) or (colon and not tail):
            raise PlacementError(f"'{text}' is no adapter; {expected}")
        options = []
        for item in tail.split(",") if tail else ():
            name, equals, value = item.partition("=")
            if not _NAME.fullmatch(name) or not equals or not _VALUE.fullmatch(value):
                raise PlacementError(f"'{item}' in '{text}' is no adapter option; {expected}")
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
