"""Statistics of the placement log: each is a number per task, and then a mean over tasks.

Gains are over head-only and on test, so nothing may be chosen by these numbers. Intervals are 95 %
percentile intervals from a bootstrap over whole families, because tasks of one family are not
independent evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from panel import read_panel
from plans import SHORT
from scipy.stats import spearmanr

DRAWS = 2000
STATISTICS = ("gradient_rank", "stable_rank", "frobenius_norm", "snr")


def tidy(trials: pd.DataFrame) -> pd.DataFrame:
    """Return finished trials with adapters, with their gains and their `slot` in the panel.

    `gain` is on test, `val_gain` and `loss_gain` on validation, and `measured_gain` on the
    measurement split, NaN where a task has none.

    Raises ValueError if they ran under several protocols or optimisers, which cannot be compared.
    """
    done = trials[(trials["status"] == "done") & (trials["placement"] != "head-only")].copy()
    for column in ("protocol", "optimiser"):
        if done[column].nunique() > 1:
            names = ", ".join(sorted(set(done[column])))
            raise ValueError(f"the log has trials under {names}; choose one with --{column}")
    done["gain"] = done["test_accuracy"] - done["head_only_test_accuracy"]
    done["val_gain"] = done["val_accuracy"] - done["head_only_val_accuracy"]
    done["measured_gain"] = done["measured_accuracy"] - done["head_only_measured_accuracy"]
    done["loss_gain"] = done["head_only_val_loss"] - done["val_loss"]
    slots = {}
    for backbone in set(done["backbone"]):
        for number, (name, placement) in enumerate(read_panel(backbone, SHORT)):
            slots[backbone, str(placement)] = f"{number:02d} {name}"
    # Values of the first edge, which is the only edge of single edges.
    done[["source", "target"]] = done["placement"].str.extract(r"^(\d+)>(\d+)").astype(int)
    keys = zip(done["backbone"], done["placement"], strict=True)
    done["slot"] = [slots.get(key) for key in keys]
    return done


def bottlenecks(done: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of bottlenecks alone, the kind of the panel and of the paper."""
    return done[done["adapter_kind"] == "bottleneck"]


def panel_matrix(done: pd.DataFrame, backbone: str, column: str = "gain") -> pd.DataFrame:
    """Return outcomes of the common panel with seed 0: one row per task, one column per slot."""
    rows = done[(done["backbone"] == backbone) & (done["seed"] == 0) & done["slot"].notna()]
    table = rows.pivot_table(index="task_name", columns="slot", values=column, aggfunc="first")
    return table.dropna()


def families(done: pd.DataFrame) -> dict[str, str]:
    """Return the family of each task."""
    return dict(zip(done["task_name"], done["family"], strict=True))


def mean_with_interval(values: Mapping[str, float], family_of: Mapping[str, str]) -> dict:
    """Return the mean over tasks with its interval; tasks without a value do not count."""
    known = {task: value for task, value in values.items() if np.isfinite(value)}
    if not known:
        return {"mean": None, "low": None, "high": None, "tasks": 0}
    by_family: dict[str, list[float]] = {}
    for task, value in known.items():
        by_family.setdefault(family_of[task], []).append(value)
    sums = np.array([[sum(each), len(each)] for each in by_family.values()])
    rng = np.random.default_rng(0)
    drawn = sums[rng.integers(len(sums), size=(DRAWS, len(sums)))].sum(1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], (2.5, 97.5))
    mean = float(np.mean(list(known.values())))
    return {"mean": mean, "low": float(low), "high": float(high), "tasks": len(known)}


def spreads(done: pd.DataFrame, backbone: str) -> pd.DataFrame:
    """Return, per task, the SDs over placements and seeds, their ratio and signs of overfitting.

    The SD over seeds is pooled over the placements that ran with more than one seed. The SD over
    placements is computed from single runs, so it includes the effect of seeds.
    """
    ours = done[done["backbone"] == backbone]
    panel = panel_matrix(done, backbone)
    rows = []
    for task, gains in panel.iterrows():
        mine = ours[(ours["task_name"] == task) & ours["slot"].notna()]
        first = mine[mine["seed"] == 0]
        variances = mine.groupby("slot")["gain"].var()
        seeds = float(np.sqrt(variances.mean()))
        rows.append(
            {
                "task": task,
                "head_only": float(first["head_only_test_accuracy"].iloc[0]),
                "mean_gain": float(gains.mean()),
                "best_gain": float(gains.max()),
                "spread_placements": float(gains.std()),
                "spread_seeds": seeds,
                "ratio": float(gains.std() / seeds) if seeds > 0 else np.nan,
                "share_worse_than_head_only": float((gains < 0).mean()),
                "loss_rose": float((first["loss_gain"] < 0).mean()),
            }
        )
    return pd.DataFrame(rows).set_index("task")


def repeated_tables(done: pd.DataFrame, backbone: str, column: str) -> dict[str, pd.DataFrame]:
    """Return an outcome for each task with three seeds: rows are slots, columns are seeds."""
    ours = done[(done["backbone"] == backbone) & done["slot"].notna()]
    found = {}
    for task, rows in ours.groupby("task_name"):
        table = rows.pivot_table(index="slot", columns="seed", values=column).dropna()
        if table.shape[1] >= 3:
            found[str(task)] = table
    return found


def reliability(done: pd.DataFrame, backbone: str, column: str) -> dict[str, float]:
    """Return, per repeated task, the mean Spearman correlation between pairs of seeds."""
    return {
        task: float(np.mean([_rank(table[a], table[b]) for a, b in combinations(table, 2)]))
        for task, table in repeated_tables(done, backbone, column).items()
    }


def agreement(done: pd.DataFrame, backbone: str, column: str) -> dict[str, float]:
    """Return, per task, the Spearman correlation of an outcome with the gain on test."""
    test, other = (panel_matrix(done, backbone, each) for each in ("gain", column))
    tasks = test.index.intersection(other.index)  # some tasks have no measurement split
    return {str(task): _rank(test.loc[task], other.loc[task]) for task in tasks}


def variance_components(
    panel: pd.DataFrame, family_of: Mapping[str, str], noise: float
) -> dict[str, dict[str, float]]:
    """Divide the variance of gains, standardised within tasks, into shares.

    `placement` is the effect that a placement has on every task. `task` is the interaction of
    placement and task. `noise` is the effect of the seed, estimated on the repeated tasks; if it is
    NaN because there are none, it is a part of `task`. Tasks on which all placements gain the same
    do not count. The shares come from a two-way layout without replication, by the method of
    moments. The intervals come from a jackknife over families, because a bootstrap would draw some
    families twice, and a task agrees with itself.
    """

    def shares(table: np.ndarray) -> tuple[float, float]:
        z = (table - table.mean(1, keepdims=True)) / table.std(1, keepdims=True)
        tasks, slots = z.shape
        between = tasks * z.mean(0).var(ddof=1)
        residual = z - z.mean(0)
        within = (residual**2).sum() / ((tasks - 1) * (slots - 1))
        placement = max(0.0, (between - within) / tasks)
        total = placement + within
        return placement / total, within / total

    panel = panel[panel.std(axis=1) > 0]
    placement, rest = shares(panel.to_numpy())
    of_task = panel.index.map(family_of)
    left_out = np.array([shares(panel[of_task != name].to_numpy()) for name in set(of_task)])
    m = len(left_out)
    error = 1.96 * np.sqrt((m - 1) / m * ((left_out - left_out.mean(0)) ** 2).sum(0))
    own = rest - np.nan_to_num(noise)
    return {
        "placement": {
            "share": placement,
            "low": max(0.0, placement - float(error[0])),
            "high": min(1.0, placement + float(error[0])),
        },
        "task": {
            "share": max(0.0, own),
            "low": max(0.0, own - float(error[1])),
            "high": min(1.0, max(0.0, own) + float(error[1])),
        },
        "noise": {"share": noise},
    }


def noise_share(done: pd.DataFrame, backbone: str) -> float:
    """Return the share of the variance over placements due to seeds, as a mean over tasks."""
    tables = repeated_tables(done, backbone, "gain").values()
    shares = [table.var(axis=1).mean() / table.var(axis=0).mean() for table in tables]
    return float(np.mean(shares)) if shares else float("nan")


def task_correlations(panel: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman correlations of the panel's gains between tasks, (tasks, tasks)."""
    return panel.T.corr(method="spearman")


def pairs_by_family(
    correlations: pd.DataFrame, family_of: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """Return mean correlations of tasks with others of the same family and of other families."""
    found: dict[str, dict[str, float]] = {"same family": {}, "other families": {}}
    for task in correlations.index:
        others = correlations[task].drop(task)
        same = np.array([family_of[other] == family_of[task] for other in others.index])
        if same.any():
            found["same family"][task] = float(others[same].mean())
        found["other families"][task] = float(others[~same].mean())
    return found


def contrasts(done: pd.DataFrame, backbone: str) -> dict[str, dict[str, float]]:
    """Return differences of mean gains between parts of the panel, per task.

    "Best" is chosen by validation accuracy (ties by loss), and its gain is that on test.
    """
    first = done[(done["backbone"] == backbone) & (done["seed"] == 0) & done["slot"].notna()]
    found: dict[str, dict[str, float]] = {}
    for task in panel_matrix(done, backbone).index:  # tasks on which the whole panel finished
        rows = first[first["task_name"] == task]
        rows = rows.assign(kind=rows["slot"].str[3:])
        single = rows["n_edges"] == 1

        def mean(part: pd.Series, rows: pd.DataFrame = rows) -> float:
            return float(rows.loc[part, "gain"].mean())

        def best(part: pd.Series, rows: pd.DataFrame = rows) -> float:
            order = rows[part].sort_values(["val_gain", "loss_gain"])
            return float(order["gain"].iloc[-1])

        kind, size = rows["kind"], rows["n_edges"]
        many = size == size[kind == "random"].max()
        values = {
            "sets - singles, mean": mean(~single) - mean(single),
            "best set - best single": best(~single) - best(single),
            "random n - 1 edges - every-block": mean((kind == "random") & many)
            - mean(kind == "every-block"),
            "random 6 edges - every-block": mean((kind == "random") & (size == 6))
            - mean(kind == "every-block"),
            "best of 1 to 3 edges - every-block": best(size <= 3) - mean(kind == "every-block"),
            "best of the panel - every-block": best(size > 0) - mean(kind == "every-block"),
            "every-block - head-only": mean(kind == "every-block"),
            "long-range - parallel": mean(kind == "long-range") - mean(kind == "parallel"),
            "recurrent - parallel": mean(kind == "recurrent") - mean(kind == "parallel"),
            "sequential - parallel": mean(kind == "sequential") - mean(kind == "parallel"),
            "GGA 6 - random 6": mean((kind == "gga") & (size == 6))
            - mean((kind == "random") & (size == 6)),
            "first 6 - last 6": mean(kind == "first-k") - mean(kind == "last-k"),
        }
        for name, value in values.items():
            found.setdefault(name, {})[str(task)] = value
    return found


def same_target(done: pd.DataFrame, backbone: str) -> dict[str, dict[str, float]]:
    """Return differences between kinds of single edges with the same target, per task.

    They come from the maps of single edges, where every target has sources of all kinds.
    """
    rows = done[(done["backbone"] == backbone) & (done["chosen_by"] == "map")]
    order = np.sign(rows["target"] - rows["source"])
    kinds = order.map({-1: "recurrent", 0: "sequential", 1: "forward"})
    table = rows.assign(kind=kinds).pivot_table(
        index=["task_name", "target"], columns="kind", values="gain"
    )
    found = {}
    for one, two in (("recurrent", "forward"), ("forward", "sequential")):
        if {one, two} <= set(table.columns):
            means = (table[one] - table[two]).groupby(level=0).mean()
            found[f"{one} - {two}"] = {str(task): float(v) for task, v in means.items()}
    return found


def statistic_correlations(
    done: pd.DataFrame, probes: Mapping[str, Mapping[str, pd.DataFrame]], backbone: str
) -> dict[str, dict[str, float]]:
    """Correlate single edges' gains with the probe's statistics and with depth, per task."""
    singles = done[(done["backbone"] == backbone) & (done["n_edges"] == 1) & (done["seed"] == 0)]
    found: dict[str, dict[str, float]] = {}
    for task, rows in singles.groupby("task_name"):
        edges = probes[rows["probe_key"].iloc[0]]["edges"].set_index(["source", "target"])
        measured = edges.loc[list(zip(rows["source"], rows["target"], strict=True))]
        columns = {
            **{name: measured[name].to_numpy() for name in STATISTICS},
            "lower target": -rows["target"].to_numpy(),
            "lower source": -rows["source"].to_numpy(),
        }
        for name, column in columns.items():
            found.setdefault(name, {})[str(task)] = _rank(column, rows["gain"].to_numpy())
    return found


def by_number_of_edges(done: pd.DataFrame, backbone: str) -> dict[int, dict[str, float]]:
    """Return the mean gain of random placements on each task, per number of edges."""
    names = ("panel:random", "random-set", "random-single", "map")
    rows = done[
        (done["backbone"] == backbone) & (done["seed"] == 0) & done["chosen_by"].isin(names)
    ]
    means = rows.groupby(["n_edges", "task_name"])["gain"].mean()
    return {
        int(size): {str(task): float(value) for (_, task), value in part.items()}
        for size, part in means.groupby(level=0)
    }


def _rank(one: object, two: object) -> float:
    """Return the Spearman correlation; 0 if one side is constant, because it orders nothing."""
    value = spearmanr(one, two).statistic if len(set(one)) > 1 and len(set(two)) > 1 else 0.0
    return float(value)
