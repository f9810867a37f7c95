"""AdamW over the members of a training loop: rates by group, and the state of a paused trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from autoplace.model import Alone, Population
from autoplace.training._schedule import WARM_UP

# Decay factors of the two moments. With the usual 0.999 for the second, a trial of a few hundred
# steps remembers all squared gradients, the tiny ones too from before the up-projections had grown,
# and LoRA collapses at rates that work with 0.95 (docs/fair-trial.md; for large models Wortsman et
# al. 2023, https://arxiv.org/abs/2304.13013).
BETAS = (0.9, 0.95)
# As the placement log has it: results of two optimisers are not compared.
OPTIMISER = f"adamw beta2={BETAS[1]:g} warm-up={WARM_UP:g}"
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
    return torch.optim.AdamW(groups, betas=BETAS, weight_decay=weight_decay, fused=True)


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
