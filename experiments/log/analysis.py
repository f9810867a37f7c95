"""Analyse the placement log: write numbers to `analysis.json`, figures to `docs/figures`.

python experiments/log/analysis.py            # the shipped log
python experiments/log/analysis.py --log DIR  # another log
python experiments/log/analysis.py --protocol found-rate  # if a log has several
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import gains
import numpy as np
import pandas as pd
from kinds import by_kind, what_and_where
from matplotlib.figure import Figure

from predictors import PlacementLog, Protocol, log_stats, read_log, shipped_log

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from machine import describe_machine

HERE = Path(__file__).parent
FIGURES = Path(__file__).parents[2] / "docs" / "figures"
OUTCOMES = ("gain", "measured_gain", "val_gain", "loss_gain")


def analyse(log: PlacementLog) -> dict[str, Any]:
    """Compute all numbers, by backbone."""
    everything = gains.tidy(log.trials)
    done = gains.bottlenecks(everything)
    family_of = gains.families(everything)

    def mean(values: dict[str, float]) -> dict:
        return gains.mean_with_interval(values, family_of)

    report: dict[str, Any] = {"trials": int(log_stats(log)["trials"].sum()), "backbones": {}}
    for backbone in sorted(set(done["backbone"])):
        panel = gains.panel_matrix(done, backbone)
        noise = gains.noise_share(done, backbone)
        spreads = gains.spreads(done, backbone)
        report["backbones"][backbone] = {
            "tasks": spreads.round(4).reset_index().to_dict("records"),
            "reliability": {
                column: {"tasks_by_name": found, **mean(found)}
                for column in OUTCOMES
                for found in [gains.reliability(done, backbone, column)]
            },
            "agreement_with_test": {
                column: mean(gains.agreement(done, backbone, column)) for column in OUTCOMES[1:]
            },
            "variance_components": gains.variance_components(panel, family_of, noise),
            "task_correlations": {
                name: mean(values)
                for name, values in gains.pairs_by_family(
                    gains.task_correlations(panel), family_of
                ).items()
            },
            "contrasts": {
                name: mean(values) for name, values in gains.contrasts(done, backbone).items()
            },
            "same_target": {
                name: mean(values) for name, values in gains.same_target(done, backbone).items()
            },
            "statistics": {
                name: {"tasks_by_name": values, **mean(values)}
                for name, values in gains.statistic_correlations(done, log.probes, backbone).items()
            },
            "by_number_of_edges": {
                size: mean(values)
                for size, values in gains.by_number_of_edges(done, backbone).items()
            },
        }
    for backbone, part in report["backbones"].items():
        part["single_edges"] = single_edges(done, backbone, family_of)
        for section, found in (("kinds", by_kind), ("what_where", what_and_where)):
            values = found(everything, backbone)
            part[section] = {name: mean(each) for name, each in values.items()}
    report["between_backbones"] = mean(_between_backbones(done))
    return report


def single_edges(done: pd.DataFrame, backbone: str, family_of: dict[str, str]) -> dict[str, Any]:
    """Compute the main numbers from single edges alone, which have one size and one rank."""
    ones = done[done["n_edges"] == 1]
    panel = gains.panel_matrix(ones, backbone)
    ratios = gains.spreads(ones, backbone)["ratio"].dropna()
    pairs = gains.pairs_by_family(gains.task_correlations(panel), family_of)
    numbers = {
        "same family": pairs["same family"],
        "other families": pairs["other families"],
        "between seeds": gains.reliability(ones, backbone, "gain"),
        "validation with test": gains.agreement(ones, backbone, "val_gain"),
    }
    return {
        "placements": panel.shape[1],
        "tasks_above_seeds": int((ratios >= 2).sum()),
        "tasks_with_seeds": len(ratios),
        "variance_components": gains.variance_components(
            panel, family_of, gains.noise_share(ones, backbone)
        ),
        "correlations": {
            name: gains.mean_with_interval(values, family_of) for name, values in numbers.items()
        },
    }


def _plain(value: Any) -> Any:
    """Return JSON values; unknown numbers become null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _between_backbones(done: pd.DataFrame) -> dict[str, float]:
    """Correlate the panel's slots between the two backbones, per task."""
    names = sorted(set(done["backbone"]))[:2]
    if len(names) < 2:
        return {}
    one, two = (gains.panel_matrix(done, name) for name in names)
    slots = [slot for slot in one.columns if slot in two.columns]
    tasks = one.index.intersection(two.index)
    found = one.loc[tasks, slots].T.corrwith(two.loc[tasks, slots].T, method="spearman")
    return {str(task): float(value) for task, value in found.items()}


def heat_maps(done: pd.DataFrame, backbone: str) -> Figure:
    """Draw one map per task of the gains of single edges; rows are sources, columns targets."""
    singles = done[(done["backbone"] == backbone) & (done["n_edges"] == 1) & (done["seed"] == 0)]
    tasks = list(dict.fromkeys(singles["task_name"]))
    columns = 6
    lines = -(-len(tasks) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.6 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    n_nodes = int(singles["n_nodes"].iloc[0])
    for axis, task in zip(axes, tasks, strict=False):
        rows = singles[singles["task_name"] == task]
        limit = max(0.01, float(np.abs(rows["gain"]).max()))
        image = axis.scatter(
            rows["target"], rows["source"], c=rows["gain"], cmap="RdBu_r", vmin=-limit, vmax=limit,
            marker="s", s=75,
        )  # fmt: skip
        axis.plot([-1, n_nodes], [-1, n_nodes], color="grey", lw=0.5)
        axis.set(title=task, xlim=(-1, n_nodes), ylim=(n_nodes, -1))
        axis.title.set_fontsize(9)
        figure.colorbar(image, ax=axis, shrink=0.8)
    for axis in axes[len(tasks) :]:
        axis.axis("off")
    figure.suptitle(
        f"{backbone}: gain of single edges over head-only in test accuracy\n"
        "source node down, target node across; below the line: recurrent"
    )
    return figure


def correlation_maps(done: pd.DataFrame) -> Figure:
    """Draw the correlation of the panel's gains between tasks, one map per backbone."""
    names = sorted(set(done["backbone"]))
    figure = Figure(figsize=(8.2 * len(names), 7.4), layout="constrained")
    for axis, backbone in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        family_of = gains.families(done)
        panel = gains.panel_matrix(done, backbone)
        order = sorted(panel.index, key=lambda task: (family_of[task], task))
        table = gains.task_correlations(panel).loc[order, order]
        image = axis.imshow(table, cmap="RdBu_r", vmin=-1, vmax=1)
        axis.set_xticks(range(len(order)), order, rotation=90, fontsize=8)
        axis.set_yticks(range(len(order)), order, fontsize=8)
        axis.set_title(backbone)
        figure.colorbar(image, ax=axis, shrink=0.7)
    figure.suptitle("Spearman correlation between tasks of the common panel's test gains")
    return figure


def edges_curve(report: dict[str, Any]) -> Figure:
    """Draw the mean gain against the number of edges, with one budget."""
    figure = Figure(figsize=(6.2, 4.2), layout="constrained")
    axis = figure.subplots()
    for backbone, part in report["backbones"].items():
        sizes = [s for s, each in part["by_number_of_edges"].items() if each["tasks"] >= 5]
        rows = [part["by_number_of_edges"][size] for size in sizes]
        means = np.array([row["mean"] for row in rows])
        ends = np.array([[row["mean"] - row["low"], row["high"] - row["mean"]] for row in rows]).T
        axis.errorbar(sizes, means, yerr=ends, marker="o", capsize=3, label=backbone)
    axis.axhline(0, color="grey", lw=0.8)
    axis.set_xscale("log")
    shown = sorted({s for p in report["backbones"].values() for s in p["by_number_of_edges"]})
    axis.set_xticks(shown, [str(size) for size in shown])
    axis.minorticks_off()
    axis.set(
        xlabel="edges (more edges, less rank: one parameter budget)",
        ylabel="gain over head-only in test accuracy",
        title="Random placements of the extended space (95 % over families)",
    )
    axis.legend()
    return figure


def spread_chart(report: dict[str, Any]) -> Figure:
    """Draw the spread over placements against the spread over seeds, per task and backbone."""
    figure = Figure(figsize=(8.4, 6.4), layout="constrained")
    axis = figure.subplots()
    for backbone, part in report["backbones"].items():
        rows = pd.DataFrame(part["tasks"]).dropna(subset=["spread_seeds"])
        axis.scatter(rows["spread_seeds"], rows["spread_placements"], label=backbone)
        for _, row in rows.iterrows():
            place = (row["spread_seeds"], row["spread_placements"])
            axis.annotate(row["task"], place, fontsize=6, xytext=(3, 2), textcoords="offset points")
    axis.axline((0, 0), slope=1, color="grey", lw=0.8, ls=":")
    axis.axline((0, 0), slope=2, color="grey", lw=0.8, ls="--")
    axis.set(
        xlabel="SD over seeds, same placement (test accuracy)",
        ylabel="SD over the panel's placements",
        title="A task earns its place above the dashed line (ratio 2)",
    )
    axis.legend()
    return figure


def main() -> None:
    """Analyse the log and write numbers and figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, default=shipped_log())
    parser.add_argument("--protocol", choices=list(Protocol), help="default: the log's only one")
    parser.add_argument("--optimiser", help="as the log has it; default: the log's only one")
    parser.add_argument("--figures", type=Path, default=FIGURES)
    parser.add_argument("--out", type=Path, default=HERE / "analysis.json")
    arguments = parser.parse_args()
    log = read_log(arguments.log)
    for column in ("protocol", "optimiser"):
        if wanted := getattr(arguments, column):
            trials = log.trials[log.trials[column] == wanted]
            log = replace(log, trials=trials.reset_index(drop=True))
    done = gains.bottlenecks(gains.tidy(log.trials))
    report = _plain(analyse(log) | describe_machine())
    arguments.out.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    arguments.figures.mkdir(parents=True, exist_ok=True)
    figures = {
        "log-task-correlations": correlation_maps(done),
        "log-edges": edges_curve(report),
        **{f"log-map-{name}": heat_maps(done, name) for name in sorted(set(done["backbone"]))},
    }
    if any(row["ratio"] for part in report["backbones"].values() for row in part["tasks"]):
        figures["log-spreads"] = spread_chart(report)
    for name, figure in figures.items():
        figure.savefig(arguments.figures / f"{name}.png", dpi=80)


if __name__ == "__main__":
    main()
