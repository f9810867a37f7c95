"""The replay of the choice: the rule in use chooses as `pick` does."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))

import margins

from autoplace.agent.steps._choose import choose
from predictors.vocabulary import Role

PLACES = {
    "head-only": Role.HEAD_ONLY, "0>1+1>2+2>3": Role.EVERY_BLOCK, "0>1@lora": Role.LORA,
    "1>2": Role.CANDIDATE, "2>5": Role.CANDIDATE,
}  # fmt: skip


@given(st.integers(0, 2**32 - 1))
def test_the_rule_in_use_chooses_as_pick_does(seed):
    rng = np.random.default_rng(seed)
    folds = np.array([range(4), range(4, 8)])
    contenders = [
        margins.contender(
            {"placement": text, "role": role, "chosen_by": "", "prior": rng.normal()},
            np.stack([rng.normal(0.6, 0.1, (2, 8)), rng.integers(30, 45, (2, 8)) / 50], axis=-1),
            folds,
        )
        for text, role in PLACES.items()
    ]
    assert margins.IN_USE.choose(contenders) is choose(contenders, margins.METRIC)
