"""The options of each command."""

from __future__ import annotations

from dataclasses import dataclass

from autoplace.settings._base import option
from autoplace.settings._executor import ExecutorSettings
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
    ExecutorSettings,
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

    field_size: int = option(24, "Number of candidates that start the race.", low=1)
    top_k: int = option(
        2, "Number of candidates left at the end of the race, the finalists.", low=1
    )
    patience: int | None = option(
        5,
        "Stop a trial when neither metric nor loss on validation has improved for this many "
        "epochs.",
        low=1,
    )
    folds: int | None = option(
        None,
        "Number of folds on which finalists and baselines are compared; the first is the split of "
        "the race. If you supplied validation images, it is the number of seeds instead. Default: "
        "2, or 1 if the images cannot be divided.",
        low=1,
    )
    seeds: int = option(
        3, "Number of trainings of the winner and of each baseline for the test.", low=1
    )
    refit: bool = option(
        True,
        "Before test is read, train the winner and the baselines again on training and validation "
        "images together.",
    )
    merge: bool = option(
        False,
        "Fold the winner's adapters into the backbone's weights, if their kind allows it without "
        "changing the output, as LoRA does.",
    )
    baselines: str = option(
        "standard",
        "'standard': head-only, every-block, LoRA in every block and k-nearest neighbours; "
        "'minimal' leaves out LoRA and the search for its learning rate, unless --adapter searches "
        "LoRA; 'full' adds full fine-tuning.",
        choices=("minimal", "standard", "full"),
    )
    budget: str | None = option(
        None,
        "Time limit for the whole pick, such as 90s, 20m or 2h. If time is short, pick uses "
        "fewer folds, seeds and candidates, in this order.",
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
        None,
        "Peak learning rate; default: as in the pick, for each of the winner's kinds.",
        above=0.0,
    )
    seeds: int = option(
        1, "Number of seeds; with each, the winner is trained without and with PROCEDURE.", low=1
    )


@dataclass(frozen=True, kw_only=True)
class ResumeSettings(StoreSettings):
    """Options of `autoplace resume`; all others are those that the run was started with.

    Examples
    --------
    >>> ResumeSettings().data is None
    True
    """

    data: str | None = option(None, "The data of the run, if it has moved.")
    checkpoint: str | None = option(None, "Path of the backbone's weights, if they have moved.")
    ray_address: str | None = option(
        None, "HOST:PORT of the Ray cluster of a run with --executor ray, if it is another now."
    )


@dataclass(frozen=True, kw_only=True)
class CollectSettings(
    StoreSettings,
    ExecutorSettings,
    TrialSettings,
    InputSettings,
    PlacementSettings,
    ProbeSettings,
    TaskSettings,
):
    """Options of `autoplace collect`.

    Examples
    --------
    >>> CollectSettings(placements=10).seed
    0
    """

    placements: int = option(30, "Number of random placements for each task.", low=1)
    placements_file: str | None = option(
        None, "Text file with placements, one per line, to train instead of random ones."
    )


@dataclass(frozen=True, kw_only=True)
class MergeSettings(StoreSettings, ExecutorSettings, TrialSettings, InputSettings, DataSettings):
    """Options of `autoplace merge`.

    Examples
    --------
    >>> MergeSettings(shots=5).method
    'transport'
    """

    checkpoint: str | None = option(None, "Path of the backbone's weights, if they have moved.")
    shots: int = option(10, "Number of training images per class; 0: all.", low=0)
    method: str = option(
        "transport",
        "How the adapters are merged: 'transport' matches their hidden units and then averages the "
        "weights, 'average' and 'sum' take the weights as they are.",
        choices=("transport", "average", "sum"),
    )
    cost: str = option(
        "weights",
        "What 'transport' matches hidden units by: their weights, or their activations on training "
        "images.",
        choices=("weights", "activations"),
    )
    solver: str = option(
        "exact",
        "How 'transport' matches them: 'exact', or 'sinkhorn', which may divide a unit among "
        "several others.",
        choices=("exact", "sinkhorn"),
    )
    seeds: int = option(
        3,
        "Number of trainings from the merged adapters, and from each start compared. With --shots, "
        "each draws other images.",
        low=1,
    )
