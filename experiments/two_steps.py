"""The command line of scripts that measure line by line, and report what was measured."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def run_tasks(
    name: str,
    description: str,
    tasks: Sequence[str],
    run_task: Callable[[str], dict[str, Any]],
    report: Callable[[list[dict[str, Any]]], dict[str, Any]],
    shown: str,
) -> None:
    """Do as `run` does, with one line for each task, in files of this name in `results`.

    Parameters
    ----------
    name : str
        Name of both files, without the ending.
    description, shown : str
        As in `run`.
    tasks : sequence of str
        What is measured.
    run_task : callable
        Measures a task.
    report : callable
        Makes the document of the lines.
    """
    torch.set_num_threads(1)  # as trials side by side run on a CPU
    run(
        description,
        lambda rows: measure_tasks(rows, tasks, run_task),
        lambda rows: report(read_rows(rows)),
        RESULTS / f"{name}.jsonl",
        RESULTS / f"{name}.json",
        shown,
    )


def run(
    description: str,
    measure: Callable[[Path], None],
    report: Callable[[Path], dict[str, Any]],
    rows: Path,
    result: Path,
    shown: str,
) -> None:
    """Parse `measure` or `report`, and do it.

    Parameters
    ----------
    description : str
        First line of the help.
    measure : callable
        Appends to a file of JSON lines what it does not have.
    report : callable
        Makes a document of that file.
    rows, result : Path
        The default file of lines, and where the document goes.
    shown : str
        The document's key that is printed.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--rows", type=Path, default=rows)
    options = parser.parse_args()
    if options.what == "measure":
        measure(options.rows)
        return
    document = report(options.rows)
    result.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document[shown], indent=2))


def measure_tasks(
    rows: Path, tasks: Sequence[str], run_task: Callable[[str], dict[str, Any]]
) -> None:
    """Append a line for each task that has none."""
    known = {row["task"] for row in read_rows(rows)} if rows.exists() else set()
    for name in tasks:
        if name not in known:
            row = run_task(name)
            with rows.open("a") as file:
                file.write(json.dumps(row) + "\n")


def read_rows(rows: Path) -> list[dict[str, Any]]:
    """Read what was measured."""
    return [json.loads(line) for line in rows.read_text().splitlines()]
