"""Make the placement log: run placements on tasks with backbones and seeds.

    python experiments/log/make.py run --store sqlite:///log/mlflow.db

This command collects the log on a CPU. It can be stopped and started again at any time, because it
skips what is in the store. It goes round all tasks and backbones three times, with a third of the
panel, of the placements of every adapter kind and of the fresh candidates each time, so that a log
that is stopped early is balanced; repeats with other seeds come last. Learning rates are found on
the task, per kind (protocol `found-rate`), and then kept. Trials of other protocols or optimisers
in the store do not count. Outcomes are measured on the measurement split as well, where the task
has one.

--backbones, --tasks, --stages, --kinds and --rounds select a part of a plan. With `--share 3/16`
the command takes the third of sixteen equal shares of tasks and backbones: sixteen processes, each
with a share and a store of its own, use a GPU or many cores. `panel` writes a panel from the probes
of the tuning sets. `export.py` writes the shipped log from one store or several; `complete.py`
continues the log with the plan for a GPU.

    python experiments/log/make.py panel --backbones starter fashion-vit8 --work tuning
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatch
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path

import pandas as pd
import torch
from candidates import FRESH, fresh
from panel import BUDGET_EDGES, write_panel
from plans import PLANS, Round, Stage, backbones_of, interleaved

from autoplace.agent import Progress, collect_task, open_task, probe_task
from autoplace.agent.steps._rates import kinds_of
from autoplace.agent.steps._space import search_space
from autoplace.backbones import ResidualChain, create_chain
from autoplace.settings import CollectSettings
from autoplace.tracking import Store, read_rows
from autoplace.training import OPTIMISER, Task, Trial
from predictors import log_table
from predictors.vocabulary import HEAD_ONLY, Protocol, Status

EPOCHS = 5


@dataclass
class Visit:
    """One part of some stages on a task with a backbone."""

    round: Round
    stages: tuple[Stage, ...]
    chain: ResidualChain
    task: str
    store: Store
    parallel_placements: str
    kinds: tuple[str, ...] = ()

    @cached_property
    def settings(self) -> CollectSettings:
        """How to probe and to train."""
        return CollectSettings(
            backbone=self.chain.name,
            epochs=EPOCHS,
            edges=BUDGET_EDGES,
            parallel_placements=self.parallel_placements,
            precision="float32",  # on every device
        )

    def open(self) -> Task:
        """Open the task, with its measurement split."""
        settings = self.settings
        return open_task(f"builtin:{self.task}", settings, settings, chain=self.chain, measure=True)

    @cached_property
    def fixed(self) -> list[Trial]:
        """Trials of this visit that do not depend on the probe; each once."""
        found = [
            trial
            for stage in self.stages
            for trial in self.round.share(stage.trials(self.chain))
            if stage.sort != "kinds" or not self.kinds or set(kinds_of(trial)) <= set(self.kinds)
        ]
        return list({(str(t.placement), t.seed): t for t in reversed(found)}.values())[::-1]

    def ended(self, log: pd.DataFrame, fingerprint: str) -> pd.DataFrame:
        """Return the log's finished and failed trials that count for this visit."""
        log = log[(log["task"] == fingerprint) & (log["protocol"] == Protocol.FOUND_RATE)]
        log = log[(log["optimiser"] == OPTIMISER) & (log["epochs"] == EPOCHS)]
        return log[log["status"].isin([Status.DONE, Status.FAILED])]

    def missing(self, log: pd.DataFrame, fingerprint: str) -> tuple[list[Trial], int]:
        """Return the trials that `log` lacks, and the number of fresh ones that it lacks."""
        ended = self.ended(log, fingerprint)
        done = set(zip(ended["placement"], ended["seed"].astype(int), strict=True))
        fixed = [t for t in self.fixed if (str(t.placement), t.seed) not in done]
        drawn = ended["chosen_by"].fillna("").str.startswith(FRESH)
        wanted = sum(self.round.until(stage.fresh) for stage in self.stages)
        return fixed, max(0, wanted - len(set(ended.loc[drawn, "placement"])))

    def run(self, log: pd.DataFrame) -> Iterator[str]:
        """Run what the log lacks; yield the status of each trial."""
        task = self.open()
        trials, n_fresh = self.missing(log, task.fingerprint)
        ended = self.ended(log, task.fingerprint)
        probe = probe_task(task, self.settings)
        if n_fresh:
            space = search_space(self.chain, self.settings)
            known = {*ended["placement"], *(str(trial.placement) for trial in self.fixed)}
            drawn = fresh(probe.tables, space, zlib.crc32(self.task.encode()))
            trials += islice((t for t in drawn if str(t.placement) not in known), n_fresh)
        rows = collect_task(
            task, trials, self.settings, self.store, Progress(), probe=probe, rates=rates_in(ended)
        )
        for row in rows:
            yield str(row["status"])


def rates_in(ended: pd.DataFrame) -> dict[str, float]:
    """Return the learning rates, by kind, that a task's trials had.

    Trials that ran again at half the rate, because their loss had become infinite, do not count.
    """
    halved = ended["remedy"].fillna("").str.contains("times the learning rate")
    done = ended[(ended["status"] == Status.DONE) & ~halved]
    kinds = done["adapter_kind"].fillna(HEAD_ONLY)
    rates = dict(zip(kinds, done["learning_rate"], strict=True))
    return {str(kind): float(rate) for kind, rate in rates.items() if "+" not in str(kind)}


def visits(arguments: argparse.Namespace, store: Store) -> list[Visit]:
    """List what a plan does, in order: round by round, and in each one task after the other."""
    backbones = arguments.backbones or backbones_of(arguments.plan)
    tasks = [task for task in interleaved() if fnmatch(task, arguments.tasks)]
    mine = share([(backbone, task) for backbone in backbones for task in tasks], arguments.share)
    chains = {name: create_chain(name) for name in backbones}
    found = []
    for each in PLANS[arguments.plan][: arguments.rounds]:
        for task in tasks:
            for backbone, chain in chains.items():
                stages = tuple(
                    stage
                    for stage in each.stages
                    if stage.is_for(backbone, task)
                    and (not arguments.stages or stage.name in arguments.stages)
                )
                if stages and (backbone, task) in mine:
                    parallel = arguments.parallel_placements
                    kinds = tuple(arguments.kinds or ())
                    found.append(Visit(each, stages, chain, task, store, parallel, kinds))
    return found


def share(pairs: list[tuple[str, str]], text: str) -> set[tuple[str, str]]:
    """Return the pairs of backbone and task that a share, such as "3/16", consists of.

    Backbones are dealt one after the other, back and forth, so that nobody gets the dearest twice.
    """
    number, count = map(int, text.split("/"))
    turns = [*range(1, count + 1), *range(count, 0, -1)]
    return {pair for pair, turn in zip(pairs, cycle(turns), strict=False) if turn == number}


def run(arguments: argparse.Namespace) -> None:
    """Run the trials of a plan that the store lacks, and say how long the rest will take."""
    store = Store(arguments.store)
    planned = visits(arguments, store)
    log = log_table(read_rows(store))
    fingerprints: dict[tuple[str, str], str] = {}
    left, drawn = [], Counter[tuple[str, str]]()
    for visit in planned:
        key = visit.chain.name, visit.task
        if key not in fingerprints:
            fingerprints[key] = visit.open().fingerprint
        fixed, n_fresh = visit.missing(log, fingerprints[key])
        more = max(0, n_fresh - drawn[key])  # earlier rounds draw the others
        drawn[key] += more
        left.append(len(fixed) + more)
    print(f"{sum(left)} trials to run, without head-only", flush=True)
    started, total = time.monotonic(), sum(left)
    for number, visit in enumerate(planned):
        if not left[number]:
            continue
        counts: dict[str, int] = {}
        for status in visit.run(log_table(read_rows(store))):
            counts[status] = counts.get(status, 0) + 1
        rest = sum(left[number + 1 :])
        elapsed = time.monotonic() - started
        # Most searches for rates are in the first round, so early estimates are too high.
        expected = timedelta(seconds=round(elapsed * rest / (total - rest)))
        print(visit.chain.name, visit.task, counts, f"{rest} trials left, {expected}", flush=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=["panel", "run"])
    parser.add_argument("--backbones", nargs="+", help="default: all of the plan")
    parser.add_argument("--plan", choices=list(PLANS), default="cpu")
    parser.add_argument("--stages", nargs="+", help="default: all of the plan")
    parser.add_argument("--kinds", nargs="+", help="of the stage kinds; default: all")
    parser.add_argument("--rounds", type=int, help="only the first of the plan; default: all")
    parser.add_argument("--tasks", default="*", help="wildcard pattern of task names")
    parser.add_argument("--share", default="1/1", help="which of how many shares, such as 3/16")
    parser.add_argument("--store", default="sqlite:///log/mlflow.db")
    parser.add_argument("--parallel-placements", default="auto")
    parser.add_argument("--threads", type=int, help="of each process; default: torch's")
    parser.add_argument("--work", type=Path, help="folder for the tuning sets")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.step == "panel":
        for backbone in arguments.backbones or backbones_of("gpu"):
            write_panel(backbone, arguments.work)
    else:
        run(arguments)


if __name__ == "__main__":
    main()
