"""Stacks: the parameters of like modules in one tensor each, for batched products."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Parameters (modules, ...) by name and inputs (modules, ...) to outputs (modules, ...).
Formula = Callable[[Mapping[str, Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class Slot:
    """Where a module stands: in which stack, and together with which others it is used.

    Modules of one `stack` have parameters of the same shapes and one formula; those of one `shelf`
    of it are used at the same moment, and lie side by side. `name` tells them apart.
    """

    stack: Hashable
    shelf: int
    name: Hashable


class Stacks(nn.Module):
    """Copies of the parameters of many modules, stacked along a first dimension.

    An optimiser then steps a few tensors instead of those of every module.

    Parameters
    ----------
    modules
        By their slots, which are distinct.
    formulas
        By stack: what its modules compute.
    """

    def __init__(
        self, modules: Mapping[Slot, nn.Module], formulas: Mapping[Hashable, Formula]
    ) -> None:
        super().__init__()
        self._formulas = dict(formulas)
        self._shelves: dict[Hashable, list[list[Slot]]] = {}
        self._names: dict[Hashable, list[str]] = {}
        self._keys = {stack: str(number) for number, stack in enumerate(formulas)}
        self._stacked = nn.ModuleDict()
        for stack, key in self._keys.items():
            by_shelf: defaultdict[int, list[Slot]] = defaultdict(list)
            for slot in modules:
                if slot.stack == stack:
                    by_shelf[slot.shelf].append(slot)
            self._shelves[stack] = [by_shelf[shelf] for shelf in sorted(by_shelf)]
            in_order = [
                dict(modules[slot].named_parameters())
                for shelf in self._shelves[stack]
                for slot in shelf
            ]
            self._names[stack] = list(in_order[0])
            self._stacked[key] = nn.ParameterList(
                torch.stack([each[name].detach() for each in in_order]) for name in in_order[0]
            )

    def parameters_of(self, stack: Hashable) -> list[nn.Parameter]:
        """The stacked tensors of a stack."""
        return list(self._stacked[self._keys[stack]].parameters())

    def state(self, slot: Slot) -> dict[str, Tensor]:
        """A copy of one module's parameters, by name."""
        row = [each for shelf in self._shelves[slot.stack] for each in shelf].index(slot)
        tensors = self.parameters_of(slot.stack)
        return {
            name: tensor[row].detach().clone()
            for name, tensor in zip(self._names[slot.stack], tensors, strict=True)
        }

    def open(self) -> OpenStacks:
        """The stacks for one forward pass."""
        shelves = {}
        for stack, slots in self._shelves.items():
            # Split once: a slice of its own for each shelf would have a gradient as large as the
            # whole stack, for each shelf.
            parts = (t.split([len(each) for each in slots]) for t in self.parameters_of(stack))
            for shelf, *tensors in zip(slots, *parts, strict=True):
                named = dict(zip(self._names[stack], tensors, strict=True))
                shelves[stack, shelf[0].shelf] = _Shelf(shelf, named)
        return OpenStacks(shelves, self._formulas)


class OpenStacks:
    """What the modules of stacks compute in one forward pass."""

    def __init__(
        self, shelves: Mapping[tuple[Hashable, int], _Shelf], formulas: Mapping[Hashable, Formula]
    ) -> None:
        self._shelves = shelves
        self._formulas = formulas

    def apply(self, inputs: Sequence[tuple[Slot, Tensor]]) -> list[Tensor]:
        """The output of every module for its input; together where slot and shape allow."""
        groups: defaultdict[Hashable, list[int]] = defaultdict(list)
        for position, (slot, tensor) in enumerate(inputs):
            groups[slot.stack, slot.shelf, tensor.shape].append(position)
        outputs: dict[int, Tensor] = {}
        for positions in groups.values():
            slots = [inputs[position][0] for position in positions]
            stack, shelf = slots[0].stack, slots[0].shelf
            tensors = torch.stack([inputs[position][1] for position in positions])
            found = self._formulas[stack](self._shelves[stack, shelf].take(slots), tensors)
            outputs |= zip(positions, found.unbind(), strict=True)
        return [outputs[position] for position in range(len(inputs))]


class _Shelf:
    """Modules that lie side by side, and views (modules, ...) of their parameters by name."""

    def __init__(self, slots: Sequence[Slot], parameters: Mapping[str, Tensor]) -> None:
        self._slots = list(slots)
        self._parameters = parameters

    def take(self, slots: Iterable[Slot]) -> Mapping[str, Tensor]:
        """The parameters of some of the modules, in the order asked for."""
        asked = list(slots)
        if asked == self._slots:
            return self._parameters
        rows = [self._slots.index(slot) for slot in asked]
        return {name: tensor[rows] for name, tensor in self._parameters.items()}
