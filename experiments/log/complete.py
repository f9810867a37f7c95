"""Completes the log where a GPU is at hand: every backbone, the long panel, maps, fresh placements.

One command from the shipped log to the next: what it holds is imported and not run again, missing
learning rates and panels are made first, and log, figures, page and predictor are written at the
end. It can be broken off and begun again. Needs the extras `saliency` and `tasks` and the packages
that `autoplace tasks` names.

    python experiments/log/complete.py --store sqlite:///log/mlflow.db
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import make
from panel import FOLDER

from predictors import shipped_log

HERE = Path(__file__).parent
RATES = HERE.parents[1] / "autoplace" / "training" / "learning_rates.json"


def steps(store: str, work: Path, out: Path) -> Iterator[list[str]]:
    """Yield the commands, in order; each skips what is done already."""
    script = [sys.executable]
    yield [*script, "-m", "autoplace", "logs", "import", str(shipped_log()), "--store", store]
    tuned = json.loads(RATES.read_text())["rates"]
    for backbone in dict.fromkeys(b for stage in make.PLANS["gpu"] for b in stage.backbones):
        if backbone not in tuned:
            rates = str(HERE.parent / "learning_rates.py")
            options = ["--backbone", backbone, "--epochs", str(make.EPOCHS), "--work", str(work)]
            yield [*script, rates, *options]
        if not (FOLDER / f"{backbone}.txt").exists():
            options = ["panel", "--backbones", backbone, "--work", str(work)]
            yield [*script, str(HERE / "make.py"), *options]
    yield [*script, str(HERE / "make.py"), "run", "--plan", "gpu", "--store", store]
    yield [*script, str(HERE / "export.py"), "--store", store, "--out", str(shipped_log())]
    yield [*script, str(HERE / "analysis.py")]
    yield [*script, str(HERE / "page.py")]
    yield [*script, str(HERE / "predictor.py"), "--out", str(out)]


def main() -> None:
    """Run the steps; the first that fails ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", default="sqlite:///log/mlflow.db")
    parser.add_argument("--work", type=Path, default=Path("log/tuning"))
    parser.add_argument("--out", type=Path, default=Path("log/predictor"), help="next predictor")
    parser.add_argument("--dry-run", action="store_true", help="only show the commands")
    arguments = parser.parse_args()
    for step in steps(arguments.store, arguments.work, arguments.out):
        print(shlex.join(step), flush=True)
        if not arguments.dry_run:
            subprocess.run(step, check=True)


if __name__ == "__main__":
    main()
