"""AdamW over the members of a training loop: rates by group, and the state of a paused trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from autoplace.model import Alone, Population

MOMENTS = ("exp_avg", "exp_avg_sq")


def create_adamw(
    members: Alone | Population, weight_decay: float, rate_factor: float
) -> torch.optim.AdamW:
    """Create the optimiser; each group has its peak rate as `peak`.

    Parameters
    ----------
    members : Alone or Population
        Their cohorts are pairs of a learning rate and the rates of the kinds that have another.
    weight_decay : float
        Of all parameters.
    rate_factor : float
        Of all rates.
    """
    groups: list[dict[str, Any]] = [
        {"params": parameters, "lr": rate, "peak": rate}
        for (cohort, kind), parameters in members.parameters_by_group().items()
        for rate in [_rate(cohort, kind) * rate_factor]
    ]
    return torch.optim.AdamW(groups, weight_decay=weight_decay, fused=True)


def read_moments(
    optimiser: torch.optim.AdamW, members: Alone | Population, member: int, name: str
) -> dict[str, Tensor]:
    """Return a moment of a member's parameters, by their names."""
    return members.trainable_state(member, lambda parameter: optimiser.state[parameter][name])


def set_moments(
    optimiser: torch.optim.AdamW, parameter: nn.Parameter, steps: int, moments: Mapping[str, Tensor]
) -> None:
    """Give a parameter the moments after some steps."""
    step = torch.tensor(float(steps), device=parameter.device)
    optimiser.state[parameter] = {"step": step, **moments}


def _rate(cohort: Any, kind: str | None) -> float:
    """Peak learning rate of an adapter kind in a trial; of the head, for None."""
    if isinstance(cohort, float):  # a tensor with a rate of its own
        return cohort
    learning_rate, rates = cohort
    return float(dict(rates).get(kind, learning_rate))
