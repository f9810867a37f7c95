"""Results as text for people: aligned columns, figures with their uncertainty."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from autoplace.cli._table import table
from autoplace.cli._terminal import wrapped
from predictors.vocabulary import Role

if TYPE_CHECKING:
    from autoplace.agent import (
        DryRun,
        MergeResult,
        PickResult,
        ProbeResult,
        RefineResult,
        RetrainResult,
        SyncResult,
    )

BEST_EDGES = 15


def print_json(value: Any) -> None:
    """Print one line of strict JSON on stdout; NaN becomes null."""
    from autoplace.tracking import to_json

    click.echo(to_json(value))


def _without_rank(spec: str) -> str:
    return re.sub(r"([:,])r=[0-9]+,?", r"\1", spec).rstrip(":,")


_RUN = re.compile(r"(?P<edges>[0-9>+]+)@(?P<spec>[^+;]+)")


def shortened(placement: str, width: int = 44) -> str:
    """Shorten a placement's text to fit a column; shortened text gives the numbers of edges.

    Examples
    --------
    >>> shortened("0>1+1>2+2>3+3>4+4>5+5>6+6>7+7>8+8>9@bottleneck:r=2")
    '0>1+1>2+2>3+3>4+…(9 edges)@bottleneck:r=2'
    >>> shortened("0>1+2>3+4>5@lora:maps=qkvo,r=2+6>7+8>9+10>11@lora:maps=qkvo,r=1")
    '3@lora:maps=qkvo,r=2 + 3@lora:maps=qkvo,r=1'
    """
    if len(placement) <= width:
        return placement
    runs = [(run["spec"], run["edges"].count(">")) for run in _RUN.finditer(placement)]
    if len({spec for spec, _ in runs}) > 1:
        # Kind with options, without the rank, or the kind alone: the first that is short.
        for short in (str, _without_rank, lambda spec: spec.partition(":")[0]):
            counts: Counter[str] = Counter()
            for spec, count in runs:
                counts[short(spec)] += count
            text = " + ".join(f"{count}@{spec}" for spec, count in counts.items())
            if len(text) <= width:
                break
        return text
    edges = placement.count(">")
    tail = f"…({edges} edges)@" + placement.rpartition("@")[2]
    return placement[: max(width - len(tail), 8)].rpartition("+")[0] + "+" + tail


def render_pick(result: PickResult) -> str:
    """Render the ranking, the test figures with intervals, and what to do next."""
    task = result.task
    compared = result.ranking[result.ranking["folds"] > 0]
    ranking = [
        (
            number,
            shortened(row["placement"]),
            row["role"],
            row["score"],
            row["predicted"],
            row["val_metric"],
            row["gain"],
            row["val_loss"],
            row["parameters"],
        )
        for number, row in enumerate(compared.to_dict(orient="records"), start=1)
    ]
    header = ("#", "placement", "role", "score", "predicted", "val", "gain", "val loss", "params")
    rates = ", ".join(f"{kind} {found.rate:g}" for kind, found in result.rates.items())
    folds = int(compared["folds"].max())
    over = f", mean over {folds} folds or seeds" if folds > 1 else ""
    against = " and ".join(filter(None, (result.usual, Role.HEAD_ONLY)))
    lines = [
        f"{task.name}: {task.train} train, {task.val} val, {task.test} test images, "
        f"{task.classes} classes; backbone {task.backbone}, {task.nodes} nodes, "
        f"{task.nodes**2} edges",
        f"{result.n_candidates} candidates under one parameter budget, "
        f"ranked by the {result.predictor} predictor",
        f"Learning rates, the same for all placements of a kind: {rates}",
        *(
            f"Race: epoch {rung.epoch}, {rung.kept} of {rung.started} candidates stayed"
            for rung in result.rungs
        ),
        "",
        f"Validation {result.metric}{over}; gain: over head-only; score: from metric, loss and "
        f"prediction, the highest wins (except in ties, and against {against})",
        table(header, ranking),
        "",
        *_tested(result),
    ]
    for role, each in result.differences.items():
        lines.append(
            f"winner - {role}: {each.difference:+.4f}, "
            f"95 % interval {each.low:+.4f} to {each.high:+.4f}"
            + ("" if each.excludes_zero else " (not significant)")
        )
    lines += _verdict(result)
    lines += [
        f"Cost, in trainings of every-block: search {result.search_cost:.1f}, "
        f"whole pick {result.total_cost:.1f}",
        "",
        f"Winner {result.winner}",
        f"  in {result.folder}",
        f"  autoplace predict {result.run_id} IMAGE...",
        f"  autoplace ui    # everything, in MLflow; took {result.seconds:.0f} s",
    ]
    return _text(lines)


def _tested(result: PickResult) -> list[str]:
    """Test figures of the winner and of what it is compared with."""
    if not result.tested:
        return ["The time budget ran out before the winner could be tested."]
    what = "training and validation images" if result.refitted else "training images"
    return [
        f"Test {result.metric} (read once, after the choice; trained on {what})",
        table(
            ("", "mean", "seeds", "what"),
            [
                (role, tested.mean, len(tested.seeds) or None, shortened(tested.what))
                for role, tested in result.tested.items()
            ],
        ),
    ]


def _verdict(result: PickResult) -> list[str]:
    """Say plainly what the winner is worth."""
    lines = []
    role = result.winner_role
    if role in (result.usual, Role.HEAD_ONLY):
        clearly = "clearly " if role is result.usual else ""
        lines.append(f"No predicted placement {clearly}beat {role} on validation.")
    elif role.is_baseline:
        lines.append(f"No predicted placement was chosen over {role} on validation.")
    better = [role for role, each in result.differences.items() if each.difference <= 0]
    if better:
        lines.append(f"The winner is not ahead of {' and '.join(better)} on test.")
    if result.deadline_reached:
        lines.append("The time budget ran out: this is the best of the finished trials.")
    return lines


def render_merge(result: MergeResult) -> str:
    """Render what was merged, and the figures of every start."""
    task, differences = result.task, result.differences
    images = f"{result.images} training images"
    if result.shots:
        images += f" (at most {result.shots} of each class)"
    how = f" (cost: {result.cost}, solver: {result.solver})" if result.method == "transport" else ""
    rows = []
    for name, tested in result.tested.items():
        each = differences.get(name)  # None for the merged start itself
        interval = None if each is None else f"{each.low:+.4f} to {each.high:+.4f}"
        if each is not None and not each.excludes_zero:
            interval = f"{interval} (not significant)"
        rows.append(
            (
                name if each else f"merged by {name}",
                f"{result.rates[name].rate:g}",
                result.validation[name],
                tested.mean,
                each and each.difference,
                interval,
            )
        )
    better = [name for name, each in differences.items() if each.difference <= 0]
    lines = [
        f"{task.name}: {images}, {task.val} val, {task.test} test images, {task.classes} "
        f"classes; backbone {task.backbone}",
        f"Merged {len(result.runs)} runs on {shortened(str(result.placement))} by "
        f"{result.method}{how}",
        "",
        f"{result.metric}, mean (seeds: {len(result.tested[result.method].seeds)}); every start "
        "has the same images and epochs, and its own learning rate",
        table(("start", "rate", "val", "test", "merged - this", "95 % interval"), rows),
    ]
    if better:
        lines.append(f"The merged start is not ahead of {' and '.join(better)} on test.")
    lines += [
        "",
        f"Merged and fine-tuned model in {result.folder}",
        f"  autoplace predict {result.run_id} IMAGE...",
        f"  autoplace ui    # everything, in MLflow; took {result.seconds:.0f} s",
    ]
    return _text(lines)


def render_probe(result: ProbeResult, folder: object) -> str:
    """Render the best predicted edges with their statistics."""
    edges = result.to_dict()["edges"][:BEST_EDGES]
    columns = ("edge", "kind", "predicted", "gradient_rank", "stable_rank", "frobenius_norm", "snr")
    return _text(
        [
            f"Best {len(edges)} single edges, ranked by the {result.predictor} predictor "
            "(predicted: gain over head-only)",
            table(columns, [[edge[column] for column in columns] for edge in edges]),
            "",
            f"Tables of edges, nodes, task and sites (Parquet), and heat maps: {folder}",
        ]
    )


def render_refine(result: RefineResult) -> str:
    """Render both sides of a refinement and where the refined winner is."""
    each = result.difference
    rows = [
        (name, side.mean("val"), side.mean("test"), side.parameters)
        for name, side in result.sides.items()
    ]
    return _text(
        [
            f"{result.placement}, {result.epochs} epochs {result.told_rates}, "
            f"seeds: {len(result.seeds)}",
            f"Without and with {result.procedure}, {result.metric}",
            table(("", "val", "test", "params"), rows),
            f"with - without, on test: {each.difference:+.4f}, "
            f"95 % interval {each.low:+.4f} to {each.high:+.4f}"
            + ("" if each.excludes_zero else " (not significant)"),
            "",
            f"Refined winner {result.refined}",
            f"  in {result.folder}",
            f"  autoplace predict {result.run_id} IMAGE...",
        ]
    )


def render_dry_run(result: DryRun) -> str:
    """Render what would be done, and the estimate by phase."""
    phases = "\n".join(
        f"  {phase:<15}{duration(seconds):>10}" for phase, seconds in result.phases.items()
    )
    return wrapped(
        f"Would predict the gain of up to {result.candidates} candidates with the "
        f"{result.predictor} predictor, race {result.field} of them, compare {result.finalists} "
        f"finalists on {result.folds} fold{'s' * (result.folds > 1)},\n"
        f"and train the winner and each baseline {result.seeds} times for the test:\n{phases}\n"
        f"Estimated time: {duration(result.estimated_seconds)}, extrapolated from a few images; "
        f"expect {duration(result.low)} to {duration(result.high)}. "
        "Nothing was trained or recorded."
    )


def duration(seconds: float) -> str:
    """Write a time in seconds, minutes or hours, whatever is short."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def render_retrain(result: RetrainResult) -> str:
    """Render the comparison on left-out families and the decision."""
    decision = result.decision
    scores = decision.scores.sort_values("spearman", ascending=False)
    rows = [(name, *scores.loc[name]) for name in scores.index]
    verdict = f"promoted as version {result.version}" if decision.promoted else "not promoted"
    count = sum(result.set_aside.values())
    aside = f"; {count} finished trials set aside" if count else ""
    return _text(
        [
            f"{result.rows} placements, {result.new_rows} of them new, "
            f"families: {', '.join(result.families)}{aside}",
            table(("predictor", "spearman", "regret@1", "regret@5"), rows),
            f"The challenger was {verdict}: {decision.reason}.",
        ]
    )


def render_sync(result: SyncResult) -> str:
    """Render what was sent, a line for each run."""
    if not result.runs:
        return wrapped(f"{result.store} lacks nothing of the ledgers beside it.")
    return _text(
        [f"{run}: {count} trials that the store lacked" for run, count in result.runs.items()]
    )


def _text(lines: list[str]) -> str:
    return wrapped("\n".join(lines))
