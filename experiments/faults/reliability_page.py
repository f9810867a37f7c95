"""Put the counts of the campaign into `docs/reliability.md`; people write the prose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def table(faults: Sequence[str], results: Sequence[dict[str, Any]]) -> list[str]:
    """Count the tries of each fault; those that came after the end of the pick do not count."""
    if not results:
        return ["Nothing has been tried."]
    campaign, *rows = results
    seeds = ", ".join(sorted({str(each["seed"]) for each in rows}))
    versions = ", ".join(f"{name} {number}" for name, number in campaign["versions"].items())
    lines = [
        f"Moments are drawn with seed {seeds}; the undisturbed pick takes"
        f" {campaign['undisturbed_seconds']:.0f} s. {campaign['device']}, {versions}.",
        "",
        "| fault | tries | finished trials at that moment | of them lost | equal end results |",
        "|---|---|---|---|---|",
    ]
    for fault in faults:
        tries = [each for each in rows if each["fault"] == fault and not each["too_late"]]
        if not tries:
            lines.append(f"| {fault} | 0 | - | - | - |")
            continue
        finished, lost = (sum(each[n] for each in tries) for n in ("finished_before", "lost"))
        equal = sum(each["equal"] for each in tries)
        lines.append(f"| {fault} | {len(tries)} | {finished} | {lost} | {equal} of {len(tries)} |")
    return lines


def filled(text: str, faults: Sequence[str], results: Sequence[dict[str, Any]]) -> str:
    """Replace what stands between the marks.

    Raises ValueError if the page has no place for the table.
    """
    before, found, rest = text.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise ValueError(f"{PAGE.name} has no place for the table")
    return before + "\n".join([BEGIN, *table(faults, results), END]) + after


def write_page(faults: Sequence[str], results: Sequence[dict[str, Any]]) -> None:
    """Fill the page."""
    PAGE.write_text(filled(PAGE.read_text(), faults, results))
