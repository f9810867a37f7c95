"""`autoplace refine`: train the winner of a pick again, without and with a procedure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from autoplace.agent.steps._picked import Picked, read_picked
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._rates import with_rates
from autoplace.agent.steps._refine_record import RefineRecord
from autoplace.agent.steps._save import save_winner
from autoplace.agent.steps._store import open_store
from autoplace.agent.steps._testing import TestReport
from autoplace.model import AdaptedModel
from autoplace.procedures import Procedure, Refined, Trainer, parse_procedure
from autoplace.settings import RefineSettings
from autoplace.training import (
    Interval,
    Task,
    TaskSummary,
    Trial,
    metric_value,
    paired_difference,
    predict_split,
)
from predictors.vocabulary import Role

WITHOUT, WITH = "without", "with"


@dataclass(frozen=True)
class Side:
    """One side of the comparison, over seeds.

    Attributes
    ----------
    val, test : tuple of float
        The metric of each seed.
    parameters : int
        Adapter parameters that were trained to the end, with the first seed.

    Examples
    --------
    >>> Side(val=(0.5, 0.75), test=(0.5, 0.5), parameters=386).mean("val")
    0.625
    """

    val: tuple[float, ...]
    test: tuple[float, ...]
    parameters: int

    def mean(self, split: str) -> float:
        """Return the mean over seeds on `val` or `test`."""
        return float(np.mean(getattr(self, split)))


@dataclass(frozen=True)
class RefineResult:
    """The outcome of a refinement.

    Attributes
    ----------
    run_id : str
        Id of its run in MLflow.
    folder : Path
        Folder of the refined winner, which `autoplace.load` reads.
    picked : str
        Id of the run whose winner was trained again.
    task : TaskSummary
        The task.
    metric : str
        The metric of the comparison.
    procedure : str
        Text form of the procedure.
    placement, refined : str
        The winner's placement, and that of the saved model.
    rates : dict of str to float
        The peak rate of each adapter kind, the same on both sides.
    epochs : int
        Passes over the training images, the same for both.
    seeds : tuple of int
        Seeds of the trainings.
    sides : dict of str to Side
        `without` and `with` the procedure.
    difference : Interval
        With minus without, on test.
    chose : dict
        What the procedure decided, with the first seed.
    seconds : float
        Wall time.

    Examples
    --------
    >>> from dataclasses import fields
    >>> [field.name for field in fields(RefineResult)][:3]
    ['run_id', 'folder', 'picked']
    """

    run_id: str
    folder: Path
    picked: str
    task: TaskSummary
    metric: str
    procedure: str
    placement: str
    refined: str
    rates: dict[str, float]
    epochs: int
    seeds: tuple[int, ...]
    sides: dict[str, Side]
    difference: Interval
    chose: dict[str, Any]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self) | {"folder": str(self.folder)}

    @property
    def told_rates(self) -> str:
        """The rates for the user."""
        if len(set(self.rates.values())) == 1:
            return f"at a learning rate of {next(iter(self.rates.values())):g}"
        return "at learning rates of " + ", ".join(f"{k} {r:g}" for k, r in self.rates.items())


@dataclass
class _Trained:
    """The trainings of one side: models of the first seed, scores and logits of all."""

    first: Refined
    val: list[float]
    test: list[np.ndarray]
    labels: np.ndarray


def refine(
    run: str, procedure_text: str, settings: RefineSettings, progress: Progress | None = None
) -> RefineResult:
    """Train the winner of a pick again, without and with a procedure, and compare the two.

    See `autoplace.refine`.

    Raises
    ------
    UserError
        Something that the user can fix; nothing has been trained if it is about the input.
    """
    started = time.perf_counter()
    progress = progress or Progress()
    procedure = parse_procedure(procedure_text)
    store = open_store(settings.store, progress)
    picked = read_picked(store, run, settings, progress)
    procedure.check(picked.placement, picked.task.chain.shape)
    procedure.check_epochs(picked.settings.epochs)
    trials = [
        with_rates(
            Trial(picked.placement, picked.task.seed + extra, Role.REFIT, str(procedure)),
            picked.rates,
        )
        for extra in range(settings.seeds)
    ]
    with RefineRecord(store, picked, str(procedure), settings, progress) as record:
        progress.stage(f"Training without and with {procedure}", 2 * len(trials))
        sides = {
            WITHOUT: _train(picked, trials, _ordinary, record, progress, WITHOUT),
            WITH: _train(picked, trials, procedure.run, record, progress, WITH),
        }
        result = _result(picked, procedure, trials, sides, record)
        result = replace(result, seconds=time.perf_counter() - started)
        record.log_result(result.to_dict())
        report = TestReport({}, {}, sides[WITH].first.model, sides[WITH].test[0],
                            sides[WITH].labels)  # fmt: skip
        about = {"text": str(procedure), "picked": run, **result.chose}
        card = _card(result, picked.task)
        save_winner(
            picked.task, report, result.folder, card, picked.checkpoint, record.journal, progress,
            procedure=about,
        )  # fmt: skip
    return result


def _ordinary(trainer: Trainer) -> Refined:
    """Train as every trial is trained."""
    model = trainer.fresh_model()
    outcome = trainer.train(model)
    return Refined(model.eval(), outcome.parameters, outcome)


def _train(
    picked: Picked,
    trials: list[Trial],
    run: Callable[[Trainer], Refined],
    record: RefineRecord,
    progress: Progress,
    side: str,
) -> _Trained:
    """Train with every seed, and predict validation and test."""
    task, trained = picked.task, None
    for trial in trials:
        with record.trial(trial, side) as (report, end):
            refined = run(Trainer(task, trial, picked.settings, report))
            val = _metric(task, refined.model, "val")
            logits, labels = predict_split(task, refined.model, "test")
            test = metric_value(task.metric, labels, logits)
            end({"parameters": float(refined.parameters), f"val_{task.metric}": val,
                 f"test_{task.metric}": test})  # fmt: skip
        progress.advance(f"{side}, seed {trial.seed}: {task.metric} {val:.4f} on validation")
        trained = trained or _Trained(refined, [], [], labels)
        trained.val.append(val)
        trained.test.append(logits)
    assert trained is not None
    return trained


def _metric(task: Task, model: AdaptedModel, split: str) -> float:
    logits, labels = predict_split(task, model, split)
    return metric_value(task.metric, labels, logits)


def _result(
    picked: Picked,
    procedure: Procedure,
    trials: list[Trial],
    trained: dict[str, _Trained],
    record: RefineRecord,
) -> RefineResult:
    task = picked.task
    labels = trained[WITH].labels
    return RefineResult(
        run_id=record.journal.run.run_id,
        folder=record.journal.folder / "winner",
        picked=picked.run_id,
        task=task.summary,
        metric=task.metric,
        procedure=str(procedure),
        placement=str(picked.placement),
        refined=str(trained[WITH].first.model.placement),
        rates=picked.rates,
        epochs=picked.settings.epochs,
        seeds=tuple(trial.seed for trial in trials),
        sides={
            name: Side(
                tuple(side.val),
                tuple(metric_value(task.metric, labels, logits) for logits in side.test),
                side.first.parameters,
            )
            for name, side in trained.items()
        },
        difference=paired_difference(
            task.metric, labels, np.stack(trained[WITH].test), np.stack(trained[WITHOUT].test)
        ),
        chose=dict(trained[WITH].first.chose),
        seconds=0.0,
    )


def _card(result: RefineResult, task: Task) -> str:
    """Write Markdown that says what the model is and what it is compared with."""
    lines = [
        f"# {task.chain.name} adapted to {task.data.name}, refined",
        "",
        f"Placement `{result.refined}`, trained by `autoplace refine` (run {result.run_id}) with",
        f"`{result.procedure}`, from the winner `{result.placement}` of run {result.picked}.",
        "",
        f"| {result.metric} | validation | test | parameters |",
        "|---|---|---|---|",
    ]
    for name, side in result.sides.items():
        lines.append(
            f"| {name} | {side.mean('val'):.4f} | {side.mean('test'):.4f} | {side.parameters} |"
        )
    lines += [
        "",
        f"Means over {len(result.seeds)} seeds. Both were trained on the training images, for",
        f"{result.epochs} epochs, {result.told_rates}. The stored model is that of the first seed.",
        "The backbone's weights are not stored here.",
        "",
    ]
    return "\n".join(lines)
