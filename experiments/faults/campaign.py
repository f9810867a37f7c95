"""End picks by faults at random moments, resume them, and compare with an undisturbed pick.

The pick is a small one, of drawn images on a shipped backbone. Each try starts it, waits for a
moment that is drawn from the whole time that the undisturbed pick took, injects the fault, and
resumes the run until it is done. A moment is counted from the last line of progress before it, so
that it is in the same phase however busy the machine is. Tries that are in the results file are not
repeated, so the campaign can be stopped and started again; each fault has its turn.

    python experiments/faults/campaign.py --tries 20
    python experiments/faults/campaign.py --page
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from essence import assert_whole, ended_trials, result_of, trials_of, winner_of
from forked import Command, Parent
from injection import FAULTS, STATUS, mount_small_disk, unmount
from PIL import Image
from reliability_page import write_page

from autoplace.tracking import Store, start_run

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))

from machine import describe_machine  # noqa: E402

ROOT = HERE.parents[1]
RESULTS = HERE.parent / "results" / "faults.jsonl"
PICK = ("--backbone", "fashion-vit8", "--epochs", "2", "--batch-size", "8", "--probe-images", "8",
        "--field-size", "3", "--seeds", "1", "--adapter", "bottleneck", "--edges", "2")  # fmt: skip
MOST = 5  # resumes of a try
LOOK = 0.01  # seconds between two looks at what a process says


def make_images(folder: Path, per_class: int = 16) -> None:
    """Draw two classes of noise, one of them darker: easy, so that few rates are tried."""
    rng = np.random.default_rng(0)
    for label, low, high in (("dark", 0, 150), ("light", 100, 255)):
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = rng.integers(low, high, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")


class Bench:
    """The images, a store without runs, and what an undisturbed pick amounts to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_images(folder / "images")
        template = Store(f"sqlite:///{folder}/template/mlflow.db")
        start_run(template, "template", "run").finish()
        assert template.sqlite_path is not None
        self._template = template.sqlite_path
        # Who resumes is not who was interrupted: what differs between processes differs here too.
        self._first, self._second = (Parent(_environment()) for _ in range(2))
        with self.store("undisturbed") as store:
            process = self.start(self._first, store)
            began = time.monotonic()
            self.times: list[float] = []  # at which the undisturbed pick said its lines
            while process.poll() is None and not process.out:
                new = len(process.said) - len(self.times)
                self.times += [time.monotonic() - began] * new
                time.sleep(LOOK)
            self.seconds = time.monotonic() - began
            if process.wait():
                raise RuntimeError("\n".join(["the undisturbed pick failed:", *process.said]))
            self.essence = self._essence(store, json.loads(process.out)["run_id"], process.out)

    def close(self) -> None:
        """End the processes."""
        self._first.close()
        self._second.close()

    @contextmanager
    def store(self, name: str, *, small: bool = False) -> Iterator[Store]:
        """Yield a new store, on a small disk if asked for; it is removed afterwards."""
        folder = self.folder / name
        folder.mkdir()
        if small and not mount_small_disk(folder):
            raise PermissionError("mounts are not allowed here")
        try:
            shutil.copy(self._template, folder)
            yield Store(f"sqlite:///{folder}/mlflow.db")
        finally:
            if small:
                unmount(folder)
            shutil.rmtree(folder)

    def start(self, parent: Parent, store: Store, run: str | None = None) -> Command:
        """Start the pick, or resume it."""
        command = ["pick", str(self.folder / "images"), *PICK] if run is None else ["resume", run]
        outputs = [Path(tempfile.mkstemp(dir=self.folder)[1]) for _ in range(2)]
        return parent.start([*command, "--store", store.uri, "--json"], self.folder, *outputs)

    def attempt(self, fault: str, number: int, seed: int) -> dict[str, Any]:
        """Inject a fault at a random moment, resume, compare; the record of the try."""
        rng = random.Random(f"{seed} {fault} {number}")
        moment = rng.uniform(0, self.seconds)
        line = sum(each <= moment for each in self.times)
        wait = moment - (self.times[line - 1] if line else 0)
        began = time.monotonic()
        name = f"{fault.replace(' ', '-')}-{number}"
        with self.store(name, small=fault == "full disk") as store:
            process = self.start(self._first, store)
            said = _after(process, line)
            time.sleep(wait)
            ended_before = process.poll() is not None
            how = FAULTS[fault](process, store.folder, rng)
            folder = _run_folder(store)
            run = folder.name if folder else None
            held = ended_trials(folder) if folder else {}
            status = None if run is None else store.client.get_run(run).info.status
            code, last, resumes = process.returncode, process, 0
            while not ended_before and resumes < MOST:
                resumes += 1
                last = self.start(self._second, store, run)
                last.wait(timeout=600)
                folder = _run_folder(store)
                run = folder.name if folder else None
                if last.returncode == 0 or "is finished" in "".join(last.said):
                    break
            after = ended_trials(folder) if folder else {}
            return {
                "fault": fault,
                "try": number,
                "seed": seed,
                "second": round(moment, 2),
                "moment": f"{said}, and {wait:.2f} s",
                "how": how,
                "exit_code": code,
                "status": status,
                "too_late": ended_before or code == 0 or status == "FINISHED",
                "finished_before": len(held),
                "lost": sum(after.get(key) != value for key, value in held.items()),
                "resumes": resumes,
                "right_status": status in (None, "FINISHED", STATUS.get(fault, status)),
                "equal": self._is_equal(store, run, last),
                "last_words": "" if last.returncode == 0 else " ".join(last.said[-2:])[:300],
                "seconds": round(time.monotonic() - began, 1),
            }

    def _essence(self, store: Store, run: str, out: str) -> tuple[Any, ...]:
        """Return the result as printed, if it was, the winner's files and the trials."""
        folder = store.run_folder(run)
        assert_whole(store, run)
        trials = trials_of(folder)
        experiment = store.client.get_run(run).info.experiment_id
        assert len(store.client.search_runs([experiment], max_results=1000)) == trials.total() + 1
        return result_of(json.loads(out)) if out else None, winner_of(folder), trials

    def _is_equal(self, store: Store, run: str | None, last: Command) -> bool:
        """Compare what there is in the end; a run that was finished before prints no result."""
        with suppress(AssertionError):
            if run is not None and last.returncode == 0:
                return self._essence(store, run, last.out) == self.essence
            if run is not None:
                return self._essence(store, run, "")[1:] == self.essence[1:]
        return False


def _environment() -> dict[str, str]:
    """Return the environment of a process, without options of autoplace."""
    ours = ("AUTOPLACE_", "MLFLOW_TRACKING", "MLFLOW_EXPERIMENT", "COLUMNS")
    kept = {name: v for name, v in os.environ.items() if not name.startswith(ours)}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def _run_folder(store: Store) -> Path | None:
    """Return the folder of the only run, if there is one."""
    folders = list(store.folder.glob("runs/*"))
    assert len(folders) < 2, folders
    return folders[0] if folders else None


def _after(process: Command, lines: int) -> str:
    """Wait until a process has said so many lines; the last of them."""
    while len(process.said) < lines and process.poll() is None:
        time.sleep(LOOK)
    return process.said[lines - 1][11:90] if 0 < lines <= len(process.said) else "the start"


def read_results() -> list[dict[str, Any]]:
    """Return the campaign and the tries that are recorded.

    Raises SystemExit if they are of another pick.
    """
    if not RESULTS.exists():
        return []
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    if rows and rows[0].get("pick") != list(PICK):
        raise SystemExit(f"{RESULTS} has tries of another pick; move it away")
    return rows


def record(row: dict[str, Any]) -> None:
    """Append a row to the results."""
    with RESULTS.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


def next_try(faults: list[str], tries: int) -> tuple[str, int] | None:
    """Return the fault that has been tried least, and the number of the try; None if all are done.

    A try that came after the end of the pick does not count, and another takes its place. One whose
    row was removed is repeated.
    """
    rows = read_results()[1:]
    counts = {
        fault: sum(row["fault"] == fault and not row["too_late"] for row in rows)
        for fault in faults
    }
    least = min(counts, key=lambda fault: counts[fault])
    if counts[least] >= tries:
        return None
    done = {row["try"] for row in rows if row["fault"] == least}
    return least, next(number for number in count() if number not in done)


def main() -> None:
    """Run the tries that are missing, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=20, help="tries of each fault")
    parser.add_argument("--faults", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="only fill docs/reliability.md")
    options = parser.parse_args()
    if not options.page and next_try(options.faults, options.tries):
        with tempfile.TemporaryDirectory(prefix="autoplace-faults-") as folder:
            bench = Bench(Path(folder))
            if not read_results():
                seconds = round(bench.seconds, 1)
                record({"pick": PICK, "undisturbed_seconds": seconds, **describe_machine()})
            try:
                while wanted := next_try(options.faults, options.tries):
                    record(bench.attempt(*wanted, options.seed))
            finally:
                bench.close()
    write_page(list(FAULTS), read_results())


if __name__ == "__main__":
    main()
