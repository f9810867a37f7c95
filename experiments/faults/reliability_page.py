"""Put the counts of the campaign into `docs/reliability.md`; people write the prose."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
# The first word of the last line before a moment; lines of trials begin with their number.
PHASES = {
    "the start and the probe": {"the", "note", "Probing", "Reading"},
    "learning rates": {"Learning", "rate", "Head-only", "head-only"},
    "the race": {"Race"},
    "finalists and folds": {"Comparing", "every-block", "fold"},
    "refits": {"Training", "refit"},
    "test and saving": {"Testing", "seed", "Saving", ""},
}
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def table(faults: Sequence[str], results: Sequence[dict[str, Any]]) -> list[str]:
    """Count the tries of each fault; those that came after the end of the pick do not count."""
    if not results:
        return ["Nothing has been tried."]
    campaign, *rows = results
    phases = Counter(phase_of(each["moment"]) for each in rows if not each["too_late"])
    spread = ", ".join(f"{phases[name]} in {name}" for name in PHASES)
    seeds = ", ".join(sorted({str(each["seed"]) for each in rows}))
    versions = ", ".join(f"{name} {number}" for name, number in campaign["versions"].items())
    lines = [
        f"Moments are drawn with seed {seeds}; the undisturbed pick takes"
        f" {campaign['undisturbed_seconds']:.0f} s. {campaign['device']}, {versions}.",
        "",
        f"Of {phases.total()} moments, {spread} were drawn.",
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


def phase_of(moment: str) -> str:
    """Return the phase of a moment; candidates are in the race, and then among finalists."""
    text = moment.strip()
    word = re.split(r"[^\w-]", text.partition("] ")[2] or text)[0]
    if word == "candidate":
        return "the race" if "/3]" in text else "finalists and folds"
    return next(phase for phase, words in PHASES.items() if word in words)


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
