"""How well predictors do on families they have not seen, and which is to be used."""

from ._card import predictor_card
from ._scores import evaluate, regret, score_left_out, score_tasks, spearman

__all__ = [
    "evaluate",
    "predictor_card",
    "regret",
    "score_left_out",
    "score_tasks",
    "spearman",
]
