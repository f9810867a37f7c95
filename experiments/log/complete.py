"""Make the next log on a GPU: every backbone, the long panel, maps, new random placements.

This one command runs the trials of the plan that a store lacks, and makes the next shipped log of
all that are in it then under the optimiser in use. Missing panels are made first. Log, figures,
page and predictor are written at the end. The command can be stopped and started again. It needs
the extras `saliency` and `tasks` and the packages that `autoplace tasks` names.

    python experiments/log/complete.py --store sqlite:///log/mlflow.db
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from panel import FOLDER
from plans import backbones_of

from predictors import shipped_log

HERE = Path(__file__).parent


def steps(store: str, work: Path, out: Path) -> Iterator[list[str]]:
    """Yield the commands, in order; each skips what has already been done."""
    script = [sys.executable]
    for backbone in backbones_of("gpu"):
        if not (FOLDER / f"{backbone}.txt").exists():
            options = ["panel", "--backbones", backbone, "--work", str(work)]
            yield [*script, str(HERE / "make.py"), *options]
    yield [*script, str(HERE / "make.py"), "run", "--plan", "gpu", "--store", store]
    yield [*script, str(HERE / "export.py"), "--store", store, "--out", str(shipped_log())]
    yield [*script, str(HERE / "analysis.py")]
    yield [*script, str(HERE / "page.py")]
    yield [*script, str(HERE / "predictor.py"), "--out", str(out)]


def main() -> None:
    """Run the steps; stop at the first failure."""
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
