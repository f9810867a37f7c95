"""Score predictors on families they have not seen, and decide which one to use."""

from ._card import predictor_card
from ._gate import GateDecision, gate
from ._scores import evaluate, regret, score_left_out, score_tasks, spearman

__all__ = [
    "GateDecision",
    "evaluate",
    "gate",
    "predictor_card",
    "regret",
    "score_left_out",
    "score_tasks",
    "spearman",
]
