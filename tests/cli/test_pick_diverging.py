"""`autoplace pick` where training diverges: what is left out, and what is an error."""

from __future__ import annotations

import math

from autoplace.agent.steps._rate_grid import RateGrid
from autoplace.errors import UserError

SMALL = ("--probe-images", "24", "--batch-size", "16")


def test_a_failing_baseline_is_left_out_with_a_note(
    cli, home, predictor, image_folder, monkeypatch
):
    found = RateGrid.result

    def diverges(grid):
        if grid.kind == "lora":
            raise UserError("training lora diverges at every learning rate")
        return found(grid)

    monkeypatch.setattr(RateGrid, "result", diverges)
    done = cli(
        "pick", image_folder, *SMALL, "--epochs", 1, "--field-size", 2, "--top-k", 1, "--seeds", 1,
        "--predictor", predictor, "--json", cwd=home,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "an adapter kind leaves the race: training lora diverges" in done.err
    assert "lora is not compared: no learning rate was found for lora" in done.err
    assert "lora" not in done.document["test"]


def test_everything_diverging_is_an_error_that_names_the_smallest_rate(
    cli, home, predictor, image_folder, monkeypatch
):
    monkeypatch.setattr(RateGrid, "losses", property(diverged))
    done = cli("pick", image_folder, *SMALL, "--epochs", 1, "--predictor", predictor, cwd=home)
    assert done.code == 2
    assert "fails at every learning rate down to 1e-04" in done.err


def diverged(grid):
    return {rate: [math.inf for _ in grid.judged] for rate in grid.tried}
