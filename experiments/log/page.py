"""Put the numbers of `analysis.json` into the tables of `docs/log.md`; people write the prose.

python experiments/log/page.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "log.md"
SOLVED = 0.95  # accuracy of head-only
ENOUGH = 2.0  # smallest useful ratio of the spread over placements to that over seeds

Report = dict[str, Any]


def tasks(report: Report) -> list[str]:
    """List every task with every backbone, and what is special about it."""
    rows = [
        (backbone, row) for backbone, part in report["backbones"].items() for row in part["tasks"]
    ]
    seeds = any(row["ratio"] is not None for _, row in rows)
    heads = ["task", "backbone", "head-only", "mean gain", "best", "SD placements"]
    heads += [*(["SD seeds", "ratio"] if seeds else []), "worse than head-only", "remarks"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for backbone, row in rows:
        cells = [row["task"], backbone, f"{row['head_only']:.3f}", f"{row['mean_gain']:+.3f}"]
        cells += [f"{row['best_gain']:+.3f}", f"{row['spread_placements']:.3f}"]
        if seeds:
            known = row["ratio"] is not None
            cells += [f"{row['spread_seeds']:.3f}", f"{row['ratio']:.1f}"] if known else ["-", "-"]
        cells += [f"{row['share_worse_than_head_only']:.0%}", reason(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def reason(row: dict[str, Any]) -> str:
    """Return what is special about a task: a wide spread, overfitting, solved by the head."""
    found = []
    if row["ratio"] is not None and row["ratio"] >= ENOUGH:
        found.append("spread")
    if row["head_only"] >= SOLVED:
        found.append("solved by the head")
    if row["share_worse_than_head_only"] > 0.5:
        found.append("overfits (accuracy)")
    elif row["loss_rose"] > 0.5:
        found.append("overfits (loss)")
    return ", ".join(found)


def _side_by_side(
    report: Report, section: str, head: str, form: str, tasks: bool = False
) -> list[str]:
    """Make one line per name and one column per backbone, with mean and interval."""
    backbones = list(report["backbones"])
    rows = {}
    names = dict.fromkeys(name for part in report["backbones"].values() for name in part[section])
    for name in names:
        found = [report["backbones"][b][section].get(name) for b in backbones]
        cells = [_cell(each, form) for each in found]
        if tasks:
            cells = [
                f"{cell}, {each['tasks']} tasks" if each and each["tasks"] else cell
                for cell, each in zip(cells, found, strict=True)
            ]
        rows[name] = cells
    return _table([head, *backbones], rows)


def _table(heads: list[str], rows: dict[str, list[str]]) -> list[str]:
    """Make a table of the rows that have values."""
    known = {name: cells for name, cells in rows.items() if set(cells) != {"-"}}
    if not known:
        return ["(not measured yet)"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return [*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in known.items())]


def _cell(each: dict[str, Any] | None, form: str) -> str:
    if each is None or each["mean"] is None:
        return "-"
    low, high = format(each["low"], form), format(each["high"], form)
    return f"{format(each['mean'], form)} ({low} to {high})"


def components(report: Report) -> list[str]:
    """List the shares of variance per backbone."""
    names = {
        "placement": "placement: the same on every task",
        "task": "placement by task (with the seeds, where none was repeated)",
        "noise": "seeds",
    }
    rows = {}
    for key, label in names.items():
        rows[label] = []
        for part in report["backbones"].values():
            each = part["variance_components"][key]
            ends = f" ({each['low']:.2f} to {each['high']:.2f})" if "low" in each else ""
            rows[label].append("-" if each["share"] is None else f"{each['share']:.2f}{ends}")
    return _table(["share of the variance", *report["backbones"]], rows)


def single_edges(report: Report) -> list[str]:
    """List the main numbers from single edges alone."""
    parts = [part["single_edges"] for part in report["backbones"].values()]
    rows = {
        "tasks with a spread of at least twice that over seeds": [
            f"{each['tasks_above_seeds']} of {each['tasks_with_seeds']}"
            if each["tasks_with_seeds"]
            else "-"
            for each in parts
        ]
    }
    names = {"placement": "placement: the same on every task", "task": "placement by task"}
    for key, label in names.items():
        shares = [each["variance_components"][key] for each in parts]
        rows[f"share of the variance, {label}"] = [
            _cell(x | {"mean": x["share"]}, ".2f") for x in shares
        ]
    for key in parts[0]["correlations"]:
        cells = [_cell(each["correlations"][key], ".2f") for each in parts]
        rows[f"correlation, {key}"] = cells
    return _table(["single edges of the panel", *report["backbones"]], rows)


def reliability(report: Report) -> list[str]:
    """List the correlation between seeds, per repeated task."""
    outcomes = {
        "gain": "test accuracy",
        "measured_gain": "accuracy on the measurement split",
        "val_gain": "val accuracy",
        "loss_gain": "val loss",
    }
    rows = {}
    for backbone, part in report["backbones"].items():
        found = part["reliability"]
        for task in found["gain"]["tasks_by_name"]:
            values = [found[name]["tasks_by_name"].get(task) for name in outcomes]
            cells = ["-" if value is None else f"{value:.2f}" for value in values]
            rows[f"{backbone} | {task}"] = cells
        rows[f"{backbone} | mean"] = [_cell(found[name], ".2f") for name in outcomes]
    return _table(["backbone", "task", *outcomes.values()], rows)


TABLES: dict[str, Callable[[Report], list[str]]] = {
    "tasks": tasks,
    "single edges": single_edges,
    "components": components,
    "reliability": reliability,
    "kinds": lambda r: _side_by_side(r, "kinds", "kind: place", "+.4f", tasks=True),
    "what x where": lambda r: _side_by_side(r, "what_where", "difference", "+.4f", tasks=True),
    "agreement": lambda r: _side_by_side(r, "agreement_with_test", "outcome", ".2f"),
    "correlations": lambda r: _side_by_side(r, "task_correlations", "tasks of", ".2f"),
    "contrasts": lambda r: _side_by_side(r, "contrasts", "difference", "+.4f"),
    "same target": lambda r: _side_by_side(r, "same_target", "edges to the same node", "+.4f"),
    "statistics": lambda r: _side_by_side(r, "statistics", "single edges ordered by", "+.2f"),
    "edges": lambda r: _side_by_side(r, "by_number_of_edges", "edges", "+.4f"),
}


def filled(text: str, report: Report) -> str:
    """Replace what stands between the marks of each table of the page.

    Raises ValueError for a table that has no place.
    """
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"{PAGE.name} has no place for the table '{name}'")
        text = before + "\n".join([begin, *table(report), end]) + after
    return text


def main() -> None:
    """Fill the page."""
    report = json.loads((HERE / "analysis.json").read_text())
    PAGE.write_text(filled(PAGE.read_text(), report))


if __name__ == "__main__":
    main()
