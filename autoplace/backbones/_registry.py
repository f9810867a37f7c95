"""The registry of packaged backbones: those whose weights come from a package, not from timm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn


class PackagedBackbone(ABC):
    """A backbone that is not in timm's registry, with its own weights.

    Parameters
    ----------
    name : str
        Name of the backbone.

    Attributes
    ----------
    extra : str or None
        Extra of autoplace that installs the weights; None if autoplace ships them.
    """

    extra: str | None = None

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def is_installed(self) -> bool:
        """Whether the weights can be loaded."""
        return True

    @abstractmethod
    def build(self) -> tuple[nn.Module, dict[str, Any]]:
        """Build the architecture with random weights, and return it with timm's data config."""

    @abstractmethod
    def load(self, model: nn.Module) -> None:
        """Load the packaged weights into a model that `build` returned.

        Raises
        ------
        BackboneError
            If the weights are missing or damaged.
        """


PackagedT = TypeVar("PackagedT", bound=PackagedBackbone)

_PACKAGED: dict[str, PackagedBackbone] = {}


def register_backbone(*names: str) -> Callable[[type[PackagedT]], type[PackagedT]]:
    """Register a packaged backbone under one or several names; a class decorator.

    Raises
    ------
    ValueError
        If a name is taken; raised by the decorator.
    """

    def register(backbone: type[PackagedT]) -> type[PackagedT]:
        for name in names:
            if name in _PACKAGED:
                raise ValueError(f"backbone '{name}' is already registered; choose another name")
            _PACKAGED[name] = backbone(name)
        return backbone

    return register


def find_packaged(name: str) -> PackagedBackbone | None:
    """Return the packaged backbone of that name, or None."""
    return _PACKAGED.get(name)


def list_packaged() -> list[PackagedBackbone]:
    """List the packaged backbones: those that autoplace ships first, then those of extras."""
    return sorted(_PACKAGED.values(), key=lambda backbone: backbone.extra is not None)
