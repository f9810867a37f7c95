"""The scripts that make and read the placement log: panel, resuming, and what is said of it."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "log"))

import candidates
import complete
import export
import gains
import make
import page
import plans
from panel import BUDGET_EDGES, read_panel
from plans import Round, Stage

from autoplace.adapters import count_parameters, list_adapters, list_wirings
from autoplace.agent import _collect, parameter_budget
from autoplace.backbones import create_chain
from autoplace.data.builtin import _task
from autoplace.settings import CollectSettings
from autoplace.tracking import Store, fetch_probe, log_probe, read_rows, start_run
from autoplace.training import Cause, Remedy
from predictors import log_table, read_log, shipped_log
from predictors.vocabulary import FIRST_OPTIMISER

PANELS = ("starter", "fashion-vit8")


@pytest.mark.parametrize("backbone", PANELS)
def test_the_panel_holds_the_four_kinds_evenly_and_keeps_to_the_budget(backbone):
    chain = create_chain(backbone, pretrained=False)
    budget = parameter_budget(CollectSettings(edges=BUDGET_EDGES), chain.shape).parameters
    for length, each in ((plans.SHORT, 3), (plans.LONG, 6)):
        panel = read_panel(backbone, length)
        assert len({placement for _, placement in panel}) == length
        kinds = [p.edges[0].kind.value for _, p in panel if len(p) == 1]
        assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(
            ("sequential", "parallel", "long-range", "recurrent"), each
        )
        sizes = {len(placement) for _, placement in panel}
        assert {1, 2, 3, 6, 12, chain.n_nodes - 1} <= sizes
        names = {name for name, placement in panel if len(placement) > 1}
        assert names == {"gga", "random", "every-block", "first-k", "last-k"}
        for _, placement in panel:
            placement.check(chain.n_nodes)
            assert 0.8 * budget <= count_parameters(placement, chain.shape) <= budget


@pytest.mark.parametrize("backbone", PANELS)
def test_every_kind_runs_where_it_was_published_and_at_two_other_places(backbone):
    chain = create_chain(backbone, pretrained=False)
    budget = parameter_budget(CollectSettings(edges=BUDGET_EDGES), chain.shape)
    trials = Stage("kinds", "kinds", (backbone,)).trials(chain)
    assert len({str(trial.placement) for trial in trials}) == len(trials)
    places: dict[str, int] = {}
    for trial in trials:
        trial.placement.check(chain.n_nodes)
        assert 0 < count_parameters(trial.placement, chain.shape) <= budget.parameters
        (kind,) = {spec.kind for _, spec in trial.placement}
        places[kind] = places.get(kind, 0) + 1
    assert set(places) == set(list_adapters())
    assert all(count >= 3 for kind, count in places.items() if kind != "prompt")  # only at 0>0
    published = {t.chosen_by.partition(":")[2] for t in trials if "published" in t.chosen_by}
    assert published == set(list_wirings())


def test_each_third_of_the_collection_has_every_kind_and_all_sorts_of_placements():
    chain = create_chain("starter", pretrained=False)
    for each in plans.PLANS["cpu"][: plans.PARTS]:
        shares = {stage.name: each.share(stage.trials(chain)) for stage in each.stages}
        kinds = {spec.kind for trial in shares["kinds"] for _, spec in trial.placement}
        assert len(kinds) >= len(list_adapters()) - 2
        sorts = {trial.chosen_by for trial in shares["panel"]}
        assert {f"panel:{edge}" for edge in ("sequential", "parallel", "recurrent")} < sorts
    tasks = plans.interleaved()
    assert len({name.partition("-")[0] for name in tasks[:11]}) == 11


@pytest.fixture
def small_plan(monkeypatch, tmp_path):
    """One small task, a few placements, one epoch, two rounds, into a store of its own."""
    only = ("fashion-vit8",)
    stages = (
        Stage("kinds", "kinds", only),
        Stage("fresh", "fresh", only, count=2),
        Stage("panel", "panel", only, count=2),
    )
    monkeypatch.setitem(plans.PLANS, "small", tuple(Round(stages, part, 2) for part in range(2)))
    monkeypatch.setattr(candidates, "list_adapters", lambda: ["ssf"])
    monkeypatch.setattr(candidates, "list_wirings", lambda: ["ssf"])
    monkeypatch.setattr(make, "EPOCHS", 1)
    monkeypatch.setattr(_task, "SIZES", {"train": 100, "val": 50, "test": 50})
    monkeypatch.setattr(_task, "MEASUREMENT_SIZE", 60)
    return Namespace(
        plan="small", rounds=None, stages=None, backbones=None, tasks="shapes-size",
        parallel_placements="4", share="1/1", kinds=None,
        store=f"sqlite:///{tmp_path}/mlflow.db",
    )  # fmt: skip


def test_a_part_of_the_kinds_is_what_the_whole_plan_has_of_them(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/mlflow.db")
    plan = {
        "plan": "cpu-at-once", "rounds": None, "stages": ["kinds"], "backbones": ["fashion-vit8"],
        "tasks": "shapes-size", "share": "1/1", "parallel_placements": "1",
    }  # fmt: skip
    whole, part = (
        make.visits(Namespace(**plan, kinds=kinds), store)[0].fixed for kinds in (None, ["lora"])
    )
    assert part == [trial for trial in whole if "@lora" in str(trial.placement)]
    assert 3 <= len(part) < len(whole)


def test_a_plan_that_was_broken_off_goes_on_where_it_was_and_then_adds_nothing(small_plan, capsys):
    make.run(Namespace(**vars(small_plan) | {"stages": ["panel"]}))
    store = Store(small_plan.store)
    first = log_table(read_rows(store))
    capsys.readouterr()
    make.run(small_plan)
    assert capsys.readouterr().out.startswith("5 trials to run")
    both = log_table(read_rows(store))
    make.run(small_plan)
    assert len(log_table(read_rows(store))) == len(both)
    adapted = both[both["placement"] != "head-only"]
    assert set(first["trial_id"]) < set(both["trial_id"])
    assert len(adapted) == len(set(adapted["placement"])) == 7  # two, two, and three of SSF
    assert (both["status"] == "done").all() and both["test_accuracy"].notna().all()
    fresh = adapted[adapted["chosen_by"].str.startswith("fresh:")]
    assert len(fresh) == 2 and fresh["propensity"].between(0, 0.1, inclusive="neither").all()
    assert set(both["protocol"]) == {"found-rate"}
    alone = both[both["rates"].isna()]
    assert alone.groupby("adapter_kind", dropna=False)["learning_rate"].nunique().eq(1).all()
    assert (both["n_measured"] == 60).all() and both["head_only_measured_metric"].notna().all()


def test_a_rate_that_was_found_on_a_task_is_not_searched_again(small_plan, monkeypatch):
    searched = []
    find = _collect.find_rate
    monkeypatch.setattr(
        _collect, "find_rate", lambda rounds, kind, *rest: searched.append(kind) or find(
            rounds, kind, *rest
        ),
    )  # fmt: skip
    make.run(Namespace(**vars(small_plan) | {"stages": ["panel"]}))
    assert searched == ["head-only", "bottleneck"]
    make.run(Namespace(**vars(small_plan) | {"stages": ["panel", "kinds"]}))
    assert searched == ["head-only", "bottleneck", "ssf"]


def test_the_halved_rate_of_a_trial_that_diverged_is_not_that_of_its_kind():
    in_parts, halved = Remedy().after(Cause.MEMORY), Remedy().after(Cause.DIVERGENCE)
    rows = pd.DataFrame(
        {
            "status": ["done"] * 4 + ["failed"],
            "adapter_kind": [None, "arc", "arc", "arc+lora", "lora"],
            "learning_rate": [0.1, 0.02, 0.01, 0.005, 0.3],
            "remedy": [None, str(in_parts), str(halved), None, None],
        }
    )
    assert make.rates_in(rows) == {"head-only": 0.1, "arc": 0.02}


@pytest.mark.parametrize("column", ["protocol", "optimiser"])
def test_trials_under_another_protocol_or_optimiser_do_not_count_as_done(small_plan, column):
    make.run(Namespace(**vars(small_plan) | {"stages": ["panel"]}))
    store = Store(small_plan.store)
    rows = log_table(read_rows(store)).query("placement != 'head-only'")
    other = Namespace(**vars(small_plan) | {"stages": ["panel"]})
    other.store = small_plan.store.replace("mlflow.db", "other.db")
    run = start_run(Store(other.store), "shapes-size", "collect")
    another = {"protocol": "table-rate", "optimiser": FIRST_OPTIMISER}[column]
    for row in rows.assign(**{column: another}).to_dict(orient="records"):
        plain = {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()}
        run.start_child(row["trial_id"]).log_row(plain)
    make.run(other)
    both = log_table(read_rows(Store(other.store))).query("placement != 'head-only'")
    assert both[column].value_counts().tolist() == [2, 2] and another in set(both[column])


@pytest.mark.parametrize("column", ["protocol", "optimiser"])
def test_protocols_and_optimisers_are_not_analysed_together(column):
    trials = read_log(shipped_log()).trials
    early = trials.index < len(trials) / 2
    mixed = trials.assign(**{column: trials[column].mask(early, "table-rate")})
    with pytest.raises(ValueError, match=f", table-rate; choose one with --{column}"):
        gains.tidy(mixed)


def test_the_command_that_completes_the_log_names_what_exists_and_covers_every_backbone():
    steps = list(complete.steps("sqlite:///log/mlflow.db", Path("work"), Path("out")))
    scripts = [Path(word) for step in steps for word in step[1:2] if word.endswith(".py")]
    assert len(scripts) >= 5 and all(path.is_file() for path in scripts)
    ready = {path.stem for path in complete.FOLDER.glob("*.txt")}
    asked = {step[step.index("--backbones") + 1] for step in steps if "--backbones" in step}
    assert ready | asked == set(plans.backbones_of("gpu"))


def test_the_page_shows_the_numbers_of_the_shipped_log():
    report = json.loads((page.HERE / "analysis.json").read_text())
    assert page.filled(page.PAGE.read_text(), report) == page.PAGE.read_text()
    log = read_log(shipped_log())
    assert report["trials"] == (log.trials["status"] == "done").sum()
    done = gains.bottlenecks(gains.tidy(log.trials))
    for backbone, part in report["backbones"].items():
        measured = gains.contrasts(done, backbone)
        for name, row in part["contrasts"].items():
            values = gains.mean_with_interval(measured[name], gains.families(done))
            assert row == pytest.approx(values)
        ones = done[done["n_edges"] == 1]
        rates = ones[ones["backbone"] == backbone].groupby("task_name")["learning_rate"]
        assert rates.nunique().eq(1).all()
        ratios = gains.spreads(ones, backbone)["ratio"]
        assert part["single_edges"]["tasks_above_seeds"] == (ratios >= 2).sum()


def test_a_table_without_a_place_on_the_page_is_an_error():
    report = json.loads((page.HERE / "analysis.json").read_text())
    with pytest.raises(ValueError, match="no place for the table 'tasks'"):
        page.filled("# What the placement log says\n", report)


@pytest.mark.parametrize("backbone", ["starter", "formula-vit6", "fashion-vit8"])
def test_the_linear_probes_are_of_the_weights_that_are_shipped(backbone):
    experiments = Path(__file__).parents[2] / "experiments"
    report = json.loads((experiments / "backbones" / "linear_probe.json").read_text())
    assert report["weights_sha256"][backbone] == create_chain(backbone).weights_sha256
    card = resources.files("autoplace.backbones").joinpath(f"shipped/{backbone}/card.md")
    for row in report["rows"]:
        line = next(x for x in card.read_text().splitlines() if x.startswith(f"| {row['task']} "))
        assert line.replace("*", "").split(" | ")[2] == f"{row[backbone]:.3f}"


def test_a_trial_that_failed_and_was_done_later_is_exported_as_done(small_plan):
    make.run(Namespace(**vars(small_plan) | {"stages": ["panel"]}))
    store = Store(small_plan.store)
    row = log_table(read_rows(store)).query("n_edges == 1").iloc[0].to_dict()
    outcomes = ("val_", "test_")
    failed = {k: None if k.startswith(outcomes) else v for k, v in row.items()}
    failed |= {"trial_id": "first", "status": "failed", "failure_reason": "the loss was not finite"}
    elsewhere = Store(small_plan.store.replace("mlflow.db", "other.db"))
    start_run(elsewhere, "shapes-size", "collect").start_child("first").log_row(
        {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in failed.items()}
    )
    log_probe(
        start_run(elsewhere, "shapes-size", "probe"),
        row["probe_key"],
        fetch_probe(store, row["probe_key"]),
    )
    log = export.gather([elsewhere.uri, store.uri])
    kept = log.trials[log.trials["placement"] == row["placement"]]
    assert list(kept["trial_id"]) == [row["trial_id"]] and list(kept["status"]) == ["done"]


FAMILY_OF = {f"task{k}": f"family{k // 2}" for k in range(12)}


def panel_of(placement: float, task: float) -> pd.DataFrame:
    """Gains (12 tasks, 21 slots) of a common and of a task's own effect of a placement."""
    rng = np.random.default_rng(3)
    values = placement * rng.normal(size=21) + task * rng.normal(size=(12, 21))
    return pd.DataFrame(values, index=list(FAMILY_OF))


def test_variance_components_tell_what_the_backbone_decides_from_what_the_task_does():
    common = gains.variance_components(panel_of(1.0, 0.05), FAMILY_OF, noise=0.0)
    own = gains.variance_components(panel_of(0.0, 1.0), FAMILY_OF, noise=0.1)
    half = gains.variance_components(panel_of(1.0, 1.0), FAMILY_OF, noise=0.0)
    assert common["placement"]["share"] > 0.98
    assert own["placement"]["share"] < 0.1 and own["task"]["share"] > 0.8
    assert 0.3 < half["placement"]["share"] < 0.7
    assert half["placement"]["low"] < half["placement"]["share"] < half["placement"]["high"]


def test_an_interval_is_over_families_not_over_tasks():
    same = {task: float(FAMILY_OF[task] == "family0") for task in FAMILY_OF}
    mixed = {task: float(k % 6 == 0) for k, task in enumerate(FAMILY_OF)}
    wide, narrow = (gains.mean_with_interval(each, FAMILY_OF) for each in (same, mixed))
    assert wide["mean"] == pytest.approx(narrow["mean"])
    assert wide["high"] - wide["low"] > narrow["high"] - narrow["low"]
    assert gains.mean_with_interval({"task0": 1.0, "task1": np.nan}, FAMILY_OF)["tasks"] == 1


def test_correlations_within_families_are_told_from_those_between():
    rng = np.random.default_rng(0)
    of_family = rng.normal(size=(6, 21)).repeat(2, axis=0)
    panel = pd.DataFrame(of_family + 0.1 * rng.normal(size=(12, 21)), index=list(FAMILY_OF))
    pairs = gains.pairs_by_family(gains.task_correlations(panel), FAMILY_OF)
    assert min(pairs["same family"].values()) > 0.9
    assert abs(np.mean(list(pairs["other families"].values()))) < 0.2
