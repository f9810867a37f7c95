"""The table of docs/reliability.md is that of the recorded tries."""

from __future__ import annotations

import json
import re
from pathlib import Path

from experiments.faults.reliability_page import PAGE, filled, table

RESULTS = Path(__file__).parents[2] / "experiments" / "results" / "faults.jsonl"
FAULTS = re.findall(r"^\| ([\w -]+) \| \d", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_page_has_the_counts_of_the_recorded_tries():
    results = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    text = PAGE.read_text(encoding="utf-8")
    assert len(FAULTS) == 7
    assert filled(text, FAULTS, results) == text


def test_a_try_that_came_too_late_does_not_count_and_a_loss_does():
    campaign = {"undisturbed_seconds": 9.0, "device": "CPU", "versions": {}}
    common = {"fault": "kill -9", "finished_before": 5, "too_late": False, "equal": True,
              "moment": "Testing, and 0.10 s", "seed": 0}  # fmt: skip
    tries = [common | {"lost": 0}, common | {"lost": 2, "equal": False},
             common | {"lost": 0, "too_late": True}]  # fmt: skip
    assert table(["kill -9"], [campaign, *tries])[-1] == "| kill -9 | 2 | 10 | 2 | 1 of 2 |"
