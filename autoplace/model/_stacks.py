"""Stacks: the parameters of similar modules stacked in one tensor each, for batched products."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Maps parameters (modules, ...) by name and one or more inputs (modules, ...) to outputs.
Formula = Callable[..., Tensor]


@dataclass(frozen=True)
class Slot:
    """The position of a module in the stacks.

    Attributes
    ----------
    stack : hashable
        The parameters of the modules of one stack have the same shapes.
    shelf : int
        Modules of one shelf of a stack are used at the same time and are stored side by side.
    name : hashable
        Identifies the module.
    """

    stack: Hashable
    shelf: int
    name: Hashable


class Stacks(nn.Module):
    """Copies of the parameters of many modules, stacked along a new first dimension.

    An optimiser then updates a few tensors instead of several for each module. A parameter that
    several modules of a stack have in common has one row, which they all use.

    Parameters
    ----------
    modules : mapping of Slot to Module
        Modules by their slots.
    """

    def __init__(self, modules: Mapping[Slot, nn.Module]) -> None:
        super().__init__()
        self._shelves: dict[Hashable, list[list[Slot]]] = {}
        # By stack and name: for each module, the row of its parameter.
        self._rows: dict[Hashable, dict[str, list[int]]] = {}
        stacks = dict.fromkeys(slot.stack for slot in modules)
        self._keys = {stack: str(number) for number, stack in enumerate(stacks)}
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
            self._rows[stack], tensors = {}, []
            for name in in_order[0]:
                parameters = [named[name] for named in in_order]
                distinct = list({id(each): each for each in parameters}.values())
                row_of = {id(each): row for row, each in enumerate(distinct)}
                self._rows[stack][name] = [row_of[id(each)] for each in parameters]
                tensors.append(torch.stack([each.detach() for each in distinct]))
            self._stacked[key] = nn.ParameterList(tensors)

    def parameters_of(self, stack: Hashable) -> list[nn.Parameter]:
        """Return the stacked tensors of a stack."""
        return list(self._stacked[self._keys[stack]].parameters())

    def state(self, slot: Slot, of: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Return copies of one module's part of what `of` finds for the parameters, by name."""
        index = [other for shelf in self._shelves[slot.stack] for other in shelf].index(slot)
        rows, tensors = self._rows[slot.stack], self.parameters_of(slot.stack)
        return {
            name: of(tensor)[rows[name][index]].detach().clone()
            for name, tensor in zip(rows, tensors, strict=True)
        }

    def open(self) -> OpenStacks:
        """Split the stacks into shelves, for one forward pass."""
        shelves = {}
        for stack, slots in self._shelves.items():
            # One split: if each shelf were sliced on its own, the gradient of each slice would be
            # as large as the whole stack.
            sizes = [len(shelf) for shelf in slots]
            # Indexing adds up the gradients of the modules that have a row in common.
            whole = (
                tensor[rows] if len(tensor) < len(rows) else tensor
                for rows, tensor in zip(
                    self._rows[stack].values(), self.parameters_of(stack), strict=True
                )
            )
            parts = (torch.split(tensor, sizes) for tensor in whole)
            for shelf, *own in zip(slots, *parts, strict=True):
                named = dict(zip(self._rows[stack], own, strict=True))
                shelves[stack, shelf[0].shelf] = _Shelf(shelf, named)
        return OpenStacks(shelves)


class OpenStacks:
    """Stacks in one forward pass."""

    def __init__(self, shelves: Mapping[tuple[Hashable, int], _Shelf]) -> None:
        self._shelves = shelves

    def apply(
        self,
        inputs: Sequence[tuple[Slot, tuple[Tensor, ...]]],
        formula_of: Callable[[Hashable], Formula],
    ) -> list[Tensor]:
        """Compute the output of every module; those of one shelf run together if shapes allow.

        Parameters
        ----------
        inputs : sequence of (Slot, tuple of Tensor)
            Modules with the arguments of their formula.
        formula_of : callable
            Maps a stack to what its modules compute.
        """
        groups: defaultdict[Hashable, list[int]] = defaultdict(list)
        for position, (slot, tensors) in enumerate(inputs):
            shapes = tuple(tensor.shape for tensor in tensors)
            groups[slot.stack, slot.shelf, shapes].append(position)
        outputs: dict[int, Tensor] = {}
        for positions in groups.values():
            slots = [inputs[position][0] for position in positions]
            stack, shelf = slots[0].stack, slots[0].shelf
            arguments = zip(*(inputs[position][1] for position in positions), strict=True)
            stacked = [torch.stack(argument) for argument in arguments]
            parameters = self._shelves[stack, shelf].take(slots)
            computed = formula_of(stack)(parameters, *stacked)
            outputs |= zip(positions, computed.unbind(), strict=True)
        return [outputs[position] for position in range(len(inputs))]


class _Shelf:
    """Modules stored side by side, with views (modules, ...) of their parameters by name."""

    def __init__(self, slots: Sequence[Slot], parameters: Mapping[str, Tensor]) -> None:
        self._slots = list(slots)
        self._parameters = parameters

    def take(self, slots: Iterable[Slot]) -> Mapping[str, Tensor]:
        """Return the parameters of some of the modules, in their order."""
        wanted = list(slots)
        if wanted == self._slots:
            return self._parameters
        rows = [self._slots.index(slot) for slot in wanted]
        return {name: tensor[rows] for name, tensor in self._parameters.items()}
