"""Train the shipped predictor on the shipped log, and score it on left-out families.

The family of `make pick`'s data set is left out of the fit, so that `make pick` shows predictions
for a family that the predictor has never seen.

    python experiments/log/predictor.py --out predictors/shipped/v3
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import predictors
from autoplace.agent import training_set

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from machine import describe_machine

KEPT_OUT = "shapes"
RESULT = Path(__file__).parent / "predictor.json"
NOTES = """
Trained by `experiments/log/predictor.py` on the shipped placement log, without the family
`{kept_out}`, to which the data of `make pick` belong. One recipe and one seed; nothing was tuned on
these scores. The backbones are small and were trained by this project, and the images have 32
pixels. Whether an order learnt here holds for a large backbone has not been tried.
"""


def main() -> None:
    """Fit, score, and write the artefact and the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.monotonic()
    log = predictors.read_log(predictors.shipped_log())
    done = log.trials[(log.trials["status"] == "done")].reset_index(drop=True)
    everything = training_set(done, log.probes.__getitem__).fair()
    scores = predictors.gate(None, everything).scores
    data = everything.select(everything.families != KEPT_OUT)
    predictor = predictors.create_predictor("lightgbm").fit(data.X, data.y, data.groups)
    card = predictors.predictor_card(data, scores) + NOTES.format(kept_out=KEPT_OUT)
    predictors.save_predictor(predictor, arguments.out, card, data)
    report = {
        "rows": len(everything),
        "tasks": len(set(everything.groups)),
        "families": len(set(everything.families)),
        "fitted_on": len(data),
        "left_out_families": scores.round(4).reset_index().to_dict(orient="records"),
        "seconds": round(time.monotonic() - started, 1),
        **describe_machine(),
    }
    RESULT.write_text(json.dumps(report, indent=1) + "\n")
    print(card)


if __name__ == "__main__":
    main()
