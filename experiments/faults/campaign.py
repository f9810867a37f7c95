"""End picks by faults at random moments, resume them, and compare with an undisturbed pick.

The pick is a small one, of drawn images on a shipped backbone. Each try starts it, waits for a
random line of its progress and some time after it, injects the fault, and resumes the run until it
is done. Tries that are in the results file are not repeated, so the campaign can be stopped and
started again.

    python experiments/faults/campaign.py --tries 20
    python experiments/faults/campaign.py --page
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from essence import assert_whole, ended_trials, result_of, trials_of, winner_of
from injection import FAULTS, STATUS, mount_small_disk, unmount
from PIL import Image
from reliability_page import write_page

from autoplace.tracking import Store, start_run

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE.parent / "results" / "faults.jsonl"
PICK = ("--backbone", "fashion-vit8", "--epochs", "3", "--batch-size", "8", "--probe-images", "8",
        "--field-size", "4", "--seeds", "2", "--adapter", "bottleneck")  # fmt: skip
WAIT = 1.5  # longest time after a line of progress, in seconds
MOST = 5  # resumes of a try


def make_images(folder: Path, per_class: int = 16) -> None:
    """Draw two classes of noise, one of them darker."""
    rng = np.random.default_rng(0)
    for label, high in (("dark", 180), ("light", 255)):
        (folder / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = rng.integers(0, high, (32, 32, 3), dtype=np.uint8)
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
        with self.store("undisturbed") as store:
            process = self.start(store)
            out, err = process.communicate()
            if process.returncode:
                raise RuntimeError(f"the undisturbed pick failed:\n{err}")
            self.lines = len(err.splitlines())
            self.essence = self._essence(store, out)

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

    def start(self, store: Store, run: str | None = None) -> subprocess.Popen[str]:
        """Start the pick, or resume it."""
        command = ["pick", str(self.folder / "images"), *PICK] if run is None else ["resume", run]
        ours = ("AUTOPLACE_", "MLFLOW_TRACKING", "MLFLOW_EXPERIMENT", "COLUMNS")
        kept = {name: v for name, v in os.environ.items() if not name.startswith(ours)}
        return subprocess.Popen(
            [sys.executable, "-m", "autoplace", *command, "--store", store.uri, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )

    def attempt(self, fault: str, number: int, seed: int) -> dict[str, Any]:
        """Inject a fault at a random moment, resume, compare; the record of the try."""
        rng = random.Random(f"{seed} {fault} {number}")
        line, wait = rng.randrange(self.lines), rng.uniform(0, WAIT)
        began = time.monotonic()
        name = f"{fault.replace(' ', '-')}-{number}"
        with self.store(name, small=fault == "full disk") as store:
            process = self.start(store)
            said = _after(process, line)
            time.sleep(wait)
            ended_before = process.poll() is not None
            how = FAULTS[fault](process, store.folder, rng)
            folders = list(store.folder.glob("runs/*"))
            run = folders[0].name if folders else None
            held = ended_trials(folders[0]) if folders else {}
            status = None if run is None else store.client.get_run(run).info.status
            out, code, resumes = "", process.returncode, 0
            while not ended_before and resumes < MOST:
                resumes += 1
                again = self.start(store, run)
                out, err = again.communicate()
                folders = list(store.folder.glob("runs/*"))
                run = folders[0].name if folders else None
                if again.returncode == 0 or "is finished" in err:
                    break
            after = ended_trials(folders[0]) if folders else {}
            return {
                "fault": fault,
                "try": number,
                "seed": seed,
                "moment": f"{said}, and {wait:.2f} s",
                "how": how,
                "exit_code": code,
                "status": status,
                "too_late": ended_before or code == 0,
                "finished_before": len(held),
                "lost": sum(after.get(key) != value for key, value in held.items()),
                "resumes": resumes,
                "right_status": STATUS.get(fault, status) == status or not held,
                "equal": bool(out) and self._is_equal(store, out),
                "seconds": round(time.monotonic() - began, 1),
            }

    def _essence(self, store: Store, out: str) -> tuple[Any, ...]:
        document = json.loads(out)
        folder = store.run_folder(document["run_id"])
        assert_whole(store, document["run_id"])
        return result_of(document), winner_of(folder), trials_of(folder)

    def _is_equal(self, store: Store, out: str) -> bool:
        try:
            return self._essence(store, out) == self.essence
        except AssertionError:
            return False


def _after(process: subprocess.Popen[str], line: int) -> str:
    """Wait until a process has said so many lines; the last of them."""
    assert process.stderr is not None
    said = "before its first line"
    for number, text in enumerate(process.stderr):
        said = text.rstrip()[11:90]
        if number >= line:
            break
    # What follows must not fill the pipe.
    for pipe in (process.stderr, process.stdout):
        threading.Thread(target=lambda pipe=pipe: pipe.read(), daemon=True).start()
    return said


def read_results() -> list[dict[str, Any]]:
    """Return the tries that are recorded."""
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def main() -> None:
    """Run the tries that are missing, and fill the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=20, help="tries of each fault")
    parser.add_argument("--faults", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="only fill docs/reliability.md")
    options = parser.parse_args()
    done = {(each["fault"], each["try"]) for each in read_results()}
    left = [
        (fault, number)
        for number in range(options.tries)
        for fault in options.faults
        if (fault, number) not in done
    ]
    if left and not options.page:
        with tempfile.TemporaryDirectory(prefix="autoplace-faults-") as folder:
            bench = Bench(Path(folder))
            for fault, number in left:
                record = bench.attempt(fault, number, options.seed)
                with RESULTS.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                print(json.dumps(record), flush=True)
    write_page(list(FAULTS), read_results())


if __name__ == "__main__":
    main()
