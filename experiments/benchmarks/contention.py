"""Time a round of trials alone and beside busy processes, against a fair share of the cores.

Two every-block trials run side by side, as `autoplace pick` runs them; then again while other
processes keep the cores busy. With as many busy processes as cores, a fair share is half of the
machine, so the round should take twice as long as alone. `ratio` is the time that it took over
that.

    python experiments/benchmarks/contention.py --json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it

from machine import describe_machine
from measuring import seconds

from autoplace.agent import open_task, parameter_budget
from autoplace.execution import InProcessExecutor, count_cores
from autoplace.placement.generators import every_block
from autoplace.settings import PickSettings
from autoplace.training import Deadline, Trial

BUSY = "while True: pass"


@contextmanager
def busy(count: int) -> Any:
    """Keep so many processes busy."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the benchmark's document."""
    where = describe_machine()
    settings = PickSettings(epochs=options.epochs)
    task = open_task(options.data, settings, settings)
    chain = task.chain
    placement = parameter_budget(settings, chain.shape).fit(every_block(chain.n_nodes))
    trials = [Trial(placement, seed) for seed in range(options.side_by_side)]

    def run() -> None:
        executor = InProcessExecutor(task, settings, Deadline(), side_by_side=options.side_by_side)
        list(executor.run(trials))

    run()  # fills the cache
    alone = [seconds(run) for _ in range(options.repeats)]
    with busy(options.busy):
        beside = [seconds(run) for _ in range(options.repeats)]
    cores = count_cores()
    share = min(1.0, cores / (options.busy + options.side_by_side)) * options.side_by_side
    fair = min(alone) * min(options.side_by_side, cores) / share
    return {
        "ratio": round(sorted(beside)[len(beside) // 2] / fair, 3),
        "alone_seconds": [round(value, 3) for value in alone],
        "beside_seconds": [round(value, 3) for value in beside],
        "fair_seconds": round(fair, 3),
        "busy": options.busy,
        "side_by_side": options.side_by_side,
        "epochs": options.epochs,
        "data": options.data,
        **where,
    }


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="builtin:shapes-count")
    parser.add_argument("--busy", type=int, default=2, help="processes that keep a core busy")
    parser.add_argument("--side-by-side", type=int, default=2, help="1: one trial on all cores")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    report = measure(options)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print(
            f"{report['side_by_side']} trials beside {report['busy']} busy processes took "
            f"{report['ratio']:.2f} times what a fair share of the cores would take"
        )


if __name__ == "__main__":
    main()
