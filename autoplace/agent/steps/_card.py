"""The card that travels with a winner."""

from __future__ import annotations

from autoplace.agent.steps._pick_result import PickResult
from autoplace.agent.steps._refit import WINNER
from autoplace.training import Task


def winner_card(result: PickResult, task: Task) -> str:
    """Write Markdown that says what the model is, how well it does and what it is compared with."""
    images = "all training and validation images" if result.refitted else "the training images"
    last = f"Validation chose the winner; then it and the baselines were trained on {images}, and"
    if result.deadline_reached:
        last = f"Validation chose the winner among what was trained on {images} in time, and"
    lines = [
        f"# {task.chain.name} adapted to {task.data.name}",
        "",
        f"Placement `{result.winner}`, found by `autoplace pick` (run {result.run_id}).",
        f"Classes: {', '.join(task.data.classes[:20])}"
        + (" …" if len(task.data.classes) > 20 else ""),
        "",
        f"| test {result.metric} | mean over seeds | seeds |",
        "|---|---|---|",
    ]
    for role, tested in result.tested.items():
        lines.append(f"| {role} | {tested.mean:.4f} | {len(tested.seeds) or 1} |")
    lines.append("")
    for role, each in result.differences.items():
        lines.append(
            f"Winner minus {role}: {each.difference:+.4f} "
            f"(95 % bootstrap interval {each.low:+.4f} to {each.high:+.4f})."
        )
    rates = ", ".join(f"{kind} {found.rate:g}" for kind, found in result.rates.items())
    if not result.tested:
        lines[-4:] = ["The time budget ran out before it could be tested.", ""]
        last = last.removesuffix(", and") + "."
    read_once = "the test split was read once. " if result.tested else ""
    seed = f"seed {result.tested[WINNER].seeds[0]}" if result.tested else "the first seed"
    lines += [
        "",
        f"Learning rates, the same for every placement of a kind: {rates}.",
        *(
            f"The training of {role} with seed {seed} collapsed and was repeated at {rate:g}."
            for role, tested in result.tested.items()
            for seed, rate in tested.lowered.items()
            if seed not in tested.collapsed
        ),
        *(
            f"The training of {role} with seed {seed} collapsed, and counts for want of a better."
            for role, tested in result.tested.items()
            for seed in tested.collapsed
        ),
        "",
        last,
        f"{read_once}The stored model is that of {seed}. The backbone's",
        "weights are not stored here.",
        "",
    ]
    return "\n".join(lines)
