"""Trials and outcomes as JSON values, and the key that a trial is known by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from autoplace.placement import Placement
from autoplace.training import Cause, Epoch, Images, Outcome, Remedy, Scores, Trial
from predictors.vocabulary import Role, Status


def trial_to_dict(trial: Trial) -> dict[str, Any]:
    """Write a trial as JSON values.

    Examples
    --------
    >>> trial_to_dict(Trial(Placement.parse("7>3"), seed=1))["placement"]
    '7>3@bottleneck:r=8'
    """
    return {
        "placement": str(trial.placement),
        "seed": trial.seed,
        "role": str(trial.role),
        "chosen_by": str(trial.chosen_by),
        "propensity": trial.propensity,
        "learning_rate": trial.learning_rate,
        "rates": [list(pair) for pair in trial.rates],
        "epochs": trial.epochs,
        "images": asdict(trial.images),
    }


def trial_from_dict(content: Mapping[str, Any]) -> Trial:
    """Read a trial of a placement.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is not the form of one.

    Examples
    --------
    >>> trial = Trial(Placement.parse("7>3"), seed=1)
    >>> trial_from_dict(trial_to_dict(trial)) == trial
    True
    """
    named = dict(content)
    return Trial(
        Placement.parse(named.pop("placement")),
        role=Role(named.pop("role")),
        rates=tuple((str(kind), float(rate)) for kind, rate in named.pop("rates")),
        images=Images(**named.pop("images")),
        **named,
    )


def trial_key(trial: Trial) -> str:
    """Name of a trial, made from its fields: equal trials have equal keys, also in other processes.

    Examples
    --------
    >>> trial_key(Trial(Placement.parse("7>3"), seed=1))
    'ce170ca1abd9fcff'
    """
    text = json.dumps(trial_to_dict(trial), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def outcome_to_dict(outcome: Outcome) -> dict[str, Any]:
    """Write an outcome as JSON values, without its tensors and without scores on test."""
    return {
        "trial": trial_to_dict(outcome.trial),
        "parameters": outcome.parameters,
        "status": str(outcome.status),
        "reason": outcome.reason,
        "cause": None if outcome.cause is None else str(outcome.cause),
        "remedy": None if outcome.remedy is None else asdict(outcome.remedy),
        "epochs": [
            {
                "number": epoch.number,
                "train_loss": epoch.train_loss,
                "val": None if epoch.val is None else asdict(epoch.val),
            }
            for epoch in outcome.epochs
        ],
        "step_losses": outcome.step_losses,
        "seconds": outcome.seconds,
    }


def outcome_from_dict(content: Mapping[str, Any], trial: Trial) -> Outcome:
    """Read what `outcome_to_dict` wrote of a trial.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is not the form of an outcome, or that of another trial.
    """
    if content["trial"] != trial_to_dict(trial):
        raise ValueError(f"it is not of the trial {trial}")
    epochs = [
        Epoch(
            trial,
            int(each["number"]),
            float(each["train_loss"]),
            None if each["val"] is None else Scores(**each["val"]),
        )
        for each in content["epochs"]
    ]
    return Outcome(
        trial,
        int(content["parameters"]),
        Status(content["status"]),
        content["reason"],
        None if content["cause"] is None else Cause(content["cause"]),
        None if content["remedy"] is None else Remedy(**content["remedy"]),
        epochs=epochs,
        step_losses=[float(loss) for loss in content["step_losses"]],
        seconds=float(content["seconds"]),
    )
