"""Alone: one model behind the interface of a population."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence

from torch import Tensor, nn

from autoplace.adapters import Adapter, BatchPart
from autoplace.model._adapted import AdaptedModel
from autoplace.model._trainable import Trainable


class Alone(nn.Module):
    """A model that is trained on its own, as a population of one member.

    On a CPU, placements are trained in threads of their own, where a stacked copy would gain
    nothing. Any model can be trained so, also one that is not a placement.

    Parameters
    ----------
    model : Trainable
        Trained in place.
    cohort : hashable
        Its group, for example its learning rate.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.model import AdaptedModel
    >>> from autoplace.placement import Placement
    >>> model = AdaptedModel(create_chain("starter"), Placement.parse("20>22"), ("cat", "dog"))
    >>> alone = Alone(model, cohort=0.01)
    >>> alone.frozen_nodes
    [(20, 22)]
    >>> frozen = {node: torch.randn(4, 17, 96) for node in (20, 22)}
    >>> torch.equal(alone([frozen], members=[0])[0], model.forward_suffix(frozen))
    True
    """

    def __init__(self, model: Trainable, cohort: Hashable) -> None:
        super().__init__()
        self._model = model
        self._cohort = cohort

    @property
    def frozen_nodes(self) -> list[tuple[int, ...]]:
        """The nodes whose frozen activations the member needs."""
        return [self._model.frozen_nodes]

    def parameters_by_group(self) -> dict[tuple[Hashable, str | None], list[nn.Parameter]]:
        """Return the trainable tensors of each adapter kind; None stands for all others.

        Instead of the cohort, tensors that have a rate of their own have that rate.
        """
        model = self._model
        kinds: dict[nn.Parameter, str] = {}
        for part in model.modules():  # a procedure may have put a model around the adapted one
            if isinstance(part, AdaptedModel):
                for edge, spec in part.placement:
                    kinds |= dict.fromkeys(part.adapter(edge).parameters(), spec.kind)
        groups: defaultdict[tuple[Hashable, str | None], list[nn.Parameter]] = defaultdict(list)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                own = model.own_rates.get(name)
                group = (self._cohort, kinds.get(parameter)) if own is None else (own, None)
                groups[group].append(parameter)
        return dict(groups)

    def start_step(self, step: int, parts: Mapping[int, BatchPart] | None = None) -> None:
        """Start a training step, or a part of the batch; see `Adapter.start_step`."""
        for module in self._model.modules():
            if isinstance(module, Adapter):
                module.start_step(step, (parts or {}).get(0))

    def forward(
        self, frozen: Sequence[Mapping[int, Tensor]], members: Sequence[int]
    ) -> list[Tensor]:
        """Compute the logits (batch, classes) of the only member."""
        return [self._model.forward_suffix(frozen[0])]

    def trainable_state(
        self, member: int, of: Callable[[Tensor], Tensor] = lambda parameter: parameter
    ) -> dict[str, Tensor]:
        """Return copies of the member's tensors, or of what `of` finds for each of them."""
        return {
            name: of(parameter).detach().clone()
            for name, parameter in self._model.named_parameters()
            if parameter.requires_grad
        }
