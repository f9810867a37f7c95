"""`--budget` holds in every phase of a pick, and what is left is a winner or an exit code."""

from __future__ import annotations

import json
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from itertools import count
from types import SimpleNamespace

import pytest

import autoplace
from autoplace.cli import main
from autoplace.cli._exit_codes import ExitCode
from autoplace.tracking import Store

TINY = (
    *("--probe-images", "24", "--batch-size", "16", "--epochs", "2", "--field-size", "3"),
    *("--top-k", "1", "--seeds", "2", "--adapter", "bottleneck"),
)
STOPPING = 40  # checks by the phases that are left, each of which then stops


def pick(store, data, budget, *options):
    """Exit code, result and messages."""
    out, err = StringIO(), StringIO()
    budgeted = (*options, "--budget", f"{budget}s")
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["pick", str(data), *TINY, "--store", store.uri, "--json", *budgeted])
    result = json.loads(out.getvalue()) if out.getvalue() else None
    return ended.value.code, result, err.getvalue()


def winners(store):
    return [path.parent for path in store.folder.glob("runs/*/winner/placement.json")]


def check_what_is_left(store, code, result, said):
    if code in (ExitCode.DONE, ExitCode.DEADLINE):
        model = autoplace.load(result["folder"])
        assert str(model.placement) == result["winner"]
        assert result["deadline_reached"] is (code == ExitCode.DEADLINE)
        assert result["test"] or "before the winner could be tested" in said
    else:
        assert code == ExitCode.FAILED, said
        assert "no trial finished within --budget; give it more time" in said
        assert winners(store) == []


@pytest.fixture
def clock(monkeypatch):
    """Let a second pass whenever someone looks at a deadline; returns the seconds so far."""
    ticks = count()
    counting(monkeypatch, ticks)
    return lambda: next(ticks)


def counting(patch, ticks):
    module = sys.modules["autoplace.training._deadline"]
    patch.setattr(module, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))


@pytest.mark.parametrize("checks", [30, 400])
def test_no_phase_goes_on_after_the_end_of_the_budget(new_store, image_folder, clock, checks):
    """With a clock that counts the checks, so that no machine is too slow for it."""
    store, started = new_store(), clock()
    code, result, said = pick(store, image_folder, checks, "--lr", "0.01")
    assert clock() - started <= checks + STOPPING
    check_what_is_left(store, code, result, said)


@pytest.fixture(scope="module")
def undisturbed(first_use, tmp_path_factory, image_folder):
    """How often a pick with ample time looks at its deadline."""
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('ample')}/mlflow.db")
    ticks = count()
    with pytest.MonkeyPatch.context() as patch:
        counting(patch, ticks)
        code, _, said = pick(store, image_folder, 10**6)
    assert code == ExitCode.DONE, said
    return next(ticks)


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.02, 0.2, 0.45, 0.75, 0.96, 1.3])
def test_nor_does_any_at_whatever_share_of_the_time_that_it_takes(
    new_store, image_folder, clock, undisturbed, share
):
    store, budget, started = new_store(), int(share * undisturbed), clock()
    code, result, said = pick(store, image_folder, budget)
    assert clock() - started <= budget + STOPPING
    check_what_is_left(store, code, result, said)


@pytest.mark.faults
@pytest.mark.parametrize("budget", [0.1, 5, 12, 40])
def test_a_pick_ends_within_its_budget_and_the_time_it_takes_to_save(
    new_store, image_folder, budget
):
    store, began = new_store(), time.monotonic()
    code, result, said = pick(store, image_folder, budget)
    seconds = time.monotonic() - began
    lines = said.splitlines()
    last = [n for n, line in enumerate(lines) if "Saving and re-reading" in line]
    saving = seconds - float(lines[last[0] - 1].split(" s ")[0]) if last else 0.0
    assert seconds <= budget + saving + 3.0, said
    check_what_is_left(store, code, result, said)
