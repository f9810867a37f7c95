"""The options of each command."""

from __future__ import annotations

from dataclasses import dataclass

from autoplace.settings._base import option
from autoplace.settings._groups import (
    DataSettings,
    InputSettings,
    PlacementSettings,
    PredictorSettings,
    ProbeSettings,
    StoreSettings,
    TaskSettings,
    TrialSettings,
)


@dataclass(frozen=True, kw_only=True)
class ProbeCommandSettings(
    StoreSettings, PredictorSettings, PlacementSettings, ProbeSettings, TaskSettings
):
    """Options of `autoplace probe`.

    Examples
    --------
    >>> ProbeCommandSettings(probe_images=64).images_for(10)
    64
    """


@dataclass(frozen=True, kw_only=True)
class PickSettings(
    StoreSettings,
    PredictorSettings,
    TrialSettings,
    InputSettings,
    PlacementSettings,
    ProbeSettings,
    TaskSettings,
):
    """Options of `autoplace pick`.

    Examples
    --------
    >>> PickSettings(budget="20m").top_k
    2
    """

    field_size: int = option(24, "Number of predicted placements that start the race.", low=1)
    top_k: int = option(2, "Number of placements that the race leaves as finalists.", low=1)
    patience: int | None = option(
        5,
        "Stop a trial when neither metric nor loss on validation has improved for this many "
        "epochs.",
        low=1,
    )
    folds: int | None = option(
        None,
        "Number of folds on which finalists, every-block and head-only are compared. The first is "
        "the split that the race used. If you supplied validation images, this is the number of "
        "seeds instead. Default: 2; 1 if the images cannot be divided.",
        low=1,
    )
    seeds: int = option(3, "Trainings of the winner and of each baseline for the test.", low=1)
    refit: bool = option(
        True,
        "Train the winner and the baselines again on training and validation images before test "
        "is read.",
    )
    merge: bool = option(
        False,
        "Fold the winner's adapters into the backbone's weights where that is exact, such as "
        "LoRA's.",
    )
    baselines: str = option(
        "standard",
        "'full' also compares with full fine-tuning.",
        choices=("standard", "full"),
    )
    budget: str | None = option(
        None,
        "Time limit for the whole pick, such as 90s, 20m or 2h. If it is short, fewer folds, seeds "
        "and candidates are tried.",
    )


@dataclass(frozen=True, kw_only=True)
class RefineSettings(StoreSettings):
    """Options of `autoplace refine`; all others are those of the pick.

    Examples
    --------
    >>> RefineSettings(seeds=3).epochs is None
    True
    """

    data: str | None = option(None, "The data of the pick, if it has moved.")
    checkpoint: str | None = option(None, "Path of the backbone's weights, if they have moved.")
    epochs: int | None = option(
        None, "Passes over the training images; default: as in the pick.", low=1
    )
    lr: float | None = option(
        None, "Peak learning rate; default: that of the winner's kind in the pick.", above=0.0
    )
    seeds: int = option(1, "Trainings without and with the procedure.", low=1)


@dataclass(frozen=True, kw_only=True)
class CollectSettings(
    StoreSettings, TrialSettings, InputSettings, PlacementSettings, ProbeSettings, TaskSettings
):
    """Options of `autoplace collect`.

    Examples
    --------
    >>> CollectSettings(placements=10).seed
    0
    """

    placements: int = option(30, "Number of placements to sample for each task.", low=1)
    placements_file: str | None = option(
        None, "Text file of placements to run instead, one per line."
    )


@dataclass(frozen=True, kw_only=True)
class MergeSettings(StoreSettings, TrialSettings, InputSettings, DataSettings):
    """Options of `autoplace merge`.

    Examples
    --------
    >>> MergeSettings(shots=5).method
    'transport'
    """

    checkpoint: str | None = option(None, "Path of the backbone's weights, if they have moved.")
    shots: int = option(10, "Training images of each class; 0 for all training images.", low=0)
    method: str = option(
        "transport",
        "How the adapters are merged: 'transport' matches their hidden units first, 'average' and "
        "'sum' add the weights as they are.",
        choices=("transport", "average", "sum"),
    )
    cost: str = option(
        "weights",
        "What hidden units are matched by: their weights, or their activations on training images.",
        choices=("weights", "activations"),
    )
    solver: str = option(
        "exact",
        "How they are matched: 'exact', or 'sinkhorn', which lets a unit go to several others.",
        choices=("exact", "sinkhorn"),
    )
    seeds: int = option(3, "Trainings of each start.", low=1)
